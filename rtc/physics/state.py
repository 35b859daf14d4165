"""The state of a batch of environments: structure of arrays, batch last."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from rtc.physics.scene import Scene
from rtc.physics.vector import Vec
from rtc.types import Array

NO_POINT = -1


class Motion(NamedTuple):
    """Where the moving bodies are and how they move, each [m, b].

    position: m. velocity: m/s. angle: rad, not wrapped. spin: rad/s.
    """

    position: Vec
    velocity: Vec
    angle: Array
    spin: Array


class Memory(NamedTuple):
    """Impulses of the contact points of the last substep, with which the next one begins.

    point: [w, b] int32 which point of which pair, NO_POINT for none. sums: [w, 2, b] impulses
    along normal and tangent, N s. used: [b] int32, rows from there on say nothing.
    """

    point: Array
    sums: Array
    used: Array


class JointImpulses(NamedTuple):
    """What the joints summed up since the episode began: [j, b] N s, and twist in N m s."""

    linear: Vec
    twist: Array


class State(NamedTuple):
    """Everything that changes. timestep: [b] int32, steps since the episode began."""

    motion: Motion
    joints: JointImpulses
    memory: Memory
    timestep: Array


def initial_state(scene: Scene, joints: np.ndarray, width: int, batch_size: int) -> State:
    """The level's start. joints: ids of the joints that act. width: rows of the memory."""
    level = scene.level

    def spread(values: np.ndarray) -> Array:
        values = np.asarray(values, np.float32)
        return jnp.broadcast_to(values[:, None], (len(values), batch_size))

    def spread_vec(values: np.ndarray) -> Vec:
        return Vec(spread(values[:, 0]), spread(values[:, 1]))

    return State(
        motion=Motion(
            spread_vec(scene.of("position")),
            spread_vec(scene.of("velocity")),
            spread(scene.of("rotation")),
            spread(scene.of("angular_velocity")),
        ),
        joints=JointImpulses(
            spread_vec(level["joint/acc_impulse"][joints]),
            spread(level["joint/acc_r_impulse"][joints]),
        ),
        memory=Memory(
            jnp.full((width, batch_size), NO_POINT, jnp.int32),
            jnp.zeros((width, 2, batch_size), jnp.float32),
            jnp.zeros(batch_size, jnp.int32),
        ),
        timestep=jnp.zeros(batch_size, jnp.int32),
    )
