"""`python -m rtc run`: after a crash the same command goes on, and nothing runs twice."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rtc.jobs.run import given, processes, stop_orphans, working_directory

SNAKEFILE = """
rule all:
    input: expand("out/{i}.txt", i=range(2))
rule one:
    output: "out/{i}.txt"
    log: "results/logs/one/{i}.log"
    params: seconds=float(config["seconds"])
    script: "one.py"
"""
SCRIPT = """
import sys, time
from rtc.jobs.job import job
with job(log=snakemake.log[0], threads=1, device="cpu"):
    open(f"{snakemake.wildcards.i}.started", "a").write("x")
    time.sleep(snakemake.params.seconds)
    open(snakemake.output[0], "w").write("x")
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "one.py").write_text(SCRIPT)
    yield tmp_path
    for process in jobs_of(tmp_path):
        os.kill(process, signal.SIGKILL)


def start(folder: Path, *arguments: str, command=("rtc", "run")) -> subprocess.Popen:
    # A file, not a pipe: an orphan would keep a pipe open.
    with open(folder / "output", "a") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *command, *arguments],
            cwd=folder,
            env=os.environ | {"RTC_LEASES": str(folder / "leases")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def output_of(run: subprocess.Popen, folder: Path, seconds=120.0) -> str:
    run.wait(timeout=seconds)
    return (folder / "output").read_text()


def jobs_of(folder: Path) -> list[int]:
    scripts = f"{folder}/.snakemake/scripts/"
    return processes(lambda argv, _: any(a.startswith(scripts) for a in argv[1:]))


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def test_after_sigkill_the_same_command_finishes(project):
    first = start(project, "--cores", "2", "--config", "seconds=60")
    wait_for(lambda: len(list(project.glob("*.started"))) == 2)
    orphans = jobs_of(project)
    assert len(orphans) == 2
    for orphan in orphans:
        os.kill(orphan, signal.SIGSTOP)  # One that does not end by itself when its parent dies.
    first.kill()
    first.wait()
    assert list(project.glob(".snakemake/locks/*.lock"))

    second = start(project, "--cores", "2", "--config", "seconds=0", "--", "all")
    # A stopped process takes SIGTERM only once it goes on.
    lock = project / ".snakemake/run.lock"  # empty for the moment of a change of owner
    wait_for(lambda: lock.read_text().split()[1:2] == [str(second.pid)])
    time.sleep(1.0)
    for orphan in orphans:
        os.kill(orphan, signal.SIGCONT)
    output = output_of(second, project)
    assert second.returncode == 0, output
    assert re.search(r"rtc run: stopping 2 jobs of a run that was killed: \d+, \d+\n", output)
    assert "rtc run: lifting the lock of a run that was killed" in output
    assert not jobs_of(project)
    assert {p.name for p in (project / "out").iterdir()} == {"0.txt", "1.txt"}


@pytest.mark.long
def test_a_second_run_waits_for_the_first_and_finds_nothing_to_do(project):
    first = start(project, "--cores", "2", "--config", "seconds=2")
    wait_for(lambda: (project / ".snakemake/run.lock").exists())
    second = start(project, "--cores", "2", "--config", "seconds=2")
    output = output_of(second, project)
    assert first.wait(timeout=10) == 0 and second.returncode == 0, output
    assert f"process {first.pid} on {os.uname().nodename} runs in {project}; waiting" in output
    assert "Nothing to be done" in output
    assert [p.read_text() for p in project.glob("*.started")] == ["x", "x"]


@pytest.mark.long
def test_a_plain_snakemake_is_waited_for_too(project):
    first = start(project, "--cores", "2", "--config", "seconds=2", command=("snakemake",))
    wait_for(lambda: list(project.glob("*.started")))
    second = start(project, "--cores", "2", "--config", "seconds=2")
    output = output_of(second, project)
    assert first.wait(timeout=10) == 0 and second.returncode == 0, output
    assert f"Snakemake runs in {project} (process {first.pid}); waiting for its end" in output


@pytest.mark.long
def test_the_exit_code_of_a_failed_run_is_passed_on(project):
    run = start(project, "--config", "seconds=x")
    output = output_of(run, project)
    assert run.returncode == 1, output


@pytest.mark.long
def test_a_dry_run_takes_no_lock_and_disturbs_nobody(project):
    run = start(project, "-n", "--config", "seconds=0")
    assert run.wait(timeout=60) == 0
    assert not (project / ".snakemake" / "run.lock").exists()


def test_the_lock_has_one_owner_and_goes_with_it(tmp_path):
    code = "import sys, time; from pathlib import Path; from rtc.jobs.run import own; "
    code += "own(Path(sys.argv[1])); print('mine', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"mine\n"
    second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    waits = second.stderr.readline().decode()
    assert f"process {first.pid} on {os.uname().nodename} runs in {tmp_path}; waiting" in waits
    first.kill()
    assert second.stdout.readline() == b"mine\n"
    second.kill()
    for process in (first, second):
        process.communicate()


def test_orphans_are_found_by_their_script_and_ended_even_if_they_refuse(tmp_path):
    script = tmp_path / ".snakemake/scripts/tmp0.expert.py"
    script.parent.mkdir(parents=True)
    script.write_text(
        "import signal, time; signal.signal(15, signal.SIG_IGN)\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    orphan = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], cwd=tmp_path)
    orphan.stdout.readline()
    # Reaped at once, as init does with a real orphan.
    threading.Thread(target=orphan.wait).start()
    assert stop_orphans(tmp_path, grace=0.5) == [orphan.pid]
    assert orphan.wait() == -signal.SIGKILL
    assert other.poll() is None, "only jobs of this folder are ended"
    assert stop_orphans(tmp_path) == []
    other.kill()
    other.wait()
    orphan.stdout.close()


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [(["--cores", "2"], True), (["--cores=2"], True), (["-c2"], True), (["a/-c"], False)],
)
def test_options_are_found_in_all_their_forms(arguments, wanted):
    assert given(arguments, {"-c", "--cores"}) is wanted


def test_the_working_directory_is_snakemakes():
    assert working_directory(["--cores", "1"]) == Path.cwd()
    assert working_directory(["-d", "/tmp"]) == Path("/tmp").resolve()
    assert working_directory(["--directory=/tmp", "x"]) == Path("/tmp").resolve()
