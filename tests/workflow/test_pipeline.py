"""The whole pipeline at toy size: what it writes, what it re-runs, what it refuses."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from tests.workflow.conftest import add_python, make_workspace

# The first test waits for a whole run, minutes where cores are slow or shared.
pytestmark = pytest.mark.timeout(1800)

ROOT = Path(__file__).parents[2]
METHODS = yaml.safe_load((ROOT / "config/config.yaml").read_text())["methods"]


def edit(path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_every_stage_writes_its_files(finished):
    results = finished.folder / "results"
    level = "cartpole_thrust"
    for name in (
        f"levels/{level}.npz",
        f"levels/{level}.png",
        f"experts/{level}/seed_0/expert.json",
        f"experts/{level}/seed_1/progress.csv",
        f"experts/{level}/seed_1/rollout.mp4",
        f"datasets/{level}.parquet",
        "datasets/README.md",
        f"policies/{level}/flow/seed_0/policy.json",
        f"policies/{level}/flow/seed_0/checkpoints/1",
        f"evaluations/{level}/flow/seed_0/naive.csv",
        f"evaluations/{level}/flow/seed_0/naive.parquet",
        "evaluations.csv",
        "summary.md",
        "report.html",
    ):
        assert (results / name).exists(), name


def test_evaluations_hold_every_method_and_cell(finished):
    table = pd.read_csv(finished.folder / "results/evaluations.csv")
    assert set(table["method"]) == set(METHODS)
    assert len(table) == 2 * len(METHODS)
    assert (table["rollouts"] == 8).all()
    assert table["solve_rate"].between(table["solve_rate_low"], table["solve_rate_high"]).all()


def test_the_data_set_says_what_it_holds(finished):
    table = pq.read_table(finished.folder / "results/datasets/cartpole_thrust.parquet")
    assert table.num_rows == 2048
    assert {"environment", "step", "episode", "expert", "observation", "action", "done"} <= set(
        table.column_names
    )
    assert json.loads(table.schema.metadata[b"level"]) == "cartpole_thrust"


def test_the_report_is_one_offline_file(finished):
    report = (finished.folder / "results/report.html").read_text()
    assert "Real-Time Chunking on Kinetix" in report
    assert 'src="http' not in report


def test_what_was_learned_is_shipped_and_evaluated_from_there(finished):
    """Methods that share a job are each a target of their own."""
    for _ in range(2):  # Whenever it is asked.
        result = finished.snakemake("--cores", "1", "pretrained")
        assert result.returncode == 0, result.stderr[-3000:]
        assert "cartpole_thrust: shipped" in result.stderr
    folder = finished.folder / "pretrained"
    entry = json.loads((folder / "manifest.json").read_text())["levels"]["cartpole_thrust"]
    assert {name: p["epochs"] for name, p in entry["policies"].items()} == {
        "flow": [1, 2],
        "flow_ttrtc": [1],
    }
    assert {"naive", "bid"} <= set(entry["policies"]["flow"]["scores"])
    assert len(entry["experts"]) == 1
    over = {"levels": ["cartpole_thrust", "catapult"], "device": "cpu"}
    over["evaluation"] = {"rollouts": 8, "cells": [{"delay": 1, "horizon": 1}]}
    (finished.folder / "small.yaml").write_text(yaml.safe_dump(over))
    where = "results/evaluations/cartpole_thrust/pretrained/seed_0"
    files = ["--configfile", "config/pretrained.yaml", "small.yaml"]
    arguments = ["--cores", "1", f"{where}/naive.csv", *files]
    result = finished.run("snakemake", *arguments)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "not in pretrained/, so left out: catapult" in result.stderr
    assert not list(finished.folder.glob("results/**/catapult*"))
    for method in ("naive", "realtime"):
        assert len(pd.read_csv(finished.folder / where / f"{method}.csv")) == 1
    before = (finished.folder / where / "naive.parquet").read_bytes()
    result = finished.run("snakemake", *arguments, "--config", "methods={realtime: {beta: 1.0}}")
    assert "naive on cartpole_thrust: unchanged, taken over" in result.stderr
    assert "realtime on cartpole_thrust, d=1 s=1" in result.stderr
    assert (finished.folder / where / "naive.parquet").read_bytes() == before
    assert "policy_pretrained" not in result.stdout + result.stderr
    next(folder.glob("policies/cartpole_thrust/flow/checkpoints/*")).touch()
    result = finished.run("snakemake", *arguments, "-n")
    assert "policy_pretrained" in result.stdout + result.stderr


def test_a_second_run_has_nothing_to_do(finished):
    assert finished.planned() == {}


def test_a_touched_file_re_runs_nothing(finished):
    (finished.folder / "rtc/methods/naive.py").touch()
    assert finished.planned() == {}


def test_changed_settings_of_a_method_re_run_that_method_alone(finished):
    jobs = finished.planned("--config", "methods={realtime: {beta: 3.0}}")
    assert jobs["evaluation"] == 1
    assert not [name for name in jobs if name.startswith(("expert", "dataset", "policy", "level"))]


def test_changed_code_re_runs_the_stages_that_import_it(finished):
    path = finished.folder / "rtc/methods/te.py"
    before = path.read_text()
    try:
        path.write_text(before + "\nUNUSED = 1\n")
        jobs = finished.planned()
        assert jobs["evaluation"] == sum(m["method"] == "te" for m in METHODS.values())
        assert not [name for name in jobs if name.startswith(("expert", "dataset", "policy"))]
        path.write_text("# a remark\n" + before)
        assert finished.planned() == {}
    finally:
        path.write_text(before)


def test_changed_physics_re_runs_the_experts(finished):
    path = finished.folder / "rtc/env/base.py"
    before = path.read_text()
    try:
        path.write_text(before + "\nUNUSED = 1\n")
        jobs = finished.planned()
        assert jobs["expert"] == 2
        assert "level" not in jobs
    finally:
        path.write_text(before)


def test_each_level_and_seed_is_its_own_target(workspace):
    jobs = workspace.planned("results/experts/mjc_swimmer/seed_0/expert.json")
    assert jobs == {"expert": 1, "level": 1}


def test_an_unknown_level_as_a_target_names_the_nearest(workspace):
    result = workspace.snakemake("results/experts/h17_unicycl/seed_0/expert.json", "-n")
    assert result.returncode != 0
    assert "did you mean 'h17_unicycle'?" in result.stdout + result.stderr


def test_seeds_can_share_a_job(workspace):
    jobs = workspace.planned(
        "results/experts/mjc_swimmer/seed_1/expert.json", "--config", "experts={seeds_per_job: 2}"
    )
    assert jobs == {"expert_0": 1, "level": 1}


def test_the_paper_s_scale_lists_all_levels(workspace):
    result = workspace.run("snakemake", "--cores", "4", "-n", "--configfile", "config/paper.yaml")
    assert result.returncode == 0, result.stderr[-3000:]
    jobs = workspace_jobs(result)
    assert jobs["level"] == 12
    assert jobs["dataset"] == 12
    assert jobs["evaluation"] + jobs["evaluation_of_samples"] == 12 * len(METHODS)
    assert jobs["evaluation_of_samples"] == 12 * sum("samples" in m for m in METHODS.values())


def test_shared_jobs_that_draw_several_samples_begin_before_short_ones(workspace):
    shared = ("--config", "evaluation={methods_per_job: 4}")
    plan = workspace.run("snakemake", "-c4", "-n", "--quiet", "host", *shared)
    blocks = re.split(r"^(?:local)?rule ", plan.stdout + plan.stderr, flags=re.MULTILINE)
    jobs = [block for block in blocks if block.startswith("evaluation_")]
    assert {"/bid.csv" in job or "/bid_rejection.csv" in job for job in jobs} == {True, False}
    for job in jobs:
        samples = "/bid.csv" in job or "/bid_rejection.csv" in job
        assert ("priority: 1" in job) == samples


def workspace_jobs(result: subprocess.CompletedProcess) -> dict[str, int]:
    lines = [line.split() for line in (result.stdout + result.stderr).splitlines()]
    return {parts[0]: int(parts[1]) for parts in lines if len(parts) == 2 and parts[1].isdigit()}


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        ("levels=[h17_unicycl]", ["h17_unicycl", "h17_unicycle"]),
        ("devise=cpu", ["devise: unknown key", "device"]),
        ("experts={gama: 1}", ["experts.gama: unknown key", "gamma"]),
        ("levels=[../../etc/passwd]", ["../../etc/passwd"]),
        ("methods={mine: {method: te, policy: flow}}", ["methods.mine.m: missing; expected"]),
        ("methods={mine: {method: no.such:Thing, policy: flow}}", ["methods.mine.method: cannot"]),
        ("env={action_noise: .nan}", ["env.action_noise: expected a finite number, got nan"]),
        ("datasets={transitions: 64}", ["datasets.transitions: 64", "too few for one window"]),
    ],
)
def test_bad_configuration_stops_at_parse_with_one_line(workspace, config, parts):
    result = workspace.snakemake("--cores", "1", "-n", "--config", config)
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert "Traceback" not in said
    for part in parts:
        assert part in said
    assert not (workspace.folder / "results").exists()


def test_what_a_policy_was_not_trained_for_is_said_before_the_run(workspace):
    config = "policies={flow_ttrtc: {objective: {simulated_delay: 2}}}"
    result = workspace.snakemake("--cores", "1", "-n", "--config", config)
    assert result.returncode == 0, result.stderr[-3000:]
    assert (
        "Note: ttrtc at delay 2: its policy flow_ttrtc was trained for"
        in result.stdout + result.stderr
    )


def test_the_workflow_passes_its_linter():
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.long
def test_the_numbers_are_the_same_from_unusual_places(finished, tmp_path):
    """A checkout with blanks and an apostrophe in its path, a results folder elsewhere, no home
    directory, no TMPDIR, and variables of jax that people have set."""
    checkout = make_workspace(tmp_path / "it's a check out")
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    nowhere = "/proc/nowhere"
    environment = os.environ | {
        "PYTHONPATH": str(checkout.folder),
        **dict.fromkeys(["HOME", "XDG_CACHE_HOME", "TMPDIR"], nowhere),
        **dict.fromkeys(["JAX_ENABLE_X64", "JAX_DEBUG_NANS", "JAX_DISABLE_JIT"], "1"),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cuda",
        "CUDA_VISIBLE_DEVICES": "",
    }
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    command = [str(add_python(checkout)), "-m", "rtc", "run", "--cores", "2"]
    command += ["--directory", "second results", "--configfile", "tests/tiny.yaml"]
    result = subprocess.run(
        [*command, "--config", "device=auto"],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
    )
    said = result.stdout + result.stderr
    assert result.returncode == 0, said[-5000:]
    second, first = elsewhere / "second results/results", finished.folder / "results"
    name = "evaluations.csv"
    assert (second / name).read_bytes() == (first / name).read_bytes()
    assert {p.name for p in (second / "figures").iterdir()} == {
        p.name for p in (first / "figures").iterdir()
    }
    assert "Real-Time Chunking on Kinetix" in (second / "report.html").read_text()
    unused = "JAX_DEBUG_NANS, JAX_DISABLE_JIT, JAX_ENABLE_X64, XLA_FLAGS"
    assert f"Note: set here, but not used by jobs: {unused}" in said
    assert "Traceback" not in said
    assert not (checkout.folder / "results").exists()
