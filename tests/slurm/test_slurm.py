"""A tiny real workflow through profiles/slurm: its devices, a failure, a cancelled run, a crash."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtc.jobs.run import processes

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "profiles/slurm"
# Only the pace differs from what a user runs: nobody waits here for a real queue.
PACE = [
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
    *("--latency-wait", "10"),
]
SNAKEFILE = """
rule all:
    input: expand("out/{i}.txt", i=range(3)), "out/card.txt"
rule work:
    output: "out/{i}.txt"
    log: "results/logs/work/{i}.log"
    threads: 1
    resources: gpu=1, mem_mb=500, runtime=5
    params: seconds=float(config.get("seconds", 6)), fails=config.get("fails", "")
    script: "work.py"
rule card:
    input: expand("out/{i}.txt", i=range(3))
    output: "out/card.txt"
    log: "results/logs/card.log"
    resources: mem_mb=300, runtime=5
    shell: "env | grep -c CUDA_VISIBLE_DEVICES > {output} || true"
"""
SCRIPT = """
import os, time
from rtc.errors import ArtifactError
from rtc.jobs.job import job
with job(log=snakemake.log[0], threads=snakemake.threads, device="gpu"):
    def note(event):
        device, here = os.environ["CUDA_VISIBLE_DEVICES"], os.environ["SLURM_JOB_ID"]
        with open("journal", "a") as journal:
            journal.write(f"{time.time():.3f} {event} {device} {here} {snakemake.wildcards.i}\\n")
    note("came")
    if snakemake.wildcards.i in str(snakemake.params.fails).split("+"):
        raise ArtifactError("data.parquet: truncated; run: rm data.parquet && make")
    time.sleep(snakemake.params.seconds)
    open(snakemake.output[0], "w").write("x")
    note("went")
"""


@pytest.fixture
def project(tmp_path, slurm) -> Iterator[Path]:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "work.py").write_text(SCRIPT)
    yield tmp_path
    # Without cgroups, Slurm loses sight of a process whose parent ended before it.
    ours = str(tmp_path / "Snakefile")
    for process in processes(lambda argv, _: ours in argv and "--target-jobs" in argv):
        os.kill(process, signal.SIGKILL)


def start(folder: Path, *arguments: str, command=("snakemake",)) -> subprocess.Popen:
    environ = os.environ | {"RTC_LEASES": str(folder / "leases"), "RTC_DEVICES": "0,1"}
    environ.pop("CUDA_VISIBLE_DEVICES", None)
    with open(folder / "output", "a") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *command, "--profile", PROFILE, *PACE, *arguments],
            cwd=folder,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def output_of(run: subprocess.Popen, folder: Path) -> str:
    run.wait(timeout=600)
    return (folder / "output").read_text()


def queue() -> list[str]:
    listing = subprocess.run(
        ["squeue", "-h", "-o", "%A %T"], capture_output=True, text=True, check=True
    )
    return listing.stdout.splitlines()


def wait_for(condition, seconds=300.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError("it did not happen in time")


def journal(folder: Path) -> list[list[str]]:
    path = folder / "journal"
    return [line.split() for line in sorted(path.read_text().splitlines())] if path.exists() else []


def test_jobs_at_the_same_time_have_different_devices(project):
    run = start(project)
    output = output_of(run, project)
    assert run.returncode == 0, output
    present: dict[str, str] = {}
    most = 0
    for _, event, device, slurm_job, name in journal(project):
        if event == "came":
            assert device not in present, "two jobs on one device"
            present[device] = slurm_job
        else:
            del present[device]
        most = max(most, len(present))
        assert (
            f"device: gpu {device} (gpu)" in (project / f"results/logs/work/{name}.log").read_text()
        )
    assert most == 2, "both devices were in use at once"
    assert (project / "out/card.txt").read_text() == "0\n", "a job without gpu sees no device"


def test_a_failing_job_fails_the_run_and_the_others_finish(project):
    run = start(project, "--retries", "0", "--keep-going", "--config", "seconds=1", "fails=2")
    output = output_of(run, project)
    assert run.returncode == 1
    assert "SLURM status is: 'FAILED'" in output
    assert {p.name for p in (project / "out").iterdir()} == {"0.txt", "1.txt"}
    log = (project / "results/logs/work/2.log").read_text()
    assert "data.parquet: truncated; run: rm data.parquet && make" in log
    assert "Traceback" not in log


def test_a_cancelled_run_leaves_no_job_in_the_queue(project):
    run = start(project, "--config", "seconds=600")
    wait_for(lambda: len(journal(project)) == 2)
    run.send_signal(signal.SIGINT)
    output = output_of(run, project)
    assert run.returncode != 0, output
    wait_for(lambda: not any("RUNNING" in line or "PENDING" in line for line in queue()), 60)
    for _, _, _, _, name in journal(project):
        assert "terminated" in (project / f"results/logs/work/{name}.log").read_text()


def test_after_a_crash_the_same_command_cancels_the_orphans_and_finishes(project):
    first = start(project, "--config", "seconds=600", command=("rtc", "run"))
    wait_for(lambda: len(journal(project)) == 2)
    orphans = {slurm_job for _, _, _, slurm_job, _ in journal(project)}
    first.kill()
    first.wait()
    second = start(project, "--config", "seconds=1", command=("rtc", "run"))
    output = output_of(second, project)
    assert second.returncode == 0, output
    assert "Slurm jobs of a run that was killed" in output
    left = {line.split()[0] for line in queue() if "RUNNING" in line or "PENDING" in line}
    assert not left & orphans
    assert len(list((project / "out").iterdir())) == 4
