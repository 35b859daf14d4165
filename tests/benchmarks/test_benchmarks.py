"""Every benchmark runs, small, and writes its numbers; bench_methods has a file of its own."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("bench_*.py"))
# Script -> numbers of its first row (of the whole, where it has no rows), all positive.
NUMBERS = {
    "bench_box2d": ("box2d", "ours"),
    "bench_env": ("ratio",),
    "bench_evaluation": ("ours", "plain", "ratio", "compile"),
    "bench_policies": ("ours", "plain", "ratio", "matmul_gflops", "of_ceiling"),
    "bench_run": ("wall_seconds", "job_seconds"),
    "bench_training": ("ours", "plain", "ratio", "of_ceiling"),
}


def run(script: str, output: Path) -> dict:
    command = [sys.executable, str(ROOT / "benchmarks" / f"{script}.py"), "--quick"]
    subprocess.run([*command, "--json", str(output)], check=True, cwd=ROOT, timeout=580)
    return json.loads(output.read_text())


def test_no_benchmark_is_left_out():
    assert set(SCRIPTS) == {*NUMBERS, "bench_methods"}


def test_a_quick_one_runs(tmp_path):
    check(run("bench_policies", tmp_path / "numbers.json"), "bench_policies")


@pytest.mark.long
@pytest.mark.parametrize("script", sorted(set(NUMBERS) - {"bench_policies"}))
def test_the_slower_ones_run(script, tmp_path):
    if script == "bench_box2d":
        pytest.importorskip("Box2D", reason="needs: pip install -e .[bench]")
    check(run(script, tmp_path / "numbers.json"), script)


def check(numbers: dict, script: str) -> None:
    row = numbers["rows"][0] if "rows" in numbers else numbers
    for name in NUMBERS[script]:
        assert row[name] > 0, name


def test_a_stage_is_the_sum_of_its_jobs(tmp_path):
    spec = importlib.util.spec_from_file_location("bench_run", ROOT / "benchmarks/bench_run.py")
    bench_run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench_run)
    for name, seconds in (("levels/a", 3.0), ("levels/b", 5.0), ("experts/a/videos", 2.0)):
        path = tmp_path / "benchmarks" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        row = {"s": [seconds], "max_rss": [100 * seconds], "cpu_time": [seconds / 2]}
        pd.DataFrame(row).to_csv(path, sep="\t", index=False)
    table = bench_run.stage_table(tmp_path).set_index("stage")
    assert list(table.index) == ["levels", "expert videos"]
    levels = table.loc["levels"]
    assert (levels["jobs"], levels["seconds"], levels["longest"]) == (2, 8.0, 5.0)
    assert (levels["megabytes"], levels["load"], levels["share"]) == (500.0, 0.5, 0.8)
    with pytest.raises(SystemExit, match="no job has been timed"):
        bench_run.stage_table(tmp_path / "elsewhere")
