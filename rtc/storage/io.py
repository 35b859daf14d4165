"""Files that appear whole or not at all: written beside, synced, renamed."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is synced and renamed to `path`.

    The temporary name keeps the suffix, so writers that look at it (imageio, matplotlib)
    work. It may become a file or a directory. On an exception it is removed and an
    existing `path` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    temporary = scratch / path.name
    try:
        yield temporary
        _sync(temporary)
        if path.is_dir() and temporary.is_dir():
            # A directory cannot be renamed over a full one; move the old one aside first.
            path.rename(scratch / "replaced")
        os.replace(temporary, path)
        _sync_directory(path.parent)
    except OSError as error:
        raise _explained(error, path) from error.__cause__
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _explained(error: OSError, path: Path) -> OSError:
    """The error with a number and a file: writers in C (pyarrow) leave out the file, and
    shutil.copytree gathers errors into one that has neither."""
    if error.errno is not None:
        error.filename = error.filename or str(path)
        return error
    found = re.search(r"\[Errno (\d+)\]", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1])), str(path)) if found else error


def _sync(path: Path) -> None:
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        with open(file, "rb") as handle:
            os.fsync(handle.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Writes `text` to `path` as UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` as indented JSON with sorted keys; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_csv(path: str | Path, table: Any) -> None:
    """Writes a pandas table with a fixed float format, so equal numbers give equal bytes."""
    write_text(path, table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))
