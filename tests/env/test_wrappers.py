"""Wrappers against their definitions, over a fake environment that counts its steps."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.config.sections import EnvConfig
from rtc.env.wrappers import (
    Stack,
    collect_stack,
    dense_reward,
    evaluate_stack,
    push_history,
    start_history,
)
from rtc.levels import SimParams, StaticParams


class FakeStep(NamedTuple):
    obs: jnp.ndarray
    reward: jnp.ndarray
    done: jnp.ndarray
    solved: jnp.ndarray
    distance: jnp.ndarray


@dataclass(frozen=True)
class Counter:
    """Observation [time, executed first action]; ends after 3 + i steps in environment i."""

    observation_size: int = 2
    action_size: int = 6
    level: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(
            params=SimParams(), static=StaticParams(), name="counter"
        )
    )

    def reset(self, batch_size):
        return jnp.zeros((batch_size, 2))

    def observe(self, state):
        return state

    def step(self, state, action):
        state = jnp.stack([state[:, 0] + 1, action[:, 0]], axis=1)
        done = state[:, 0] >= 3 + jnp.arange(len(state))
        reward = jnp.where(done, 1.0, 0.0)
        return state, FakeStep(state, reward, done, jnp.ones_like(done), 2 * state[:, 0])

    def replay(self, state, done):
        return jnp.where(done[:, None], 0.0, state)


ENV = EnvConfig(engine="specialised", action_noise=0.1, reward="reference")


def run(stack: Stack, steps: int, batch: int = 2):
    state = stack.reset(batch)
    rng = np.random.default_rng(0)
    seen = [np.asarray(stack.observe(state))]
    actions, outcomes = [], []
    for _ in range(steps):
        actions.append(rng.uniform(-1, 1, (batch, 6)).astype(np.float32))
        noise = rng.normal(size=(batch, 6)).astype(np.float32)
        state, outcome = stack.step(state, jnp.asarray(actions[-1]), jnp.asarray(noise))
        seen.append(np.asarray(stack.observe(state)))
        outcomes.append(outcome)
    return np.stack(seen), np.stack(actions), jax.tree.map(lambda *x: np.stack(x), *outcomes)


def test_history_starts_with_copies_and_a_zero_action():
    seen, actions, outcomes = run(Stack(Counter(), 0.0, 4, None), 5)
    np.testing.assert_array_equal(seen[0], np.zeros((2, 14)))
    # environment 1 runs four steps: times 0 0 0 1, 0 0 1 2, ... and the last action asked for
    np.testing.assert_array_equal(seen[2][1, 0:8:2], [0, 0, 1, 2])
    np.testing.assert_array_equal(seen[3][1, 0:8:2], [0, 1, 2, 3])
    np.testing.assert_array_equal(seen[3][1, 8:], actions[2][1])
    # environment 0 ended with step 3 and starts anew
    np.testing.assert_array_equal(outcomes.done[:, 0], [False, False, True, False, False])
    np.testing.assert_array_equal(seen[3][0], np.zeros(14))
    np.testing.assert_array_equal(seen[4][0, 0:8:2], [0, 0, 0, 1])


def test_the_policy_sees_the_action_without_the_noise():
    seen, actions, _ = run(Stack(Counter(), 0.5, 4, None), 1)
    np.testing.assert_array_equal(seen[1][:, 8:], actions[0])
    assert (np.abs(seen[1][:, 7] - actions[0][:, 0]) > 1e-3).all()


def test_noise_is_scaled_and_added_before_the_step():
    state = (stack := Stack(Counter(), 0.1, 0, None)).reset(2)
    action, noise = jnp.full((2, 6), 0.25), jnp.array([[1.0] * 6, [-2.0] * 6])
    state, _ = stack.step(state, action, noise)
    np.testing.assert_allclose(stack.observe(state)[:, 1], [0.35, 0.05], rtol=1e-6)


def test_statistics_are_those_of_the_episode():
    _, _, outcomes = run(Stack(Counter(), 0.1, 0, None), 8)
    np.testing.assert_array_equal(outcomes.episode_length[:, 0], [1, 2, 3, 1, 2, 3, 1, 2])
    np.testing.assert_array_equal(outcomes.episode_length[:, 1], [1, 2, 3, 4, 1, 2, 3, 4])
    np.testing.assert_array_equal(outcomes.episode_return[:, 0], [0, 0, 1, 0, 0, 1, 0, 0])
    np.testing.assert_array_equal(outcomes.solved, outcomes.done)


def test_dense_reward_by_hand():
    reward = jnp.array([0.0, 1.0, -1.0, 0.0])
    distance, done = jnp.array([3.0, 3.0, 3.0, 2.0]), jnp.array([False, True, True, True])
    found = dense_reward(reward, distance, done, jnp.array([10, 20, 56, 255]), 1 / 6, 256)
    # per step 3 / 6 / 256; a failure in step 56 (0-based) also pays for the 200 steps left
    step = 3 / 6 / 256
    np.testing.assert_allclose(found, [-step, 1, -1 - 200 * step, -2 / 6 / 256], rtol=1e-6)


def test_expert_stack_shapes_with_the_step_of_the_episode():
    _, _, outcomes = run(Stack(Counter(), 0.1, 4, 1 / 6), 4)
    step = 2 / 6 / 256
    np.testing.assert_allclose(outcomes.reward[:, 1], [-step, -2 * step, -3 * step, 1], rtol=1e-5)
    np.testing.assert_allclose(outcomes.episode_return[3, 1], 1 - 6 * step, rtol=1e-5)


def test_stacks_of_the_reference():
    expert, collect = Stack(Counter(), 0.1, 4, 1 / 6), collect_stack(Counter(), ENV, 4)
    evaluate = evaluate_stack(Counter(), ENV)
    assert [s.observation_size for s in (expert, collect, evaluate)] == [14, 14, 2]
    assert [s.dense_scale for s in (collect, evaluate)] == [None, None]
    np.testing.assert_array_equal(expert.action_low, [-1, -1, -1, -1, 0, 0])


@pytest.mark.parametrize("length", [1, 4])
def test_history_functions_agree_with_the_stack(length):
    stack = Stack(Counter(), 0.0, length, None)
    seen, actions, _ = run(stack, 2)
    history = start_history(jnp.zeros((2, 2)), length, 6)
    for t in range(2):
        obs = np.asarray(stack.current(jnp.asarray(seen[t + 1])))
        history = push_history(history, jnp.asarray(obs), jnp.asarray(actions[t]))
        np.testing.assert_array_equal(history, seen[t + 1])


def test_stack_scans_and_compiles_once():
    stack = Stack(Counter(), 0.1, 4, 1 / 6)

    @jax.jit
    def play(state, noise):
        return jax.lax.scan(lambda s, n: stack.step(s, n, n), state, noise)

    noise = jax.random.normal(jax.random.key(0), (9, 2, 6))
    _, outcomes = play(stack.reset(2), noise)
    assert outcomes.done.sum() == 5
