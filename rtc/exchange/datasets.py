"""Data sets of the reference: `data/worlds_l_<level>.npz`, both ways, in pieces.

The arrays are [steps, environments, ...]: obs (679), action, done, solved, return_, length. Coming
in, the entries that vary are stored; the constant ones, as the file has them, go into the
metadata, so that the full observation comes back bit for bit. Neither way is a file held in
memory as a whole: at the paper's size its observations take 2.8 GB.

In the reference's files return_ and length are those of the last finished episode, in ours of the
episode so far; both agree where an episode ends, and cloning reads neither. The columns are kept
as they are.
"""

import contextlib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rtc.datasets.parquet import COLUMNS, dataset_schema, open_writer, write_rows
from rtc.datasets.play import Rows
from rtc.errors import ArtifactError
from rtc.exchange.names import observation_info
from rtc.levels import Level
from rtc.storage.io import atomic_path
from rtc.training.windows import dataset_metadata

# The reference's names of columns of ours.
FIELDS = {
    "obs": "observation",
    "action": "action",
    "done": "done",
    "solved": "solved",
    "return_": "return",
    "length": "length",
}
ROWS_PER_GROUP = 65536
# The reference's constants come from another compiler; sines and cosines differ in last digits.
TOLERANCE = 1e-4


def import_dataset(source: str | Path, level: Level, output: str | Path) -> None:
    """Turns an npz of the reference into a parquet data set of ours.

    Raises ArtifactError if the file cannot be read, lacks an array, or was made with another
    version of the level (an entry that should be constant is not what the level says).
    """
    source = Path(source)
    with _arrays(source) as arrays:
        steps, environments, _ = arrays["obs"].shape
        observation = _own_constants(source, level)
        indices = np.asarray(observation["indices"], int)
        metadata = _metadata(source, level, observation, arrays)
        actions = arrays["action"].shape[-1]
        episodes = np.zeros(environments, np.int32)
        piece = max(1, ROWS_PER_GROUP // environments)
        schema = dataset_schema(len(indices), actions, metadata)
        with atomic_path(output) as temporary, open_writer(temporary, schema) as writer:
            for first in range(0, steps, piece):
                part = {k: a.read(min(piece, steps - first)) for k, a in arrays.items()}
                _check_constants(source, part["obs"], observation)
                rows, episodes = _rows(part, indices, episodes)
                write_rows(writer, rows, first)


def export_dataset(source: str | Path, output: str | Path) -> Path:
    """Writes a parquet data set as an npz of the reference; returns the file.

    Raises ArtifactError if the file cannot be read, or its row groups are no slabs of steps.
    """
    source, output = Path(source), Path(output)
    with _readable(source):
        file = pq.ParquetFile(source)
        metadata = dataset_metadata(file.schema_arrow)
        environments = _check_slabs(source, file)
        shape = (file.metadata.num_rows // environments, environments)
        with atomic_path(output) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for theirs, ours in FIELDS.items():
                dtype = metadata.get("reference_dtypes", {}).get(theirs)
                with archive.open(f"{theirs}.npy", "w", force_zip64=True) as handle:
                    _write_array(handle, file, ours, shape, dtype, metadata)
    return output


class _Stream:
    """One array of an npz, read from the front in pieces of its first axis."""

    def __init__(self, path: Path, handle: Any):
        self._path, self._handle = path, handle
        version = np.lib.format.read_magic(handle)
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        self.shape, fortran, self.dtype = read(handle)
        if self.dtype.kind not in "biuf" or fortran:
            raise ArtifactError(f"{path}: {handle.name} is no plain array of numbers")

    def read(self, count: int) -> np.ndarray:
        shape = (count, *self.shape[1:])
        wanted = int(np.prod(shape)) * self.dtype.itemsize
        data = self._handle.read(wanted)
        if len(data) != wanted:
            raise ArtifactError(f"{self._path}: {self._handle.name} is cut off; fetch it again")
        return np.frombuffer(data, self.dtype).reshape(shape)


@contextlib.contextmanager
def _arrays(path: Path) -> Iterator[dict[str, _Stream]]:
    """The arrays of a data set, opened at their beginning."""
    with contextlib.ExitStack() as stack, _readable(path):
        archive = stack.enter_context(zipfile.ZipFile(path))
        missing = [name for name in FIELDS if f"{name}.npy" not in archive.namelist()]
        if missing:
            raise ArtifactError(f"{path}: no data set of the reference: no array {missing[0]!r}")
        arrays = {
            name: _Stream(path, stack.enter_context(archive.open(f"{name}.npy"))) for name in FIELDS
        }
        rank = {name: 3 if name in ("obs", "action") else 2 for name in FIELDS}
        for name, array in arrays.items():
            if len(array.shape) != rank[name] or array.shape[:2] != arrays["obs"].shape[:2]:
                raise ArtifactError(f"{path}: {name} has shape {array.shape}, which does not fit")
        yield arrays


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error


def _own_constants(path: Path, level: Level) -> dict[str, Any]:
    """The level's observation entries, constants as the file has them in its first row."""
    observation = observation_info(level)
    with _arrays(path) as arrays:
        first = arrays["obs"].read(1)[0, 0].astype(np.float64)
    expected = np.asarray(observation["constants"])
    if len(first) != len(expected):
        raise ArtifactError(
            f"{path}: observations of {len(first)} entries, level {level.name} has {len(expected)}"
        )
    first[observation["indices"]] = 0
    worst = int(np.argmax(np.abs(first - expected)))
    if abs(first[worst] - expected[worst]) > TOLERANCE:
        raise ArtifactError(
            f"{path}: made with another version of level {level.name}: observation entry {worst} "
            f"is {first[worst]:g}, expected {expected[worst]:g}"
        )
    return observation | {"constants": first.tolist()}


def _check_constants(path: Path, obs: np.ndarray, observation: dict[str, Any]) -> None:
    constants = np.asarray(observation["constants"], obs.dtype)
    changed = (obs != constants).any(axis=(0, 1))
    changed[observation["indices"]] = False
    if changed.any():
        entry = int(np.argmax(changed))
        raise ArtifactError(
            f"{path}: observation entry {entry} varies, which it cannot in this level; "
            f"the file was made with another version of it"
        )


def _rows(
    part: dict[str, np.ndarray], indices: np.ndarray, episodes: np.ndarray
) -> tuple[Rows, np.ndarray]:
    """Rows [environments, steps, ...] of a piece, and the episodes that the next one begins in."""
    part = {name: np.swapaxes(array, 0, 1) for name, array in part.items()}
    done = part["done"] != 0
    ended = np.cumsum(done, axis=1, dtype=np.int32)
    rows = Rows(
        episode=episodes[:, None] + ended - done,
        # Who played is not recorded by the reference.
        expert=np.full(done.shape, -1, np.int32),
        observation=part["obs"][:, :, indices].astype(np.float32),
        action=part["action"].astype(np.float32),
        done=done,
        solved=part["solved"] != 0,
        episode_return=part["return_"].astype(np.float32),
        length=part["length"].astype(np.int32),
    )
    return rows, (episodes + ended[:, -1]).astype(np.int32)


def _metadata(
    path: Path, level: Level, observation: dict[str, Any], arrays: dict[str, _Stream]
) -> dict[str, Any]:
    motors, thrusters = level.static.num_motor_bindings, level.static.num_thruster_bindings
    return {
        "level": level.name,
        "level_digest": level.digest,
        **{f"observation_{key}": value for key, value in observation.items()},
        "action_names": [f"motor {i}" for i in range(motors)]
        + [f"thruster {i}" for i in range(thrusters)],
        "action_low": [-1.0] * motors + [0.0] * thrusters,
        "experts": [],
        "columns": COLUMNS,
        "order": "row groups by step; inside one sorted by environment, then step",
        "env": {"engine": "reference", "action_noise": 0.1, "reward": "reference"},
        "config": {"num_envs": arrays["obs"].shape[1]},
        "source": f"reference: {path.name}",
        "reference_name": path.stem,
        "reference_dtypes": {name: array.dtype.str for name, array in arrays.items()},
    }


def _check_slabs(path: Path, file: pq.ParquetFile) -> int:
    """The number of environments, once it is sure that every row group holds all of them."""
    first = 0
    environments = 0
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=["environment", "step"])
        environment, step = (table[name].to_numpy() for name in ("environment", "step"))
        environments = environments or int(environment.max()) + 1
        steps = len(environment) // environments
        expected = np.arange(first, first + steps)
        slab = np.array_equal(environment, np.repeat(np.arange(environments), steps))
        if not slab or not np.array_equal(step, np.tile(expected, environments)):
            raise ArtifactError(
                f"{path}: row group {group} is no slab of steps of all environments"
            )
        first += steps
    return environments


def _write_array(
    handle: Any,
    file: pq.ParquetFile,
    column: str,
    shape: tuple[int, int],
    dtype: str | None,
    metadata: dict[str, Any],
) -> None:
    kind = file.schema_arrow.field(column).type
    wide = pa.types.is_fixed_size_list(kind)
    width = (kind.list_size,) if wide else ()
    spread = _spreader(metadata) if column == "observation" else np.ascontiguousarray
    tail = (len(metadata["observation_constants"]),) if column == "observation" else width
    element = np.dtype(dtype or (kind.value_type if wide else kind).to_pandas_dtype())
    header = {"descr": element.str, "fortran_order": False, "shape": (*shape, *tail)}
    np.lib.format.write_array_header_1_0(handle, header)
    for group in range(file.num_row_groups):
        values = file.read_row_group(group, columns=[column])[column].combine_chunks()
        values = (values.flatten() if wide else values).to_numpy(zero_copy_only=False)
        values = np.swapaxes(values.reshape(shape[1], -1, *width), 0, 1)
        handle.write(spread(values).astype(element).tobytes())


def _spreader(metadata: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """A function from observations [t, e, o] to full ones [t, e, f]."""
    constants = np.asarray(metadata["observation_constants"], np.float32)
    indices = np.asarray(metadata["observation_indices"], int)

    def spread(values: np.ndarray) -> np.ndarray:
        full = np.broadcast_to(constants, (*values.shape[:2], len(constants))).copy()
        full[:, :, indices] = values
        return full

    return spread
