"""Every benchmark, one after another, as `make bench` runs them: tables and JSON files.

Where a finished run lies in results/, the whole-run table is of that run (each job's own
timing); otherwise the quick default is run for it, in a folder of its own.

python benchmarks/run_all.py [--quick] [--results DIR] [--output results/benchmarks]
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# From minutes to an hour each; a new script comes last until it is put in its place.
SHORTEST_FIRST = ("box2d", "policies", "methods", "evaluation", "run", "training", "env")


def scripts() -> list[Path]:
    """Every bench_*.py, the shortest first."""
    order = [f"bench_{name}" for name in SHORTEST_FIRST]
    found = {path.stem: path for path in sorted(HERE.glob("bench_*.py"))}
    return [found[name] for name in dict.fromkeys([*order, *found])]


def options_of(script: str, results: Path, quick: bool) -> list[str]:
    """What a script is told beside where its JSON goes."""
    if quick:
        return ["--quick"]
    finished = (results / "report.html").exists() and (results / "benchmarks").is_dir()
    if script == "bench_run" and finished:
        print(f"jobs of the finished run in {results}, not run anew", flush=True)
        return ["--results", str(results)]
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, some minutes in all")
    parser.add_argument("--results", type=Path, default=Path("results"), help="a finished run's")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    failed = []
    for script in scripts():
        print(f"\n== {script.stem} ==", flush=True)
        command = [
            sys.executable,
            str(script),
            "--json",
            str(options.output / f"{script.stem}.json"),
        ]
        command += options_of(script.stem, options.results, options.quick)
        if subprocess.run(command).returncode:
            failed.append(script.stem)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
