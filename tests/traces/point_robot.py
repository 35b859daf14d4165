"""A made-up engine on a real level: quick to compile, with states that Kinetix can draw."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rtc.config.sections import EnvConfig
from rtc.env.base import Step
from rtc.env.kinetix_state import kinetix_state

LIMIT, BODY, OBSERVED = 33, 8, 5
ENV_CONFIG = EnvConfig(engine="specialised", action_noise=0.1, reward="reference")
ROLLOUTS = 5


class State(NamedTuple):
    """place, speed, time: [1, b], the batch last."""

    place: jax.Array
    speed: jax.Array
    time: jax.Array


class PointEnv:
    """The fifth action pushes a body; at +1 it is at its goal, at -1 it has failed."""

    engine = "point"
    action_size = 6

    def __init__(self, level):
        self.level = level
        self.observation_size = OBSERVED
        self.observation_constants = np.zeros(679, np.float32)

    def reset(self, batch_size):
        zeros = jnp.zeros((1, batch_size), jnp.float32)
        return State(zeros, zeros, jnp.zeros((1, batch_size), jnp.int32))

    def observe(self, state):
        seen = jnp.concatenate([state.place, state.speed], axis=0).T
        return jnp.pad(seen, ((0, 0), (0, self.observation_size - 2)))

    def step(self, state, action):
        push = jnp.clip(action[:, 4], -1, 1)[None]
        speed = 0.9 * state.speed + 0.03 * push
        state = State(state.place + speed, speed, state.time + 1)
        place, time = state.place[0], state.time[0]
        solved, failed = place >= 1, place <= -1
        done = solved | failed | (time >= LIMIT)
        reward = solved.astype(jnp.float32) - failed.astype(jnp.float32)
        return state, Step(self.observe(state), reward, done, solved, 1 - place)

    def to_kinetix(self, state):
        size = state.place.shape[1]
        start = kinetix_state(self.level)
        batched = jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], size, 0), start)
        moved = batched.polygon.position.at[:, BODY, 0].add(state.place[0])
        return batched.replace(polygon=batched.polygon.replace(position=moved))

    def replay(self, state, done):
        fresh = self.reset(done.shape[0])
        return State(*(jnp.where(done[None], new, old) for new, old in zip(fresh, state)))
