"""Every benchmark runs, small, and writes its numbers; bench_methods has a file of its own."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

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
    for fact in ("device", "processor", "cores", "python", "jax", "rtc", "commit"):
        assert numbers[fact], fact
    row = numbers["rows"][0] if "rows" in numbers else numbers
    for name in NUMBERS[script]:
        assert row[name] > 0, name


def load(script: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(script, ROOT / f"benchmarks/{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bench_run(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return load("bench_run")


def write_timing(results: Path, job: str, seconds: float) -> None:
    path = results / "benchmarks" / f"{job}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"s": [seconds], "max_rss": [100 * seconds], "cpu_time": [seconds / 2]}
    pd.DataFrame(row).to_csv(path, sep="\t", index=False)


def test_a_stage_is_the_sum_of_its_jobs(tmp_path, bench_run):
    for name, seconds in (("levels/a", 3.0), ("levels/b", 5.0), ("experts/a/videos", 2.0)):
        write_timing(tmp_path, name, seconds)
    table = bench_run.stage_table(tmp_path).set_index("stage")
    assert list(table.index) == ["levels", "expert videos"]
    levels = table.loc["levels"]
    assert (levels["jobs"], levels["seconds"], levels["longest"]) == (2, 8.0, 5.0)
    assert (levels["megabytes"], levels["load"], levels["share"]) == (500.0, 0.5, 0.8)
    with pytest.raises(SystemExit, match="no job has been timed"):
        bench_run.stage_table(tmp_path / "elsewhere")


def test_a_run_is_kept_where_it_is_asked_for(tmp_path, bench_run, monkeypatch, capsys):
    folder, output = tmp_path / "kept", tmp_path / "numbers.json"

    def run(where, configfile):
        write_timing(where / "results", "levels/a", 3.0)
        return 4.0

    monkeypatch.setattr(bench_run, "run_pipeline", run)
    command = ["bench_run.py", "--folder", str(folder), "--json", str(output)]
    monkeypatch.setattr(sys, "argv", command)
    assert bench_run.main() == 0
    assert (folder / "results/benchmarks/levels/a.tsv").exists()
    numbers = json.loads(output.read_text())
    assert (numbers["wall_seconds"], numbers["job_seconds"]) == (4.0, 3.0)
    with pytest.raises(SystemExit):
        bench_run.main()
    assert f"--folder {folder}: exists already" in capsys.readouterr().err


def test_the_shortest_benchmark_comes_first():
    order = [path.stem for path in load("run_all").scripts()]
    assert sorted(order) == SCRIPTS
    assert (order[0], order[-1]) == ("bench_box2d", "bench_env")


def test_all_benchmarks_take_the_whole_run_from_a_finished_one(tmp_path, capsys):
    options_of = load("run_all").options_of
    results = tmp_path / "results"
    assert options_of("bench_run", results, False) == []
    (results / "benchmarks").mkdir(parents=True)
    assert options_of("bench_run", results, False) == [], "jobs were timed, the run has no end"
    (results / "report.html").touch()
    assert options_of("bench_run", results, False) == ["--results", str(results)]
    assert str(results) in capsys.readouterr().out
    assert options_of("bench_env", results, False) == []
    assert options_of("bench_run", results, True) == ["--quick"]
