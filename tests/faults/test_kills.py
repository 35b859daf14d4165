"""SIGKILL at random moments of every stage, then the same command: the same bytes in the end."""

import os
import random
import signal
import subprocess
import time

import pytest

STAGES = ("level", "expert", "dataset", "policy", "evaluation")
TARGETS = ("job", "snakemake", "both")
pytestmark = pytest.mark.timeout(3000)


def kill(process: int) -> None:
    """SIGKILL, unless it ended by itself just before."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def strike(pipeline, run: subprocess.Popen, stage: str, target: str, delay: float) -> str | None:
    """Kills `delay` seconds after a job of `stage` began, or at the run's end if none does.

    Returns what was killed, None if the run had ended by then.
    """
    while run.poll() is None and not pipeline.jobs(stage):
        time.sleep(0.01)
    time.sleep(delay)
    victims = pipeline.jobs(stage)
    if run.poll() is not None:
        return None
    if not victims:
        kill(run.pid)
        return f"SIGKILL of snakemake after {stage}"
    if target != "job":
        kill(run.pid)
    if target != "snakemake":
        for victim in victims if target == "both" else victims[:1]:
            kill(victim)
    return f"SIGKILL of {target} in {stage}"


def survive(pipeline, finished, plan, ledger) -> None:
    """Runs the plan of (stage, target, delay), each followed by the same command again."""
    for stage, target, delay in plan:
        run = pipeline.start()
        struck = strike(pipeline, run, stage, target, delay)
        ledger.extend([struck] if struck else [])
        run.wait(timeout=1500)
    code, output = pipeline.run()
    assert code == 0, output[-6000:]
    for name in ("evaluations.csv", "datasets/cartpole_thrust.parquet"):
        ours, theirs = (p.results / name for p in (pipeline, finished))
        assert ours.read_bytes() == theirs.read_bytes(), f"{name} differs after {plan}"
    left = [path for path in pipeline.results.rglob("*") if path.name.startswith((".eval", ".car"))]
    assert not left, "half-written files are left"
    assert not pipeline.jobs()


def test_five_kills(pipeline, finished, ledger):
    chance = random.Random(0)
    plan = [
        ("level", "snakemake", chance.uniform(0, 1.5)),
        ("expert", "both", chance.uniform(0, 6)),
        ("dataset", "job", chance.uniform(0, 4)),
        ("policy", "snakemake", chance.uniform(0, 6)),
        ("evaluation", "both", chance.uniform(0, 6)),
    ]
    survive(pipeline, finished, plan, ledger)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_thirty_kills(pipeline, finished, ledger, seed):
    chance = random.Random(seed)
    plan = [
        (stage, chance.choice(TARGETS), chance.expovariate(1 / 3.0))
        for stage in STAGES
        for _ in range(1 if stage == "level" else 2)
    ]
    survive(pipeline, finished, plan, ledger)
