"""How long a chunk takes on this device: inference alone, compiled, without the environment."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from rtc.evaluate.noise import make_streams
from rtc.evaluate.scene import Scene
from rtc.evaluate.slots import Plan, Slots, Start, begin, infer
from rtc.tables import TIMING_COLUMNS
from rtc.types import Array, PyTree

# A measurement takes at least this many calls and about this long.
CALLS, SECONDS = 5, 0.5


def seconds_per_call(scene: Scene, policies: PyTree, start: Start, plan: Plan, batch: int) -> float:
    """Returns the median time of one inference for `batch` robots at once, in seconds."""
    streams = make_streams(0, "timing", 0)
    slots = begin(scene, start, batch).slots._replace(env=())
    carry = scene.method.init(*slots.previous.shape)

    @jax.jit
    def call(policies: PyTree, slots: Slots, carry: PyTree) -> Array:
        return infer(scene, policies, streams, plan, slots, carry)[0]

    call(policies, slots, carry).block_until_ready()
    taken: list[float] = []
    while len(taken) < CALLS or sum(taken) < SECONDS:
        begun = time.perf_counter()
        call(policies, slots, carry).block_until_ready()
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken))


def time_method(
    scene: Scene, policies: PyTree, start: Start, plan: Plan, slots: int, keys: dict[str, Any]
) -> pd.DataFrame:
    """Returns a row for batch 1 and one for the sweep's batch, with columns TIMING_COLUMNS.

    start: as for the sweep; its first observation stands for any. keys: level, policy, seed
    and method of the rows.
    """
    rows = []
    for batch in dict.fromkeys((1, slots)):
        repeats = -(-batch // start.chunks.shape[0])
        enough = start._replace(chunks=jnp.concatenate([start.chunks] * repeats))
        seconds = seconds_per_call(scene, policies, enough, plan, batch)
        rows.append(
            keys
            | {
                "batch": batch,
                "seconds_per_chunk": seconds / batch,
                "chunks_per_second": batch / seconds,
                "network_evaluations": scene.method.network_evaluations(scene.flow_steps),
                "device": jax.devices()[0].device_kind,
            }
        )
    return pd.DataFrame(rows, columns=list(TIMING_COLUMNS))
