"""What a head learns from where it learns from a data set: the experts' states and actions."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq

from rtc.flow.heads import HeadRows
from rtc.flow.loading import LoadedPolicy
from rtc.training.windows import matrix, open_dataset
from rtc.types import Array, Key

BATCH = 1024  # chunks made at once


def dataset_rows(
    loaded: LoadedPolicy, path: str | Path, history: int, count: int, flow_steps: int, key: Key
) -> HeadRows:
    """`count` moments of a data set drawn at random, or all if there are fewer.

    The action is that of a chunk which the policy makes for a moment of the same episode 0 to
    H - 1 steps before; the label is what was recorded. history: observations (k).
    Raises ArtifactError on a data set that cannot be read.
    """
    obs, action, first = _episodes(path)
    draw_key, noise_key = jax.random.split(key)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(draw_key)).ravel())
    chosen = np.sort(rng.permutation(len(obs))[:count])
    size = loaded.policy.action_chunk_size
    place = rng.integers(0, np.minimum(size, chosen - first[chosen] + 1))
    back = chosen[:, None] - np.arange(history)[None, ::-1]
    begins = chosen == first[chosen]
    return HeadRows(
        obs_history=obs[np.maximum(back, first[chosen][:, None])],
        last_action=np.where(begins[:, None], 0, action[chosen - 1]).astype(np.float32),
        action=_planned(loaded, obs, chosen - place, place, flow_steps, noise_key),
        index=place.astype(np.int32),
        label=action[chosen],
    )


def _episodes(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observations and actions in the order of time, and where each row's episode begins, as far
    as the data set has it; a step left out begins one too."""
    data = open_dataset(path, 1)
    table = pq.read_table(path, columns=["environment", "step", "done", "observation", "action"])
    order = np.argsort(data.rows.rank)
    environment, step, done = (
        table[name].to_numpy()[order] for name in ("environment", "step", "done")
    )
    follows = (environment[1:] == environment[:-1]) & (step[1:] == step[:-1] + 1) & ~done[:-1]
    starts = np.where(np.append(False, follows), 0, np.arange(len(order)))
    obs, action = (
        matrix(table[name], width)[order]
        for name, width in (("observation", data.obs_dim), ("action", data.action_dim))
    )
    return obs, action, np.maximum.accumulate(starts)


def _planned(
    loaded: LoadedPolicy,
    obs: np.ndarray,
    made: np.ndarray,
    place: np.ndarray,
    flow_steps: int,
    key: Key,
) -> np.ndarray:
    """The policy's actions [n, a]: number `place` of the chunks made for rows `made`."""
    parts: list[Any] = []
    for number, start in enumerate(range(0, len(made), BATCH)):
        rows = made[start : start + BATCH]
        # The last batch is filled up, so that one compiled program serves all.
        filled = obs[np.resize(rows, BATCH)]
        chunk: Array = loaded.action(
            jnp.asarray(filled), jax.random.fold_in(key, number), num_steps=flow_steps
        )
        parts.append(np.asarray(chunk)[np.arange(len(rows)), place[start : start + BATCH]])
    return np.concatenate(parts)
