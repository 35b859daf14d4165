"""Resume state of a job: one owner, one fingerprint, the newest whole checkpoint.

A long job saves its state here after each interval, outside the outputs of its rule; the same
command again goes on from there. A folder whose fingerprint (config and inputs) differs is
emptied, with a word in the log; a lock, released by the kernel when its owner dies, keeps an
orphan of a killed run and its successor from writing the same state.
"""

import contextlib
import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rtc.errors import ArtifactError
from rtc.storage.checkpoints import list_checkpoints, restore_checkpoint, save_checkpoint
from rtc.storage.io import write_json
from rtc.types import PyTree

logger = logging.getLogger("rtc")


@dataclass(frozen=True)
class ResumeState:
    """State of one job in `folder`; None keeps no state and never resumes."""

    folder: Path | None

    def save(self, number: int, tree: PyTree) -> None:
        """Saves the state after interval `number`, then drops the older ones."""
        if self.folder is None:
            return
        steps = self.folder / "steps"
        save_checkpoint(steps / str(number), tree)
        for older, path in list_checkpoints(steps).items():
            if older != number:
                shutil.rmtree(path, ignore_errors=True)

    def load(self, like: PyTree | None = None) -> tuple[int, PyTree] | None:
        """The newest whole state and its number, or None. Damaged ones are passed over."""
        if self.folder is None:
            return None
        for number, path in reversed(list_checkpoints(self.folder / "steps").items()):
            try:
                return number, restore_checkpoint(path, like)
            except ArtifactError as error:
                logger.warning("resume state ignored: %s", error)
        return None

    def clear(self) -> None:
        """Drops all state, once the outputs stand; the lock stays with its owner."""
        if self.folder is not None:
            _empty(self.folder)


@contextlib.contextmanager
def resume_state(
    folder: str | Path | None, fingerprint: Mapping[str, Any]
) -> Iterator[ResumeState]:
    """Opens `folder` for this process alone and empties it if its fingerprint is another.

    fingerprint: JSON values that say what is computed from what (config, digests of inputs).
    While another process owns the folder this one waits, and says so in the log.
    """
    if folder is None:
        yield ResumeState(None)
        return
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _owned(folder):
        path = folder / "fingerprint.json"
        wanted = json.loads(json.dumps(fingerprint))
        found = _read_json(path)
        if found != wanted:
            if found is not None:
                keys = sorted(k for k in {**found, **wanted} if found.get(k) != wanted.get(k))
                logger.warning("%s: %s changed; starting anew", folder, ", ".join(keys))
            _empty(folder)
            write_json(path, wanted)
        yield ResumeState(folder)


@contextlib.contextmanager
def _owned(folder: Path, patience: float = 0.5) -> Iterator[None]:
    with open(folder / "lock", "a+") as handle:
        told = False
        while not _try_lock(handle):
            if not told:
                handle.seek(0)
                owner = handle.read().strip() or "unknown"
                logger.warning("%s: process %s works here; waiting for its end", folder, owner)
                told = True
            time.sleep(patience)
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def _try_lock(handle: TextIO) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name == "lock":
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else {}
