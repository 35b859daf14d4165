"""The file: columns, metadata, and a writer that holds one block of rows at a time."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rtc.datasets.play import Rows

COLUMNS = {
    "environment": "index of the environment, from 0",
    "step": "step of the environment since the start of the data set, from 0; 1/30 s each",
    "episode": "episode of the environment, from 0",
    "expert": "who played: index into the metadata's list `experts`",
    "observation": "entries of Kinetix's symbolic observation that vary for this level, before "
    "the action; metres, metres per second, sines and cosines, tanh of a tenth of rad/s; "
    "names, places and the constant rest stand in the metadata",
    "action": "what the expert asked for, before the environment's noise; motors in [-1, 1], "
    "thrusters in [0, 1]",
    "done": "the episode ended with this step",
    "solved": "it ended at the goal",
    "return": "sum of the rewards of the episode up to this step (1 goal, -1 failure, no shaping); "
    "at done the episode's",
    "length": "steps of the episode up to this one; at done the episode's",
}


def dataset_schema(observations: int, actions: int, metadata: Mapping[str, Any]) -> pa.Schema:
    """The Arrow schema. metadata: JSON values; each becomes a text of its own key."""
    types = {
        "environment": pa.int32(),
        "step": pa.int32(),
        "episode": pa.int32(),
        "expert": pa.int32(),
        "observation": pa.list_(pa.float32(), observations),
        "action": pa.list_(pa.float32(), actions),
        "done": pa.bool_(),
        "solved": pa.bool_(),
        "return": pa.float32(),
        "length": pa.int32(),
    }
    fields = [pa.field(name, types[name], nullable=False) for name in COLUMNS]
    texts = {key: json.dumps(value, sort_keys=True) for key, value in metadata.items()}
    return pa.schema(fields, metadata=texts)


def open_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer for `write_rows`; numbers are split by bytes, which makes them compress."""
    numbers = ["observation.list.element", "action.list.element", "return"]
    small = [name for name in COLUMNS if name not in ("observation", "action", "return")]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=small,
        use_byte_stream_split=numbers,
    )


def write_rows(writer: pq.ParquetWriter, rows: Rows, first_step: int) -> None:
    """Appends [b, t] transitions as one row group, sorted by environment, then step."""
    environments, steps = rows.done.shape
    step = np.arange(first_step, first_step + steps, dtype=np.int32)
    columns = [
        np.repeat(np.arange(environments, dtype=np.int32), steps),
        np.tile(step, environments),
        rows.episode,
        rows.expert,
        rows.observation,
        rows.action,
        rows.done,
        rows.solved,
        rows.episode_return,
        rows.length,
    ]
    arrays = [_array(column, field.type) for column, field in zip(columns, writer.schema)]
    writer.write_table(
        pa.Table.from_arrays(arrays, schema=writer.schema), row_group_size=environments * steps
    )


def _array(column: np.ndarray, kind: pa.DataType) -> pa.Array:
    flat = np.ascontiguousarray(column).reshape(-1)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(pa.array(flat, kind.value_type), type=kind)
    return pa.array(flat, kind)
