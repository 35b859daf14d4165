"""Windows of a data set: which rows begin one, and the rows themselves, sorted and resident.

A window is an observation and the H actions from its row on, and as many rows behind them as the
objective looks further. It never crosses from one
environment to the next (the reference's do, at the seams), and its actions at and after the
first `done` count as zero, the terminal action included (as the reference's).
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rtc.errors import ArtifactError

COLUMNS = ("environment", "step", "observation", "action", "done")


class Block(NamedTuple):
    """Rows of one or all row groups, each environment's consecutive in time.

    obs: [n, o] float32. action: [n, a] float32. alive: [n] int32, actions from this row on, H at
    most, before the first done. starts: [w] int32, rows at which a whole window begins.
    """

    obs: np.ndarray
    action: np.ndarray
    alive: np.ndarray
    starts: np.ndarray


@dataclass(frozen=True)
class Rows:
    """Order and windows of all rows of a file, without the rows themselves.

    rank: [n] position of each row of the file once sorted by (environment, step).
    alive, whole: [n] by position: see Block.alive; whether a window begins there.
    """

    rank: np.ndarray
    alive: np.ndarray
    whole: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """A parquet data set opened for training; `blocks()` gives its rows.

    metadata: what its schema says of it. groups: first file row of each row group, and the end.
    plan: row groups of each block; one block with all of them if the rows may be resident.
    span: rows of a window.
    """

    path: Path
    metadata: dict[str, Any]
    obs_dim: int
    action_dim: int
    rows: Rows
    groups: np.ndarray
    plan: tuple[tuple[int, ...], ...]
    span: int

    @property
    def windows(self) -> int:
        """Number of windows in the file."""
        return int(np.count_nonzero(self.rows.whole))

    @property
    def level(self) -> dict[str, Any]:
        """Name and digest of the level that was played."""
        return {"name": self.metadata["level"], "digest": self.metadata["level_digest"]}

    @property
    def observation(self) -> dict[str, Any]:
        """Names, indices and constants of the observation: how it expands to Kinetix's."""
        return {
            key: self.metadata[f"observation_{key}"] for key in ("names", "indices", "constants")
        }

    def blocks(self, order: list[int] | None = None) -> Iterator[Block]:
        """The blocks one after another, by `order` if given. Raises ArtifactError."""
        for index in range(len(self.plan)) if order is None else order:
            yield _read_block(self, self.plan[index])


def open_dataset(
    path: str | Path, chunk_size: int, resident_bytes: int | None = None, extra_steps: int = 0
) -> Dataset:
    """Reads order, ends of episodes and metadata of a data set; plans blocks of bounded size.

    chunk_size: H. resident_bytes: most bytes of rows held at once; None for no bound. A file
    above it is read in blocks of row groups, half the bound each, as the next one is prepared
    while one is in use. extra_steps: rows of a window behind its H.
    Raises ArtifactError if the file is missing, truncated or no data set.
    """
    path = Path(path)
    with _readable(path):
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        obs_dim, action_dim = (_width(path, schema, name) for name in ("observation", "action"))
        narrow = file.read(columns=["environment", "step", "done"])
    span = chunk_size + extra_steps
    rows = _order(
        *(narrow[name].to_numpy() for name in ("environment", "step", "done")), chunk_size, span
    )
    counts = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
    groups = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    dataset = Dataset(
        path,
        dataset_metadata(schema),
        obs_dim,
        action_dim,
        rows,
        groups,
        _plan(groups, 4 * (obs_dim + action_dim + 1), resident_bytes),
        span,
    )
    if not dataset.windows:
        raise ArtifactError(
            f"{path}: no environment has {span} consecutive steps; "
            f"raise datasets.transitions or lower datasets.num_envs"
        )
    return dataset


