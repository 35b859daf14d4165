"""A toy for the adapter to gymnax: an engine whose every number is known."""

import jax
import jax.numpy as jnp
import pytest

from rtc.env import Env, Step
from rtc.env.gymnax_adapter import GymnaxEnv
from rtc.levels import load_level


class ToyEngine:
    """Counts steps, batch last: the goal when the first motor action sums up to 2.

    `batches` records the batch sizes that a step was traced for.
    """

    batch_axis = -1
    printable = False

    def __init__(self, level):
        self.batches = []
        self.size = len(Env(level, "none", self).observation.indices)

    def reset(self, batch_size):
        return {"sum": jnp.zeros((1, batch_size)), "time": jnp.zeros(batch_size, jnp.int32)}

    def step(self, state, action):
        self.batches.append(action.shape[0])
        state = {"sum": state["sum"] + action.T[:1], "time": state["time"] + 1}
        solved = state["sum"][0] >= 2
        done = solved | (state["time"] >= 256)
        return state, Step(
            self.observe(state), solved.astype(jnp.float32), done, solved, -state["sum"][0]
        )

    def observe(self, state):
        return jnp.repeat(state["sum"], self.size, axis=0).T

    def replay(self, state, done):
        return jax.tree.map(lambda x: jnp.where(done if x.ndim == 1 else done[None], 0, x), state)

    def push(self, state, change):
        return state

    def from_kinetix(self, env_state):
        return env_state

    def to_kinetix(self, state):
        return state


@pytest.fixture
def toy(monkeypatch):
    """An adapter around the toy, without noise."""
    level = load_level("cartpole_thrust")
    monkeypatch.setattr(
        "rtc.env.gymnax_adapter.make_env",
        lambda level, engine, reward: Env(level, engine, ToyEngine(level)),
    )
    return GymnaxEnv(level, engine="toy", action_noise=0.0)


def push(*amounts):
    """[n, 6] actions whose first motor has these values."""
    return jnp.zeros((len(amounts), 6)).at[:, 0].set(jnp.array(amounts, jnp.float32))
