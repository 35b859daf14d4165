"""The frame around every job of the workflow: log, device, cores, cache, and readable ends.

`with job(log=..., threads=..., device=...):` comes before the first import of jax. A problem
ends the job with one line and exit code 1; the traceback of an unexpected one goes to the log
file. Imports no jax.
"""

import contextlib
import ctypes
import errno
import glob
import logging
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from rtc.errors import RtcError
from rtc.jobs.board import job_name
from rtc.jobs.device import LOG_ONLY, drop_unused_variables, use_device, use_threads
from rtc.jobs.progress import is_live, progress_file, progress_to_file

logger = logging.getLogger("rtc")

CACHE = "results/.cache/jax"
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>

DAMAGED = re.compile(r"Error reading persistent compilation cache entry for '([^'/]+)'")

# Errors of the operating system that a person can mend, and how.
FIXES = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some of your quota on that disk",
    errno.EROFS: "make that folder writable",
    errno.EACCES: "make that folder writable",
    errno.EPERM: "make that folder writable",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.EIO: "check that disk",
    errno.ESTALE: "check that network disk",
    errno.ENOLCK: "mount that disk with locks (Lustre: -o flock)",
    errno.EOPNOTSUPP: "mount that disk with locks (Lustre: -o flock)",
}


@contextlib.contextmanager
def job(
    *,
    log: str | Path,
    threads: int,
    device: str,
    jobs_per_gpu: int = 1,
    cache: str | Path = CACHE,
    level: str | None = None,
) -> Iterator[None]:
    """Runs the body as one job: on at most `threads` cores and its own device, logged to `log`.

    device: "auto", "cpu" or "gpu"; a GPU is leased, and waited for. jobs_per_gpu: jobs that
    may share one. cache: folder of jax's compilation cache, shared by all jobs, unless
    JAX_COMPILATION_CACHE_DIR names another. level: least severe messages kept; "INFO" if None.
    An error ends the process with one line on stderr and exit code 1, SIGTERM and Ctrl-C with
    143 and 130, after cleaning up. For scripts: the process does nothing else afterwards.
    """
    log = Path(log)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_log_handlers())
        stack.push(lambda _, error, __: _conclude(error, log))
        stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _terminate))
        _log_to(log, level or "INFO")
        _keep_stray_errors(log)
        _end_with_parent()
        if is_live():
            stack.enter_context(progress_to_file(progress_file(log)))
        begun = time.monotonic()
        drop_unused_variables(os.environ)
        stack.enter_context(use_threads(threads))
        stack.enter_context(use_device(device, jobs_per_gpu=jobs_per_gpu))
        _use_cache(Path(cache))
        yield
        logger.info("done in %.1f s", time.monotonic() - begun)


def describe(error: BaseException) -> str | None:
    """One line for an error that a person can mend: what, why, how. None for any other."""
    if isinstance(error, RtcError):
        return _one_line(error)
    if isinstance(error, OSError) and error.errno in FIXES:
        where = error.filename or f"a file under {Path.cwd()}"
        why = os.strerror(error.errno).lower()
        return f"{where}: {why}; {FIXES[error.errno]}, then run the same command again"
    text = str(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text:
        return (
            f"out of memory ({_one_line(error)[:200]}); lower jobs_per_gpu, the stage's num_envs, "
            f"batch_size or rollouts_per_batch, or run fewer jobs at a time (--cores, gpu=)"
        )
    if isinstance(error, RuntimeError) and "Unable to initialize backend" in text:
        named = os.environ.get("JAX_PLATFORMS")
        ours = (None, "", "cpu", "cuda,cpu")
        asked = "device: gpu" if named in ours else f"JAX_PLATFORMS={named}"
        return f"{asked}, but jax cannot use it ({_one_line(error)[:300]}); set device: cpu"
    return None


def _conclude(error: BaseException | None, log: Path) -> None:
    """Turns what ended the job into its exit code, and says it once, in one line."""
    if error is None or isinstance(error, SystemExit | GeneratorExit):
        return
    if isinstance(error, KeyboardInterrupt):
        logger.warning("interrupted")
        raise SystemExit(INTERRUPTED) from None
    line = describe(error)
    if line is None:
        text = "".join(traceback.format_exception(error))
        logger.error(text, extra=LOG_ONLY)
        line = f"unexpected {type(error).__name__}: {_one_line(error)[:300]}; traceback in {log}"
    logger.error(line)
    raise SystemExit(1) from None


def _terminate(_: int, __: FrameType | None) -> None:
    # A second one, during the cleaning up, ends the process at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logger.warning("terminated")
    raise SystemExit(TERMINATED)


def _end_with_parent() -> None:
    """Asks the kernel for SIGTERM when the Snakemake that started this job dies (Linux only).

    Its files would count as incomplete anyway; the saved state is all that a successor uses.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


@contextlib.contextmanager
def _log_handlers() -> Iterator[None]:
    """Handlers that are added inside are closed at the end, and the levels put back."""
    root = logging.getLogger()
    before, level, raising = list(root.handlers), logger.level, logging.raiseExceptions
    # A log on a full disk must not drown what the job has to say.
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    try:
        yield
    finally:
        for handler in [h for h in root.handlers if h not in before]:
            root.removeHandler(handler)
            with contextlib.suppress(OSError):
                handler.close()
        logger.setLevel(level)
        logging.captureWarnings(False)
        logging.raiseExceptions = raising


def _keep_stray_errors(log: Path) -> None:
    """Sends what a library's thread or callback lets fall to the log, not to the terminal.

    The writers of a checkpoint, for instance, go on complaining about a full disk when the job
    has said so and its handlers are closed; hence no logging, until the process ends.
    """

    def keep(error: BaseException | None) -> None:
        text = "".join(traceback.format_exception(error)) if error else "an unknown error\n"
        with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
            file.write(f"outside the job's own work: {text}")

    sys.excepthook = lambda _, error, __: keep(error)
    sys.unraisablehook = threading.excepthook = lambda stray: keep(stray.exc_value)


def _log_to(log: Path, level: str) -> None:
    """Sends the project's messages to the terminal and, with everybody's warnings, to `log`.

    Where the run draws its jobs, the terminal is its own.
    """
    logger.setLevel(level)
    if not is_live():
        terminal = logging.StreamHandler(sys.stderr)
        terminal.setFormatter(logging.Formatter(f"[{job_name(log)}] %(mark)s%(message)s"))
        terminal.addFilter(_for_terminal)
        logging.getLogger().addHandler(terminal)
    log.parent.mkdir(parents=True, exist_ok=True)
    # Appended to: what a killed attempt had to say stays readable beside its successor's log.
    file = logging.FileHandler(log, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(file)
    logger.info("process %d", os.getpid(), extra=LOG_ONLY)


def _for_terminal(record: logging.LogRecord) -> bool:
    record.mark = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
    return record.name.split(".")[0] == "rtc" and not hasattr(record, "log_only")


def _use_cache(cache: Path) -> None:
    folder = os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache.absolute()))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")
    # XLA prints kilobytes about the scheduling hints of each cached CPU program, as errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: _drop_damaged(record, Path(folder)))


def _drop_damaged(record: logging.LogRecord, cache: Path) -> bool:
    """Removes the cached programs that jax warns about, so that the next job writes them anew.

    A job that is killed, or whose disk is full, while jax writes one leaves half of it; jax
    then compiles again, in every job, but never replaces what is there.
    """
    found = DAMAGED.search(record.getMessage()) if record.name == "py.warnings" else None
    for path in cache.glob(f"{glob.escape(found[1])}-*") if found else ():
        path.unlink(missing_ok=True)
    return True


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
