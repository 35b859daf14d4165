"""Leases on this machine's devices and cores: at most one owner each, kept by the kernel.

A lease is an flock on a file in a node-local folder. The kernel drops it when its owner dies,
by SIGKILL too, so nothing has to be cleaned up and no server runs. The files stay: removing
one while another process opens it would give two owners. Imports no jax.
"""

import contextlib
import fcntl
import logging
import os
import random
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rtc.errors import RtcError

logger = logging.getLogger("rtc")


def lease_folder() -> Path:
    """The node-local folder of this user's leases: $RTC_LEASES, or /tmp/rtc-leases-<uid>.

    Not $TMPDIR: two shells with different ones would not see each other's leases.
    Raises RtcError if the folder is another user's or cannot be made.
    """
    folder = Path(os.environ.get("RTC_LEASES") or f"/tmp/rtc-leases-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat(follow_symlinks=False)
    except OSError as error:
        raise RtcError(
            f"{folder}: cannot hold device leases ({error.strerror}); set RTC_LEASES to a "
            f"folder on a local disk that you may write"
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise RtcError(f"{folder}: belongs to somebody else; set RTC_LEASES to a folder of yours")
    return folder


class Lease(contextlib.AbstractContextManager):
    """Locks held until `release`, the end of a `with`, or the death of the process."""

    def __init__(self) -> None:
        self._files: list[int] = []

    def take(self, path: Path, *, shared: bool = False) -> bool:
        """Tries to lock `path`, without waiting. Returns whether it is ours now."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._files.append(descriptor)
        return True

    def release(self) -> None:
        """Drops all locks of this lease."""
        while self._files:
            os.close(self._files.pop())

    def __exit__(self, *_: object) -> None:
        self.release()


def try_device(folder: Path, devices: Sequence[str], slots: int) -> tuple[Lease, str] | None:
    """One free slot on one of `devices`, or None if all are taken.

    slots: jobs that may share a device. With 1 the device is taken whole, so that runs with
    different counts never meet on it. The emptiest device is preferred.
    """
    for slot in range(slots):
        for device in devices:
            lease = Lease()
            name = "device-" + "".join(c if c.isalnum() or c in "-_" else "_" for c in device)
            whole = lease.take(folder / name, shared=slots > 1)
            if whole and (slots == 1 or lease.take(folder / f"{name}.slot-{slot}")):
                return lease, device
            lease.release()
    return None


@contextlib.contextmanager
def lease_device(
    folder: Path, devices: Sequence[str], slots: int = 1, *, patience: float = 0.5
) -> Iterator[str]:
    """Yields the name of a device that is ours for the duration; waits until one is free.

    patience: mean seconds between tries. Says in the log that it waits, and for what.
    """
    waiting_since = None
    while (taken := try_device(folder, devices, slots)) is None:
        if waiting_since is None:
            waiting_since = time.monotonic()
            logger.info(
                "waiting for a device: all of %s are taken (%d jobs on each)",
                ", ".join(devices),
                slots,
            )
        # Random, so that jobs that began together do not try together.
        time.sleep(patience * random.uniform(0.5, 1.5))
    lease, device = taken
    if waiting_since is not None:
        logger.info("waited %.0f s for device %s", time.monotonic() - waiting_since, device)
    with lease:
        yield device


@contextlib.contextmanager
def lease_cores(folder: Path, cores: Sequence[int], count: int) -> Iterator[list[int] | None]:
    """Yields `count` of `cores` that no other job has, or None at once if too few are free."""
    with Lease() as lease:
        ours: list[int] = []
        for core in cores:
            if len(ours) < count and lease.take(folder / f"core-{core}"):
                ours.append(core)
        if len(ours) < count:
            lease.release()
        yield ours if len(ours) == count else None
