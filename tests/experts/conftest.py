"""Tiny tasks whose values and best actions are known by hand, each a room of one task.

One motor (action in [-1, 1]) and one thruster ([0, 1]). The environments of a batch are dealt
to the rooms in equal runs, so with one seed a room every seed learns its own. `noise` is the
only source of chance, as in the real stacks.

  constant  always the same observation, reward 1: V = 1
  coin      a coin is seen and is the reward: V = obs
  delayed   two steps, the reward of 1 comes with the second: V(0) = gamma, V(1) = 1
  target    the best motor action is 0.5, the best thruster action 0.25
  follow    the best motor action is coin / 2, the best thruster action 0.5 + coin / 4
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from rtc.config.sections import ExpertConfig
from rtc.env.wrappers import Outcome
from tests.experts.cart import Cart

ROOMS = ("constant", "coin", "delayed", "target", "follow")
CONSTANT, COIN, DELAYED, TARGET, FOLLOW = range(5)


class ProbeState(NamedTuple):
    obs: jnp.ndarray
    room: jnp.ndarray
    episode_return: jnp.ndarray
    length: jnp.ndarray
    age: jnp.ndarray


@dataclass(frozen=True)
class Probes:
    """rooms: which of `ROOMS`. broken: a room whose reward is NaN after `broken_after` steps."""

    rooms: tuple[int, ...] = tuple(range(5))
    observation_size: int = 1
    printable: bool = False
    broken: int = -1
    broken_after: int = 0

    @property
    def action_low(self) -> np.ndarray:
        return np.float32([-1, 0])

    def reset(self, batch_size: int) -> ProbeState:
        room = jnp.repeat(jnp.array(self.rooms), batch_size // len(self.rooms))
        length = jnp.zeros(batch_size, jnp.int32)
        coin = jnp.where(jnp.arange(batch_size) % 2 == 0, 1.0, -1.0)
        return ProbeState(_obs(room, coin, length), room, jnp.zeros(batch_size), length, 0 * length)

    def observe(self, state: ProbeState) -> jnp.ndarray:
        return state.obs

    def step(self, state, action, noise):
        reward = _reward(state, action)
        broken = (state.room == self.broken) & (state.age >= self.broken_after)
        reward = jnp.where(broken, jnp.nan, reward)
        length = state.length + 1
        done = length >= jnp.where(state.room == DELAYED, 2, 1)
        total = state.episode_return + reward
        whole = jnp.ones_like(done)
        outcome = Outcome(reward, done, done & (total > 0), total, length, whole)
        following = jnp.where(done, 0, length)
        obs = _obs(state.room, jnp.sign(noise[:, 0]), following)
        total = jnp.where(done, 0.0, total)
        return ProbeState(obs, state.room, total, following, state.age + 1), outcome


def _obs(room, coin, length):
    tossed = (room == COIN) | (room == FOLLOW)
    seen = jnp.where(tossed, coin, jnp.where(room == DELAYED, length, 0))
    return seen[:, None].astype(jnp.float32)


def _reward(state, action):
    obs = state.obs[:, 0]
    target = jnp.array([[0.5, 0.25]])
    follow = jnp.stack([0.5 * obs, 0.5 + 0.25 * obs], axis=1)
    return jnp.select(
        [state.room == room for room in range(5)],
        [
            jnp.ones_like(obs),
            obs,
            (state.length == 1).astype(jnp.float32),
            -jnp.square(action - target).sum(-1),
            -jnp.square(action - follow).sum(-1),
        ],
    )


@pytest.fixture(scope="session")
def probes():
    """The class of the probe task; a fixture, as test files import nothing from each other."""
    return Probes


@pytest.fixture(scope="session")
def small_config() -> ExpertConfig:
    """RPO as in the benchmark, at the size of a probe."""
    return ExpertConfig(
        seeds=1,
        seeds_per_job=1,
        total_steps=16 * 16 * 40,
        num_envs=16,
        rollout_steps=16,
        log_every=10,
        stop_at_solve_rate=None,
        stop_after_intervals=2,
        learning_rate=5e-3,
        max_grad_norm=1.0,
        gamma=0.9,
        gae_lambda=0.9,
        clip=0.2,
        value_coefficient=0.5,
        epochs=4,
        minibatches=4,
        rpo_alpha=0.1,
        entropy_coefficient=0.0,
        hidden_sizes=(16, 16),
        observation_history=4,
        dense_reward_scale=1 / 6,
        initial_std=1.0,
        demonstrations="none",
        video=False,
    )


@pytest.fixture(scope="session")
def cart():
    return Cart()


@pytest.fixture(scope="session")
def straight():
    """[n=2, q=1, t=40, a=2]: full speed ahead, and at half speed."""
    actions = np.zeros((2, 1, 60, 2), np.float32)
    actions[0, ..., 0], actions[1, ..., 0] = 1.0, 0.5
    return actions
