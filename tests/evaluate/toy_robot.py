"""A robot that is quick to compile: a point on a line that must reach a goal.

Kept with the batch last inside, as the engine does, so that nothing may rely on where an
environment's state keeps its batch.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rtc.flow import FlowPolicy, ModelConfig

LIMIT, FULL = 40, 7


class State(NamedTuple):
    """place, speed: [1, b]. time: [1, b]."""

    place: jax.Array
    speed: jax.Array
    time: jax.Array


class Step(NamedTuple):
    obs: jax.Array
    reward: jax.Array
    done: jax.Array
    solved: jax.Array
    distance: jax.Array


class ToyEnv:
    """Action 0 accelerates; reaching +1 solves, -1 fails, and so does the time limit."""

    engine = "toy"
    action_size = 2
    observation_size = 3
    observation_spec = ("place", "speed", "time")
    observation_indices = np.array([1, 2, 5])
    observation_constants = np.zeros(FULL, np.float32)

    def reset(self, batch_size):
        zeros = jnp.zeros((1, batch_size), jnp.float32)
        return State(zeros, zeros, jnp.zeros((1, batch_size), jnp.int32))

    def observe(self, state):
        place, speed, time = (row[0] for row in state)
        return jnp.stack([place, speed, time.astype(jnp.float32) / LIMIT], axis=1)

    def step(self, state, action):
        push = jnp.clip(action[:, 0], -1, 1)[None]
        speed = 0.95 * state.speed + 0.02 * push
        state = State(state.place + speed, speed, state.time + 1)
        place, time = state.place[0], state.time[0]
        solved, failed = place >= 1, place <= -1
        done = solved | failed | (time >= LIMIT)
        reward = solved.astype(jnp.float32) - failed.astype(jnp.float32)
        return state, Step(self.observe(state), reward, done, solved, 1 - place)

    def replay(self, state, done):
        fresh = self.reset(done.shape[0])
        return State(*(jnp.where(done[None], new, old) for new, old in zip(fresh, state)))

    def push(self, state, change):
        return state._replace(speed=state.speed + change[:, :, 0].T)

    def expand(self, obs):
        full = jnp.zeros((obs.shape[0], FULL), jnp.float32)
        return full.at[:, self.observation_indices].set(obs)

    def compress(self, full):
        return full[:, self.observation_indices]


def toy_policy(seed=0, obs_dim=3, push=0.55):
    """A random policy that on the whole pushes towards the goal."""
    config = ModelConfig(
        channel_dim=16, channel_hidden_dim=16, token_hidden_dim=8, num_layers=1, action_chunk_size=8
    )
    policy = FlowPolicy(obs_dim=obs_dim, action_dim=2, config=config, rngs=nnx.Rngs(seed))
    graph, state = nnx.split(policy)
    leaves, tree = jax.tree.flatten(state)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    noisy = [x + 0.2 * jax.random.normal(key, x.shape) for x, key in zip(leaves, keys)]
    policy = nnx.merge(graph, jax.tree.unflatten(tree, noisy))
    policy.out_proj.bias[...] = jnp.array([push, 0.0])
    return policy
