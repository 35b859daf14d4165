"""Snakemake says what it will do in seconds, for the paper's scale and for a hundred times that.

Times are those of the processor, so that other work on the machine does not count. Modules are
compiled before the first timed run, as pip does when it installs them.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def seconds_to_plan(workspace, tmp_path):
    """Processor time of `snakemake -n -q` with a configuration file, the better of two runs."""
    environ = os.environ | {"PYTHONPATH": str(workspace.folder)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    environ["PYTHONPYCACHEPREFIX"] = str(tmp_path / "compiled")

    def once(config: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = subprocess.run(
            [sys.executable, "-m", "snakemake", "-c4", "-n", "-q", "--configfile", config],
            cwd=workspace.folder,
            env=environ,
            capture_output=True,
            text=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert result.returncode == 0, result.stderr[-3000:]
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    once("config/paper.yaml")  # Compiles.
    return lambda config: min(once(config), once(config))


def test_the_paper_s_scale_is_planned_in_five_seconds(seconds_to_plan):
    seconds = seconds_to_plan("config/paper.yaml")
    print(f"paper.yaml: planned in {seconds:.1f} s of processor time")
    assert seconds < 5


def test_the_heads_that_a_method_acts_with_are_trained_first(workspace):
    """Those of its own level and seed: one policy is enough. No other method waits for one."""
    arguments = "--configfile", "config/methods.yaml", "--config", "policies={flow: {seeds: 2}}"
    arguments += ("evaluation={methods_per_job: 1}",)
    for method, heads in (("a2c2", 1), ("requery", 0)):
        target = f"results/evaluations/mjc_swimmer/flow/seed_1/{method}.csv"
        plan = workspace.run("snakemake", "-c4", "-n", target, *arguments)
        jobs = jobs_of(plan.stdout + plan.stderr)
        assert (jobs["policy_flow"], jobs["evaluation"]) == (1, 1)
        assert jobs.get("head_correction", 0) == heads


@pytest.mark.long
@pytest.mark.timeout(1200)
# A job for each seed took 60 s beside other work; the rest of its limit is slack for slow machines.
@pytest.mark.parametrize(
    ("per_job", "limit"), [(32, 60), (1, 90)], ids=["seeds share a job", "a job for each seed"]
)
def test_a_thousand_levels_and_thirty_two_seeds_are_planned_in_a_minute(
    seconds_to_plan, workspace, per_job, limit
):
    folder = workspace.folder / "many"
    folder.mkdir()
    names = [f"many/level_{number:03}.yaml" for number in range(1000)]
    for name in names:
        shutil.copy(ROOT / "config/levels/h17_unicycle.yaml", workspace.folder / name)
    experts = {"seeds": 32, "seeds_per_job": per_job, "video": False}
    over = {"levels": names, "experts": experts}
    (workspace.folder / "many.yaml").write_text(yaml.safe_dump(over))
    target = "results/datasets/level_999.parquet"
    plan = workspace.run("snakemake", "-c4", "-n", target, "--configfile", "many.yaml")
    expert = ("expert", 32) if per_job == 1 else ("expert_0", 1)
    assert {("level", 1), ("dataset", 1), expert} <= set(jobs_of(plan.stdout + plan.stderr).items())
    seconds = seconds_to_plan("many.yaml")
    print(f"1000 levels x 32 seeds: planned in {seconds:.1f} s of processor time")
    assert seconds < limit


def jobs_of(text: str) -> dict[str, int]:
    """The table of jobs that a dry run prints: {rule: count}."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}
