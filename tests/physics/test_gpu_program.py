"""What a GPU would be given, compiled for an H100 on a machine without one; nothing is run.

Runs where `pip install -e .[gpu-check]` was done, in processes of its own: there jax must be made
to believe in a GPU.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.skipif(
    find_spec("jax_cuda12_plugin") is None, reason="the extra gpu-check is not installed"
)


def rows_of(script, tmp_path, *options):
    path = tmp_path / "rows.json"
    command = [sys.executable, str(BENCHMARKS / script), *options, "--json", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stderr[-2000:]
    read = json.loads(path.read_text())
    rows = read if isinstance(read, list) else read["rows"]
    return {row.get("stage", row["level"]): row for row in rows}


def test_a_step_is_one_kernel_and_nobody_waits_for_it(tmp_path):
    options = ("--levels", "h17_unicycle", "--stages", "step", "rollout", "collect")
    rows = rows_of("gpu_program.py", tmp_path, *options)
    assert rows["step"]["launches"] <= 12
    assert rows["rollout"]["launches"] <= 30
    assert rows["collect"]["launches"] <= 30
    assert all(row["waits"] == 0 for row in rows.values())


def test_training_and_evaluation_compile(tmp_path):
    options = ("--levels", "h17_unicycle", "--stages", "train", "execute", "naive", "policy")
    rows = rows_of("gpu_program.py", tmp_path, *options)
    assert rows["train"]["waits"] <= 0.01  # the end of the loop over updates
    assert rows["execute"]["waits"] <= 2  # the loop's condition: ends when no slot is alive


def test_the_kernel_fits_the_registers(tmp_path):
    (row,) = rows_of("gpu_kernel.py", tmp_path, "--quick").values()
    assert row["registers"] <= 168
    assert row["spill_loads"] <= 300
