"""What is counted along an episode, and what it amounts to at the end.

Actions count as the policy commands them, before the environment's noise and clipping, and
only the entries that move something in this level: the others are noise that an expert never
had a reason to still.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from rtc.levels import Level
from rtc.types import Array, Bool, Float, Int


class Tally(NamedTuple):
    """Sums over an episode so far, each [b] unless said otherwise.

    value: return. solved: goal reached. length: steps. last, before_last: [b, a] the two
    actions before now. change_sum: of changes from one action to the next. jump_*: of those, over
    switches between chunks alone. jerk_sum: of squared second differences. acceleration_max:
    largest second difference. mismatch_*: over inferences.
    """

    value: Array
    solved: Array
    length: Array
    last: Array
    before_last: Array
    change_sum: Array
    jump_sum: Array
    jump_count: Array
    jump_max: Array
    jerk_sum: Array
    acceleration_max: Array
    mismatch_sum: Array
    mismatch_count: Array


def used_actions(level: Level) -> np.ndarray:
    """Returns [a] bool: which entries of an action move a motor or a thruster of the level."""
    motors, thrusters = level.static.num_motor_bindings, level.static.num_thruster_bindings
    used = np.zeros(motors + thrusters, bool)
    driven = level["joint/active"] & level["joint/motor_on"] & ~level["joint/is_fixed_joint"]
    used[level["motor_bindings"][driven & ~level["motor_auto"]]] = True
    used[motors + level["thruster_bindings"][level["thruster/active"]]] = True
    return used


def empty_tally(batch_size: int, action_size: int) -> Tally:
    """Returns the tally of `batch_size` episodes that have not begun."""
    zeros = jnp.zeros(batch_size, jnp.float32)
    counts = jnp.zeros(batch_size, jnp.int32)
    actions = jnp.zeros((batch_size, action_size), jnp.float32)
    sums = dict.fromkeys(Tally._fields, zeros)
    return Tally(
        **sums
        | dict.fromkeys(("length", "jump_count", "mismatch_count"), counts)
        | {"solved": jnp.zeros(batch_size, bool), "last": actions, "before_last": actions}
    )


def count_step(
    tally: Tally,
    action: Float[Array, "b a"],
    switched: Bool[Array, "b"],
    reward: Float[Array, "b"],
    solved: Bool[Array, "b"],
    used: Float[Array, "a"],
) -> Tally:
    """Adds one executed step. switched: its action is of another chunk than the last one.
    used: 1 for entries that move something, else 0."""
    change = jnp.where(tally.length >= 1, _norm(action - tally.last, used), 0.0)
    jump = jnp.where(switched, change, 0.0)
    bend = _norm(action - 2 * tally.last + tally.before_last, used)
    bend = jnp.where(tally.length >= 2, bend, 0.0)
    return tally._replace(
        value=tally.value + reward,
        solved=solved,
        length=tally.length + 1,
        last=action,
        before_last=tally.last,
        change_sum=tally.change_sum + change,
        jump_sum=tally.jump_sum + jump,
        jump_count=tally.jump_count + switched,
        jump_max=jnp.maximum(tally.jump_max, jump),
        jerk_sum=tally.jerk_sum + bend**2,
        acceleration_max=jnp.maximum(tally.acceleration_max, bend),
    )


def count_chunk(
    tally: Tally,
    chunk: Float[Array, "b h a"],
    previous: Float[Array, "b h a"],
    delay: Int[Array, "b"],
    used: Float[Array, "a"],
) -> Tally:
    """Adds one inference: how far the new chunk is from the old one where the old one runs."""
    covered = jnp.arange(chunk.shape[1])[None] < delay[:, None]
    distance = jnp.sum(jnp.abs(chunk - previous) * used[None, None], axis=-1)
    entries = jnp.maximum(delay, 1) * jnp.maximum(jnp.sum(used), 1)
    mean = jnp.sum(jnp.where(covered, distance, 0.0), axis=1) / entries
    return tally._replace(
        mismatch_sum=tally.mismatch_sum + mean,
        mismatch_count=tally.mismatch_count + (delay > 0),
    )


def outcomes(tally: Tally) -> dict[str, Array]:
    """Returns the metrics of finished episodes, [b] each; NaN where there is nothing to mean."""
    changes, bends = jnp.maximum(tally.length - 1, 0), jnp.maximum(tally.length - 2, 0)
    return {
        "solved": tally.solved,
        "return": tally.value,
        "length": tally.length,
        "jump_mean": _ratio(tally.jump_sum, tally.jump_count),
        "jump_max": jnp.where(tally.jump_count > 0, tally.jump_max, jnp.nan),
        "action_change": _ratio(tally.change_sum, changes),
        "jerk": _ratio(tally.jerk_sum, bends),
        "acceleration_max": jnp.where(bends > 0, tally.acceleration_max, jnp.nan),
        "mismatch": _ratio(tally.mismatch_sum, tally.mismatch_count),
    }


def _norm(vector: Float[Array, "b a"], used: Float[Array, "a"]) -> Float[Array, "b"]:
    return jnp.sqrt(jnp.sum(vector**2 * used[None], axis=-1))


def _ratio(total: Float[Array, "b"], count: Int[Array, "b"]) -> Float[Array, "b"]:
    return jnp.where(count > 0, total / jnp.maximum(count, 1), jnp.nan)
