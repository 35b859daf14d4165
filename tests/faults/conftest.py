"""A small pipeline to break, a finished one to compare with, and a table of what was tried."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from rtc.jobs.run import processes

ROOT = Path(__file__).parents[2]
LEVEL = "cartpole_thrust"
TABLE = "results/evaluations.csv"
LEDGER: Counter = Counter()


@dataclass
class Pipeline:
    """The workflow in a folder of its own, at toy size: one policy, two methods."""

    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def start(self, *targets: str) -> subprocess.Popen:
        """`python -m rtc run` for the targets; what it prints goes to `output`."""
        environ = os.environ | {"PYTHONPATH": str(self.folder), "MPLBACKEND": "agg"}
        environ["RTC_LEASES"] = str(self.folder / "leases")
        # A file, not a pipe: an orphan would keep a pipe open.
        with open(self.folder / "output", "w") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "rtc", "run", *(targets or [TABLE]), "--cores", "2"],
                cwd=self.folder,
                env=environ,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def run(self, *targets: str) -> tuple[int, str]:
        """Exit code and output of a run to its end. No traceback may reach the terminal."""
        code = self.start(*targets).wait(timeout=1500)
        output = (self.folder / "output").read_text()
        assert "Traceback" not in output, output[-4000:]
        return code, output

    def jobs(self, script: str = "") -> list[int]:
        """Processes of running jobs, of one script of the workflow or of all."""
        begin, end = f"{self.folder}/.snakemake/scripts/", f".{script}.py" if script else ".py"
        return processes(
            lambda argv, _: any(a.startswith(begin) and a.endswith(end) for a in argv[1:])
        )

    def errors(self, output: str) -> list[str]:
        """What jobs said about their end: `[policies/...] error: ...`"""
        return [line for line in output.splitlines() if "] error: " in line]


def make_pipeline(folder: Path) -> Pipeline:
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "Snakefile", folder)
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("rtc", "workflow", "config", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    # The report and the pictures are drawn from files that exist by then.
    path = folder / "profiles/default/config.yaml"
    profile = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({k: v for k, v in profile.items() if "report" not in k}))
    path = folder / "config/config.yaml"
    toy = yaml.safe_load((ROOT / "tests/tiny.yaml").read_text())
    config = merged(yaml.safe_load(path.read_text()), toy) | {"device": "cpu"}
    config["policies"] = {"flow": config["policies"]["flow"]}
    config["methods"] = {name: config["methods"][name] for name in ("naive", "realtime")}
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return Pipeline(folder)


def merged(base: dict, over: dict) -> dict:
    """As Snakemake lays one configuration over another."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merged(base[key], value) if both else value
    return result


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Pipeline:
    """A pipeline that ran to its end undisturbed. Copy it before breaking it."""
    pipeline = make_pipeline(tmp_path_factory.mktemp("undisturbed") / "run")
    code, output = pipeline.run()
    assert code == 0, output[-6000:]
    return pipeline


@pytest.fixture
def pipeline(tmp_path) -> Iterator[Pipeline]:
    """A pipeline in which nothing ran yet."""
    made = make_pipeline(tmp_path / "run")
    yield made
    for process in made.jobs():
        os.kill(process, signal.SIGKILL)


@pytest.fixture
def copy(finished, tmp_path) -> Pipeline:
    """A finished pipeline to damage."""
    shutil.copytree(finished.folder, tmp_path / "run", symlinks=True)
    return Pipeline(tmp_path / "run")


def wait_for(condition, seconds: float = 300.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


@pytest.fixture
def ledger(request) -> Iterator[list[str]]:
    """Faults that a test tries: append a name for each; survived if the test passes."""
    tried: list[str] = []
    yield tried
    report = getattr(request.node, "rtc_report", None)
    for fault in tried:
        LEDGER[fault, "survived" if report is not None and report.passed else "lost"] += 1


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.rtc_report = outcome.get_result()


def pytest_terminal_summary(terminalreporter):
    if not LEDGER:
        return
    terminalreporter.section("faults")
    terminalreporter.line(f"{'fault':48} {'tried':>6} {'survived':>9} {'lost':>5}")
    for fault in sorted({name for name, _ in LEDGER}):
        survived, lost = LEDGER[fault, "survived"], LEDGER[fault, "lost"]
        terminalreporter.line(f"{fault:48} {survived + lost:6} {survived:9} {lost:5}")
