"""How long a chunk takes on this device: inference alone, compiled, without the environment."""

import time
from typing import Any

import jax
import numpy as np
import pandas as pd

from rtc.evaluate.noise import Streams
from rtc.evaluate.program import Program
from rtc.evaluate.scene import Scene
from rtc.evaluate.slots import Plan, Slots, Start
from rtc.storage.tables import TIMING_COLUMNS
from rtc.types import PyTree

# A measurement takes at least this many calls and about this long.
CALLS, SECONDS = 5, 0.5


def seconds_per_call(
    program: Program, policies: PyTree, streams: Streams, plan: Plan, slots: Slots, carry: PyTree
) -> float:
    """Returns the median time of one inference for all of `slots` at once, in seconds."""
    chunk, carry = program.make(policies, streams, plan, slots, carry)
    chunk.block_until_ready()
    taken: list[float] = []
    while len(taken) < CALLS or sum(taken) < SECONDS:
        begun = time.perf_counter()
        chunk, carry = program.make(policies, streams, plan, slots, carry)
        chunk.block_until_ready()
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken))


def time_method(
    scene: Scene,
    program: Program,
    policies: PyTree,
    streams: Streams,
    start: Start,
    plan: Plan,
    keys: dict[str, Any],
) -> pd.DataFrame:
    """Returns a row for batch 1 and one for the sweep's batch, with columns TIMING_COLUMNS.

    start: as for the sweep; its first observation stands for any. keys: level, policy, seed
    and method of the rows.
    """
    everyone = program.begin(start).slots._replace(env=())
    rows = []
    for batch in dict.fromkeys((1, program.slots)):
        slots = jax.tree.map(lambda leaf, batch=batch: leaf[:batch], everyone)
        carry = scene.method.init(*slots.previous.shape)
        seconds = seconds_per_call(program, policies, streams, plan, slots, carry)
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
