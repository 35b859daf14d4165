"""Snakemake at toy size, in a folder of its own."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass
class Workspace:
    """A copy of the workflow in `folder`; `rtc` is imported from there, so it can be edited."""

    folder: Path

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        """Runs `snakemake` in the folder at toy size and returns what it printed."""
        return self.run("snakemake", *arguments, "--configfile", "tests/tiny.yaml")

    def run(self, module: str, *arguments: str) -> subprocess.CompletedProcess:
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder),
            "MPLBACKEND": "agg",
            "COLUMNS": "120",
        }
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1500,
        )

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs that a dry run lists: {rule: count}, empty if there is nothing to be done."""
        result = self.snakemake("--cores", "2", "-n", *arguments)
        assert result.returncode == 0, result.stderr[-3000:]
        lines = (result.stdout + result.stderr).splitlines()
        starts = [i for i, line in enumerate(lines) if line.split() == ["job", "count"]]
        if not starts:
            return {}
        jobs: dict[str, int] = {}
        for line in lines[starts[0] + 2 :]:
            if not line.strip():
                break
            name, count = line.split()
            jobs[name] = int(count)
        jobs.pop("total", None)
        jobs.pop("all", None)
        return jobs


def make_workspace(folder: Path) -> Workspace:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "Snakefile", folder)
    for name in ("rtc", "workflow", "config", "profiles"):
        shutil.copytree(
            ROOT / name,
            folder / name,
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
    (folder / "tests").mkdir(exist_ok=True)
    shutil.copy(ROOT / "tests/tiny.yaml", folder / "tests")
    return Workspace(folder)


def add_python(workspace: Workspace) -> Path:
    """Gives a workspace an interpreter of its own, so that its path is as odd as the folder's."""
    venv = workspace.folder / ".venv"
    venv.mkdir()
    ours = Path(sys.prefix)
    for name in ("bin", "lib"):
        (venv / name).symlink_to(ours / name)
    (venv / "pyvenv.cfg").write_text((ours / "pyvenv.cfg").read_text())
    (venv / ".ready").touch()
    return venv / "bin/python"


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workspace:
    """A workspace in which the toy pipeline has run to its end."""
    workspace = make_workspace(tmp_path_factory.mktemp("pipeline"))
    result = workspace.snakemake("--cores", "2")
    assert result.returncode == 0, result.stderr[-6000:]
    return workspace


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """A workspace in which nothing has run."""
    return make_workspace(tmp_path / "pipeline")
