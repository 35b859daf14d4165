"""A cart on a line that must be at the goal late: the simplest level that has a long way."""

from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rtc.env.base import Env, Step

GOAL = 2.0


class CartState(NamedTuple):
    """place: [b]. timestep: [b]."""

    place: jnp.ndarray
    timestep: jnp.ndarray


class Cart(Env):
    """Moves by a tenth of its motor's action, ends at the goal, or at -1, or after 64 steps."""

    action_size = 2
    observation_size = 1

    def __init__(self):
        params = SimpleNamespace(max_timesteps=64)
        static = SimpleNamespace(num_motor_bindings=1, num_thruster_bindings=1)
        self.level = SimpleNamespace(params=params, static=static)
        self._physics = SimpleNamespace(batch_axis=0, printable=False)

    def reset(self, batch_size):
        return CartState(jnp.zeros(batch_size), jnp.zeros(batch_size, jnp.int32))

    def observe(self, state):
        return state.place[:, None]

    def replay(self, state, done):
        return jax.tree.map(lambda leaf: jnp.where(done, 0, leaf), state)

    def step(self, state, action):
        place = state.place + 0.1 * jnp.clip(action[:, 0], -1, 1)
        state = CartState(place, state.timestep + 1)
        solved, lost = place >= GOAL, place <= -1.0
        reward = solved.astype(jnp.float32) - lost
        done = solved | lost | (state.timestep >= 64)
        return state, Step(place[:, None], reward, done, solved, GOAL - place)
