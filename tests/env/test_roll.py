"""Steps of training and of data collection in which all but the networks is one kernel, against
the same steps with a kernel for the physics alone (tests/physics/test_kernel.py) and the rest by
jax. Both kernels are compiled by gcc."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.config.sections import EnvConfig
from rtc.datasets.play import play_block, start_play
from rtc.env import make_env
from rtc.env.wrappers import Stack, collect_stack
from rtc.experts.actor_critic import ActorCritic, Dense
from rtc.experts.ppo import play
from rtc.levels import load_level
from tests.physics.c_program import launches_by_gcc, needs_gcc

STEPS, BATCH, TOLERANCE = 6, 8, 2e-4


@pytest.fixture
def both_ways(tmp_path, monkeypatch):
    """function, arguments -> its results with the small kernel, and with the large one."""

    def call(function, *arguments):
        monkeypatch.setattr("rtc.env.specialised.kernel_at_hand", lambda: True)
        small = jax.jit(partial(function))(*arguments)
        monkeypatch.setattr("rtc.env.roll.kernel_at_hand", lambda: True)
        assert len(programs) == 1
        large = jax.jit(partial(function))(*arguments)
        assert len(programs) == 2
        return small, large

    with launches_by_gcc(tmp_path) as programs:
        yield call


def experts(stack):
    """Two, of random numbers."""
    random = np.random.default_rng(0)

    def network(*sizes):
        pairs = pairwise(sizes)
        return tuple(
            Dense(random.normal(0, 0.3, (2, i, o)).astype(np.float32), np.zeros((2, o), np.float32))
            for i, o in pairs
        )

    inputs, actions = stack.observation_size, len(stack.action_low)
    log_std = np.full((2, actions), -1, np.float32)
    return ActorCritic(network(inputs, 16, actions), network(inputs, 16, 1), log_std)


def near_the_limit(envs, limit):
    """Every second episode ends by itself within the steps that are played."""
    number = jnp.arange(BATCH)
    time = jnp.where(number % 2, limit - 1 - number // 2, 0)
    return envs._replace(state=envs.state._replace(timestep=time), episode_length=time)


def seen(envs):
    """Without the memory of contacts, whose unused rows a kernel leaves as they are."""
    return envs._replace(state=(envs.state.motion, envs.state.joints, envs.state.timestep))


def assert_same(one, other):
    for ours, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert ours.dtype == theirs.dtype
        if jnp.issubdtype(ours.dtype, jnp.floating):
            np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)
        else:
            np.testing.assert_array_equal(ours, theirs)


@needs_gcc
def test_steps_in_which_experts_learn(both_ways):
    level = load_level("cartpole_thrust")
    stack = Stack(make_env(level), 0.1, history=2, dense_scale=1 / 6)
    envs = near_the_limit(stack.reset(BATCH), level.params.max_timesteps)
    keys = jax.random.split(jax.random.key(1))
    small, large = both_ways(partial(play, stack, steps=STEPS), experts(stack), envs, keys)
    assert large[2].count.sum() == BATCH / 2
    assert_same((seen(small[0]), *small[1:]), (seen(large[0]), *large[1:]))


@needs_gcc
def test_steps_in_which_experts_fill_a_data_set(both_ways):
    level = load_level("h17_unicycle")
    config = EnvConfig(engine="specialised", action_noise=0.1, reward="reference")
    stack = collect_stack(make_env(level), config, 2)
    state = start_play(stack, 2, BATCH, jax.random.key(1))
    state = state._replace(envs=near_the_limit(state.envs, level.params.max_timesteps))
    small, large = both_ways(partial(play_block, stack, steps=STEPS), experts(stack), state)
    assert large[1].done.sum() == BATCH / 2
    assert_same(
        (seen(small[0].envs), small[0][1:3], small[1]),
        (seen(large[0].envs), large[0][1:3], large[1]),
    )
