"""How far a job is, in a small file beside its log: written by the job, read by the display.

On a terminal `rtc run` sets RTC_LIVE and draws all running jobs itself; a job then leaves the
terminal alone and its progress bars go to this file. Imports no jax.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

LIVE = "RTC_LIVE"
SECONDS = 0.5  # between two writings


class Progress(NamedTuple):
    """done of total units; rate: units a second, or None; text: what is being done."""

    done: float
    total: float
    unit: str
    rate: float | None
    text: str


def is_live() -> bool:
    """Whether the run that this job belongs to draws its jobs."""
    return bool(os.environ.get(LIVE))


def progress_file(log: str | Path) -> Path:
    """Where the job with this log says how far it is."""
    return Path(log).with_suffix(".progress")


@contextlib.contextmanager
def progress_to_file(file: Path) -> Iterator[None]:
    """Sends every tqdm bar of this process to `file`, which is gone in the end."""
    from tqdm import tqdm

    latest = [0.0]

    def display(bar: Any, *_: Any, **__: Any) -> None:
        if time.monotonic() - latest[0] >= SECONDS and bar.total:
            latest[0] = time.monotonic()
            with contextlib.suppress(OSError):
                file.write_text(json.dumps(_state(bar.format_dict)), encoding="utf-8")

    def close(bar: Any) -> None:
        # tqdm's own would write an end of line to the terminal.
        if not bar.disable:
            bar.disable = True
            bar._decr_instances(bar)

    before = tqdm.display, tqdm.close
    tqdm.display, tqdm.close = display, close
    try:
        yield
    finally:
        tqdm.display, tqdm.close = before
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def _state(bar: dict[str, Any]) -> Progress:
    fresh = bar["n"] - bar["initial"]
    rate = bar["rate"] or (fresh / bar["elapsed"] if bar["elapsed"] else None)
    return Progress(bar["n"], bar["total"], bar["unit"], rate, bar["postfix"] or "")


def read_progress(file: Path) -> Progress | None:
    """What the job last wrote; None if it wrote nothing, or is just writing."""
    try:
        return Progress(*json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
