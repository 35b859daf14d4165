"""The whole pipeline, from levels to report, timed stage by stage.

Runs the quick default in an empty folder with all cores (or, with --results, looks at a run that
is finished). "load" is processor time over wall time of a stage's jobs: under 1 where jobs had to
share their cores with something else. "share" is of the seconds of all jobs.

    python benchmarks/bench_run.py [--configfile FILE] [--folder DIR] [--results DIR]
                                   [--json FILE] [--quick]
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from machine import about, headline

ROOT = Path(__file__).parents[1]


def run_pipeline(folder: Path, configfile: Path | None) -> float:
    """Runs everything in `folder`, with an empty compilation cache; returns seconds."""
    shutil.copy(ROOT / "Snakefile", folder)
    for name in ("rtc", "workflow", "config", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "rtc", "run", "--cores", "all", "--quiet", "all"]
    if configfile:
        command += ["--configfile", str(configfile.resolve())]
    environment = dict(os.environ, PYTHONPATH=str(folder))
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    began = time.perf_counter()
    with (folder / "run.log").open("w") as log:
        done = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=log)
    if done.returncode:
        sys.stderr.write((folder / "run.log").read_text()[-3000:])
        raise SystemExit(f"the run failed with exit status {done.returncode}")
    return time.perf_counter() - began


def stage_table(results: Path) -> pd.DataFrame:
    """A row for each stage: jobs, their seconds, the longest, load, largest memory."""
    rows = []
    for file in sorted((results / "benchmarks").rglob("*.tsv")):
        stage = file.relative_to(results / "benchmarks").parts[0].removesuffix(".tsv")
        video = stage == "experts" and file.stem == "videos"
        job = pd.read_csv(file, sep="\t", na_values="-").iloc[-1]
        rows.append(
            {"stage": "expert videos" if video else stage, **job[["s", "max_rss", "cpu_time"]]}
        )
    if not rows:
        raise SystemExit(f"{results / 'benchmarks'}: no job has been timed here")
    groups = pd.DataFrame(rows).groupby("stage", sort=False)
    table = groups.agg(
        jobs=("s", "size"),
        seconds=("s", "sum"),
        longest=("s", "max"),
        cpu=("cpu_time", "sum"),
        megabytes=("max_rss", "max"),
    )
    table["load"] = table.pop("cpu") / table["seconds"]
    table["share"] = table["seconds"] / table["seconds"].sum()
    return table.sort_values("seconds", ascending=False).reset_index()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", type=Path, help="laid over config/config.yaml")
    parser.add_argument("--folder", type=Path, help="to run in, and keep; it must not exist")
    parser.add_argument("--results", type=Path, help="of a finished run, instead of running")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="tests/tiny.yaml")
    options = parser.parse_args()
    if options.folder and options.folder.exists():
        parser.error(f"--folder {options.folder}: exists already; name one that does not")
    wall = None
    if options.results:
        table = stage_table(options.results)
    else:
        tiny = ROOT / "tests" / "tiny.yaml"
        with contextlib.ExitStack() as stack:
            folder = options.folder
            if folder:
                folder.mkdir(parents=True)
            else:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            wall = run_pipeline(folder, tiny if options.quick else options.configfile)
            table = stage_table(folder / "results")
    if not options.results:  # a finished run may be of another commit or machine
        print(headline())  # not before the run: on a GPU this process would hold memory beside it
    print(table.to_string(index=False, float_format="{:,.2f}".format))
    total = table["seconds"].sum()
    print(f"{table['jobs'].sum()} jobs, {total:,.0f} s", end="")
    print(f", {wall:,.0f} s from start to end" if wall else "")
    if options.json:
        facts = {"results": str(options.results)} if options.results else about()
        facts |= {"wall_seconds": wall, "job_seconds": total}
        stages = table.to_dict(orient="records")
        options.json.write_text(json.dumps(facts | {"stages": stages}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