def dataset_metadata(schema: pa.Schema) -> dict[str, Any]:
    """The schema's metadata: JSON values parsed, other texts as they are."""
    found = {}
    for key, value in (schema.metadata or {}).items():
        text = value.decode("utf-8", errors="replace")
        try:
            found[key.decode()] = json.loads(text)
        except ValueError:
            found[key.decode()] = text
    return found


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes. Raises ArtifactError if it cannot be read."""
    with _readable(Path(path)), open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _order(
    environment: np.ndarray, step: np.ndarray, done: np.ndarray, chunk_size: int, span: int
) -> Rows:
    count = len(environment)
    order = np.lexsort((step, environment))
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    environment, step, done = environment[order], step[order].astype(np.int64), done[order]
    whole = np.zeros(count, bool)
    last = span - 1
    if count > last:
        same = environment[last:] == environment[: count - last]
        whole[: count - last] = same & (step[last:] - step[: count - last] == last)
    ends = np.append(np.flatnonzero(done), count + chunk_size)
    upcoming = ends[np.searchsorted(ends, np.arange(count))]
    alive = np.minimum(upcoming - np.arange(count), chunk_size).astype(np.int32)
    return Rows(rank, alive, whole)


def _plan(
    groups: np.ndarray, row_bytes: int, resident_bytes: int | None
) -> tuple[tuple[int, ...], ...]:
    count = len(groups) - 1
    if resident_bytes is None or groups[-1] * row_bytes <= resident_bytes:
        return (tuple(range(count)),)
    blocks: list[list[int]] = [[]]
    held = 0
    for group in range(count):
        size = int(groups[group + 1] - groups[group]) * row_bytes
        if blocks[-1] and held + size > resident_bytes // 2:
            blocks.append([])
            held = 0
        blocks[-1].append(group)
        held += size
    return tuple(tuple(block) for block in blocks)


def _read_block(dataset: Dataset, groups: tuple[int, ...]) -> Block:
    rows, span = dataset.rows, dataset.span
    inside = np.zeros(len(rows.rank), bool)
    for group in groups:
        inside[rows.rank[dataset.groups[group] : dataset.groups[group + 1]]] = True
    starts = np.flatnonzero(inside & rows.whole)
    # A window may end in a row group of another block; those rows come along.
    needed = np.zeros(len(rows.rank), bool)
    for offset in range(span):
        needed[starts + offset] = True
    local = np.cumsum(needed) - 1
    obs = np.empty((int(needed.sum()), dataset.obs_dim), np.float32)
    action = np.empty((len(obs), dataset.action_dim), np.float32)
    with _readable(dataset.path):
        file = pq.ParquetFile(dataset.path)
        for group in range(file.num_row_groups):
            rank = rows.rank[dataset.groups[group] : dataset.groups[group + 1]]
            wanted = needed[rank]
            if wanted.any():
                table = file.read_row_group(group, columns=["observation", "action"])
                to = local[rank[wanted]]
                obs[to] = matrix(table["observation"], dataset.obs_dim)[wanted]
                action[to] = matrix(table["action"], dataset.action_dim)[wanted]
    return Block(obs, action, rows.alive[needed], local[starts].astype(np.int32))


def matrix(column: pa.ChunkedArray, width: int) -> np.ndarray:
    """A column of fixed-size lists as [n, width]."""
    return column.combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)


def _width(path: Path, schema: pa.Schema, name: str) -> int:
    missing = [c for c in COLUMNS if c not in schema.names]
    if missing:
        raise ArtifactError(
            f"{path}: no column {missing[0]!r}, so no data set of this pipeline; {_mend(path)}"
        )
    kind = schema.field(name).type
    if not pa.types.is_fixed_size_list(kind):
        raise ArtifactError(
            f"{path}: column {name!r} is {kind}, expected fixed-size lists; {_mend(path)}"
        )
    return kind.list_size


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = "missing" if not path.exists() else f"damaged: {str(error).splitlines()[0]}"
        raise ArtifactError(f"{path}: the data set is {reason}; {_mend(path)}") from error


def _mend(path: Path) -> str:
    return f"run: rm -f {path} && make"
