"""Checkouts, results folders and command lines in unusual places."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.workflow.conftest import ROOT, Workspace, add_python, make_workspace

LEVEL = "results/levels/cartpole_thrust.npz"


@pytest.fixture(params=["it's a check out", 'a "b" $(c) [d] & é'])
def odd(tmp_path, request) -> Workspace:
    return make_workspace(tmp_path / request.param)


def run(command: list[str], odd: Workspace, folder: Path, **environment: str) -> str:
    result = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(odd.folder)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]
    return result.stdout + result.stderr


def test_a_checkout_may_have_blanks_and_quotes_in_its_path(odd):
    shutil.copy(ROOT / "Makefile", odd.folder)
    for name in ("requirements.lock", "pyproject.toml"):
        (odd.folder / name).touch()
    add_python(odd)
    run(["make", "run", f"CORES=1 {LEVEL}"], odd, odd.folder)
    with np.load(odd.folder / LEVEL) as level:
        assert str(level["name"]) == "cartpole_thrust"


def test_plain_snakemake_works_from_outside_for_a_second_folder(odd, tmp_path):
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    command = [str(add_python(odd)), "-m", "snakemake", "-s", f"{odd.folder}/Snakefile"]
    command += ["--cores", "1", "--directory", "second", LEVEL]
    command += ["--configfile", f"{odd.folder}/config/ablation.yaml"]
    said = run(command, odd, elsewhere, TMPDIR="/proc/nowhere")
    assert "TMPDIR=/proc/nowhere cannot be written; temporary files go to " in said
    assert (elsewhere / "second" / LEVEL).is_file()
    assert not (odd.folder / "results").exists()


def test_make_says_what_an_environment_s_path_must_be():
    result = subprocess.run(
        ["make", "-n", "VENV=/a b/venv"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 2
    assert "VENV: expected a path without blanks, got '/a b/venv'" in result.stderr
