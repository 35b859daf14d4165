"""`python -m rtc run`: Snakemake, after clearing what a killed run left behind.

After SIGKILL or a power cut there may be a lock that nobody holds, jobs that still run and
files that are incomplete. The lock is lifted, the jobs are stopped (they keep their last saved
state), the files are made anew; then this process becomes Snakemake, so that signals and the
exit code are Snakemake's own. Imports no Snakemake.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rtc.errors import RtcError
from rtc.jobs.places import ROOT, name_the_workflow, provide_folders
from rtc.jobs.progress import LIVE

# Snakemake looks, prints or tidies with these, and runs no job.
PASSIVE = {
    *("-n", "--dry-run", "--dryrun", "-h", "--help", "-v", "--version", "--unlock", "--lint"),
    *("-l", "--list", "--list-rules", "--list-target-rules", "--lt", "-S", "--summary", "-D"),
    *("--detailed-summary", "--dag", "--rulegraph", "--filegraph", "--d3dag", "--report"),
    *("--archive", "--cleanup-metadata", "--cm", "--print-compilation", "--containerize"),
}
# Snakemake gives these to the copies of itself that it starts inside cluster jobs.
PART_OF_A_RUN = {"--mode", "--target-jobs"}
CORES = {"-c", "--cores", "-j", "--jobs", "--executor", "-e", "--profile", "--workflow-profile"}
# Whoever gives one of these wants Snakemake's own words.
TALK = {"-q", "--quiet", "--verbose", "--logger", "-p", "--printshellcmds", "--debug-dag"}
GRACE = 30.0  # seconds between asking an orphan to end and ending it


def run(arguments: Sequence[str]) -> int:
    """Becomes `snakemake ARGUMENTS` in this working directory; returns only if it cannot.

    Waits while another run works here. Raises RtcError if the folder cannot be written.
    """
    arguments = name_the_workflow(arguments)
    if not given(arguments, CORES):
        arguments = ["--cores", "all", *arguments]
    # Options of ours come first: behind `--` they would be files to make.
    command = [sys.executable, "-m", "snakemake"]
    arguments = ["--rerun-incomplete", *arguments]
    folder = working_directory(arguments)
    provide_folders(folder, _say)
    if not given(arguments, PASSIVE):
        check_writable(folder / "results")
        own(folder)
        wait_for_others(folder)
        stop_orphans(folder)
        if list((folder / ".snakemake" / "locks").glob("*.lock")):
            _say("lifting the lock of a run that was killed")
            unlock = [*command, "--unlock", *arguments]
            subprocess.run(unlock, stderr=subprocess.DEVNULL, check=False)
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not given(arguments, TALK):
            command += _live_display()
    os.execv(command[0], [*command, *arguments])


def _live_display() -> list[str]:
    """What makes Snakemake, and the jobs that it starts, show a line a job (rtc/jobs/board.py)."""
    path = [str(ROOT / "workflow/terminal"), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    os.environ[LIVE] = "1"
    return ["--logger", "rtc"]


def given(arguments: Sequence[str], options: set[str]) -> bool:
    """Whether one of `options` is among `arguments`, also as --option=value or -c4."""
    names = {a.split("=", 1)[0] for a in arguments if a.startswith("-")}
    short = {name[:2] for name in names if re.fullmatch(r"-[a-zA-Z]\w+", name)}
    return bool((names | short) & options)


def working_directory(arguments: Sequence[str]) -> Path:
    """Where Snakemake will work: the value of -d or --directory, else here."""
    for position, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name in ("-d", "--directory"):
            following = arguments[position + 1 : position + 2]
            return Path(value or (following[0] if following else ".")).resolve()
    return Path.cwd()


def check_writable(results: Path) -> None:
    """Raises RtcError if there is a folder `results` that cannot be written."""
    if results.exists() and not os.access(results, os.W_OK | os.X_OK):
        raise RtcError(
            f"{results}: read-only, or somebody else's; make it writable (chmod -R u+w, or mount "
            f"that disk for writing), then run the same command again"
        )


def own(folder: Path, patience: float = 1.0) -> int:
    """Waits for the sole right to run in `folder` and keeps it until this process ends.

    Returns the descriptor of the lock; Snakemake inherits it, its jobs do not.
    """
    path = folder / ".snakemake" / "run.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RtcError(f"{path}: {os.strerror(error.errno).lower()}; make it writable") from error
    told = False
    while not _locked(descriptor):
        if not told:
            owner = os.pread(descriptor, 200, 0).decode().strip() or "another process"
            _say(f"{owner} runs in {folder}; waiting for its end")
            told = True
        time.sleep(patience)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
    os.set_inheritable(descriptor, True)
    return descriptor


def wait_for_others(folder: Path, patience: float = 1.0) -> None:
    """Waits until no Snakemake that was started without this command works in `folder`."""
    told = False
    while others := sorted(processes(lambda argv, cwd: _is_snakemake(argv) and cwd == folder)):
        if not told:
            _say(f"Snakemake runs in {folder} (process {others[0]}); waiting for its end")
            told = True
        time.sleep(patience)


def stop_orphans(folder: Path, grace: float = GRACE) -> list[int]:
    """Ends jobs whose Snakemake is gone: their files would count as incomplete anyway.

    They save their state as they go, so that their successors go on from there.
    Returns the ids of the Slurm jobs and processes that were found.
    """
    scripts = f"{folder}/.snakemake/scripts/"

    def find() -> list[int]:
        return processes(lambda argv, _: any(a.startswith(scripts) for a in argv[1:]))

    cancelled = _stop_slurm_orphans(folder)
    found = find()
    if found:
        _say(f"stopping {len(found)} jobs of a run that was killed: {_join(found)}")
    for number, left in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        for process in find():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        deadline = time.monotonic() + left
        while find() and time.monotonic() < deadline:
            time.sleep(0.1)
    if stuck := find():
        raise RtcError(f"jobs of a run that was killed do not end: {_join(stuck)}; end them")
    return cancelled + found


def processes(wanted: Callable[[list[str], Path], bool]) -> list[int]:
    """Live processes of this user, other than this one and its ancestors, by command line and
    working directory. Empty where there is no /proc."""
    ours, found = _ancestors(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if entry.stat().st_uid != os.getuid() or int(entry.name) in ours:
                continue
            argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            if argv and wanted(argv, (entry / "cwd").readlink()):
                found.append(int(entry.name))
        except OSError:
            continue  # It ended while we looked.
    return found


def _stop_slurm_orphans(folder: Path, patience: float = 60.0) -> list[int]:
    """Cancels Slurm jobs that a killed Snakemake submitted from `folder`, and waits for it."""
    found = _slurm_jobs(folder)
    if found:
        _say(f"cancelling {len(found)} Slurm jobs of a run that was killed: {_join(found)}")
        subprocess.run(["scancel", *map(str, found)], check=False)
    deadline = time.monotonic() + patience
    while _slurm_jobs(folder) and time.monotonic() < deadline:
        time.sleep(1)
    return found


def _slurm_jobs(folder: Path) -> list[int]:
    """Jobs of Snakemake's Slurm plugin: it names them by the run's UUID, in its folder."""
    if shutil.which("squeue") is None:
        return []
    command = ["squeue", "--me", "--noheader", "--format=%A|%j|%Z"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return []
    found = []
    for line in listing.stdout.splitlines():
        job, name, where = line.strip().split("|", 2)
        named = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", name)
        if named and Path(where) == folder and job != os.environ.get("SLURM_JOB_ID"):
            found.append(int(job))
    return sorted(set(found))


def _is_snakemake(argv: Sequence[str]) -> bool:
    """Whether a command line is a run of Snakemake, as opposed to a look at it."""
    head = list(argv[:4])
    program = any(Path(a).name == "snakemake" for a in head[:2])
    module = ["-m", "snakemake"] in [head[i : i + 2] for i in range(len(head))]
    return (program or module) and not given(argv, PASSIVE | PART_OF_A_RUN)


def _ancestors() -> set[int]:
    """Ids of this process and of those that started it (make, a shell, a test)."""
    process, found = os.getpid(), set()
    while process > 0 and process not in found:
        found.add(process)
        try:
            status = Path(f"/proc/{process}/stat").read_text()
        except OSError:
            break
        # The name, in parentheses, may itself hold blanks and parentheses.
        process = int(status.rpartition(")")[2].split()[1])
    return found


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _join(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:20])) + (", ..." if len(numbers) > 20 else "")


def _say(text: str) -> None:
    print(f"rtc run: {text}", file=sys.stderr, flush=True)
