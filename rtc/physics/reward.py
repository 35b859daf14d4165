"""Reward of a substep: who touches whom, and how far the goal is.

Roles multiply: green (1) with blue (2) is the goal, green with red (3) is forbidden.
"""

import jax.numpy as jnp
import numpy as np

from rtc.physics.contacts import Kind
from rtc.physics.scene import FORBIDDEN, GOAL, Scene
from rtc.physics.state import Motion
from rtc.physics.vector import Vec, length
from rtc.types import Array, Bool, Float


def touch_reward(
    kinds: tuple[Kind, ...], touches: list[Bool[Array, "p b"]], batch_size: int
) -> Float[Array, " b"]:
    """-1 for a forbidden touch, else 1 for a touch of the goal, else 0."""
    goal, forbidden = (_any_touch(kinds, touches, role, batch_size) for role in (GOAL, FORBIDDEN))
    return jnp.where(forbidden, -1.0, jnp.where(goal, 1.0, 0.0)).astype(jnp.float32)


def _any_touch(
    kinds: tuple[Kind, ...], touches: list[Array], role: int, batch_size: int
) -> Bool[Array, " b"]:
    found = jnp.zeros(batch_size, bool)
    for kind, touch in zip(kinds, touches):
        for row in np.flatnonzero(kind.pairs.candidate & (kind.pairs.role == role)):
            found = found | touch[row]
        resting = kind.pairs.fixed
        if (resting.candidate & (resting.role == role) & kind.always).any():
            found = jnp.ones_like(found)
    return found


def goal_distance(scene: Scene, motion: Motion) -> Float[Array, " b"]:
    """Metres between the centres of all green and blue bodies, also where they cannot touch."""
    total = jnp.zeros(motion.angle.shape[1], jnp.float32)
    for pairs in scene.contacts:
        for table in (pairs, pairs.fixed):
            for row in np.flatnonzero(table.role == GOAL):
                ends = zip(table.kinds, (table.a[row], table.b[row]))
                a, b = (_centre(scene, kind.ids[i], motion) for kind, i in ends)
                total = total + length(b - a)
    return total


def _centre(scene: Scene, body: int, motion: Motion) -> Vec:
    row = scene.row(body)
    if row is not None:
        return Vec(motion.position.x[row], motion.position.y[row])
    level = scene.level
    place = np.concatenate([level["polygon/position"], level["circle/position"]])[body]
    return Vec(*map(jnp.float32, place))
