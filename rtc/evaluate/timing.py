"""How long a chunk takes on this device, and a step where a method acts on every one: inference
alone, compiled, without the environment."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from rtc.evaluate.noise import Streams
from rtc.evaluate.program import Program
from rtc.evaluate.scene import Scene
from rtc.evaluate.slots import Plan, Slots, Start
from rtc.storage.tables import TIMING_COLUMNS
from rtc.types import Array, PyTree

# A measurement takes at least this many calls and about this long.
CALLS, SECONDS = 5, 0.5


def seconds_per_call(
    program: Program,
    policies: PyTree,
    streams: Streams,
    plan: Plan,
    slots: Slots,
    carry: PyTree,
    forecast: Array | None,
) -> float:
    """Returns the median time of one inference for all of `slots` at once, in seconds."""

    def call(made: tuple[Any, PyTree]) -> tuple[Any, PyTree]:
        return program.make(policies, streams, plan, slots, made[1], forecast)

    return _median_seconds(call, (None, carry))


def seconds_per_step(scene: Scene, policies: PyTree, slots: Slots, carry: PyTree) -> float:
    """Returns the median time that a method takes to act for all of `slots` at once, in seconds;
    0 if it does not act on every step."""
    if not scene.acts:
        return 0.0

    @jax.jit
    def act(policies: PyTree, carry: PyTree) -> tuple[Array, PyTree]:
        place = jnp.zeros_like(slots.made)
        return scene.act(policies)(slots.obs, slots.previous[:, 0], place, carry)

    return _median_seconds(lambda _: act(policies, carry), None)


def _median_seconds(call: Callable[[Any], Any], given: Any) -> float:
    """Of calls, each of which is given what the last one returned."""
    given = jax.block_until_ready(call(given))
    taken: list[float] = []
    while len(taken) < CALLS or sum(taken) < SECONDS:
        begun = time.perf_counter()
        given = jax.block_until_ready(call(given))
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
    batches: Sequence[int],
) -> pd.DataFrame:
    """Returns a row for each of `batches`, with columns TIMING_COLUMNS.

    start: as for the sweep; its first observation stands for any. keys: level, policy, seed
    and method of the rows.
    """
    everyone = program.begin(start).slots._replace(env=())
    rows = []
    for batch in dict.fromkeys(batches):
        place = jnp.arange(batch) % program.slots
        slots = jax.tree.map(lambda leaf, place=place: leaf[place], everyone)
        carry = scene.init(*slots.previous.shape)
        forecast = None if scene.forecaster is None else slots.obs
        setup = policies, streams, plan, slots, carry, forecast
        seconds = seconds_per_call(program, *setup)
        carry = scene.init(*slots.previous.shape)  # The other one was used up.
        per_step = seconds_per_step(scene, policies, slots, carry)
        rows.append(
            keys
            | {
                "batch": batch,
                "seconds_per_chunk": seconds / batch,
                "chunks_per_second": batch / seconds,
                "network_evaluations": scene.method.network_evaluations(scene.flow_steps),
                "seconds_per_step": per_step / batch,
                "step_evaluations": scene.step_evaluations,
                "device": jax.devices()[0].device_kind,
            }
        )
    return pd.DataFrame(rows, columns=list(TIMING_COLUMNS))
