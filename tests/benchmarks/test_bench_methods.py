"""The benchmark runs, small, and the plain formulas that it measures against are the same."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.golden_policy import golden_inputs, golden_policy

ROOT = Path(__file__).parents[2]


@pytest.fixture
def plain_flow(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import plain_flow

    return plain_flow


def test_the_plain_formulas_give_the_same_chunks(plain_flow):
    policy, inputs = golden_policy(), golden_inputs()
    obs, noise, previous = inputs["obs"], inputs["noise"], inputs["prev_action_chunk"]
    naive = jax.jit(lambda: plain_flow.naive(policy, obs, noise, 5))()
    np.testing.assert_allclose(naive, policy.action(None, obs, 5, noise=noise), rtol=0, atol=1e-5)
    guided = jax.jit(lambda: plain_flow.realtime(policy, obs, noise, 5, previous, 2, 5, 5.0))()
    ours = policy.realtime_action(None, obs, 5, previous, 2, 5, "exp", 5.0, noise=noise)
    np.testing.assert_allclose(guided, ours, rtol=0, atol=1e-5)


def test_the_benchmark_runs(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "bench_methods.py"), "--quick"]
    output = tmp_path / "methods.json"
    command += ["--json", str(output), "--methods", "naive", "realtime"]
    subprocess.run(command, check=True, cwd=ROOT, timeout=500)
    rows = json.loads(output.read_text())["rows"]
    assert {(row["method"], row["batch"]) for row in rows} == {
        (name, batch)
        for name in ("naive", "plain naive", "realtime", "plain realtime")
        for batch in (1, 8)
    }
    assert all(row["compile_s"] > 0 and row["run_s"] > 0 for row in rows)
    assert all("ratio" in row for row in rows if row["method"] in ("naive", "realtime"))
