"""A data set small enough to train on in a second, in the form that the data stage writes."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

OBS, ACT, FULL = 5, 6, 12


def write_dataset(
    path: Path,
    envs: int = 6,
    steps: int = 40,
    groups: int = 4,
    *,
    nan_at: int | None = None,
    missing_step: int | None = None,
    without: str | None = None,
) -> dict[str, np.ndarray]:
    """Writes rows as collected (slabs of steps, inside one by environment) and returns them.

    nan_at: a row whose action is NaN. missing_step: a step left out. without: a column left out.
    """
    rng = np.random.default_rng(0)
    slab = -(-steps // groups)
    step, env = (x.ravel() for x in np.meshgrid(np.arange(steps), np.arange(envs)))
    order = np.lexsort((step, env, step // slab))
    step, env = step[order], env[order]
    if missing_step is not None:
        keep = step != missing_step
        step, env = step[keep], env[keep]
    count = len(env)
    obs = rng.normal(size=(count, OBS)).astype(np.float32)
    action = np.tanh(obs @ rng.normal(size=(OBS, ACT))).astype(np.float32)
    if nan_at is not None:
        action[nan_at] = np.nan
    done = (step % 13 == 12) & (env % 2 == 0)
    columns = {
        "environment": env.astype(np.int32),
        "step": step.astype(np.int32),
        "episode": np.zeros(count, np.int32),
        "expert": np.zeros(count, np.int32),
        "observation": obs,
        "action": action,
        "done": done,
        "solved": done,
        "return": np.zeros(count, np.float32),
        "length": np.zeros(count, np.int32),
    }
    lists = {"observation": OBS, "action": ACT}
    arrow = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(column.ravel()), lists[name])
        if name in lists
        else pa.array(column)
        for name, column in columns.items()
        if name != without
    }
    metadata = {
        "level": "toy",
        "level_digest": "00ff",
        "observation_names": [f"entry {i}" for i in range(OBS)],
        "observation_indices": [1, 3, 4, 7, 11],
        "observation_constants": [0.5, 0.0, 2.0, 0.0, 0.0, 3.0, 0.0, 0.0, 1.0, 0.0, 0.5, 0.0],
    }
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    table = pa.table(arrow).replace_schema_metadata(texts)
    pq.write_table(table, path, row_group_size=envs * slab)
    return columns
