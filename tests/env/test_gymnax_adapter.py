"""The adapter to gymnax's convention: one environment that vmaps into one batch of the engine."""

import copy
import functools

import gymnax.environments.environment
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces

from rtc.env.gymnax_adapter import GymnaxEnv, GymnaxParams
from rtc.env.wrappers import dense_reward
from rtc.errors import ArgumentError
from tests.env.conftest import push

KEY = jax.random.key(0)
SHAPED = functools.partial(dense_reward, scale=1 / 6, max_timesteps=256)


@pytest.fixture(scope="module")
def cartpole():
    return GymnaxEnv("cartpole_thrust", action_noise=0.0)


def batches(env):
    return env.env._physics.batches


def test_spaces_and_parameters(toy):
    action, observation = toy.action_space(), toy.observation_space(toy.default_params)
    assert isinstance(action, spaces.Box) and isinstance(observation, spaces.Box)
    assert (action.shape, action.low, action.high) == ((6,), -1.0, 1.0)
    assert observation.shape == (toy.env.observation_size,)
    assert toy.num_actions == 6
    assert toy.default_params.max_steps_in_episode == 256
    assert toy.name == "cartpole_thrust"
    assert isinstance(toy, gymnax.environments.environment.Environment)
    other = copy.deepcopy(toy)
    assert other is not toy and other.name == toy.name
    assert action.contains(action.sample(KEY))


def test_one_environment_has_no_batch_axis(toy):
    obs, state = toy.reset(KEY, toy.default_params)
    assert obs.shape == (toy.env.observation_size,)
    assert jax.tree.map(jnp.shape, state.physics) == {"sum": (1,), "time": ()}
    obs, state, *ends, info = toy.step(KEY, state, push(0.5)[0], toy.default_params)
    assert obs.shape == info["final_observation"].shape == (toy.env.observation_size,)
    assert [jnp.shape(x) for x in (*ends, state.time)] == [()] * 4
    assert [x.dtype for x in ends] == [jnp.float32, jnp.bool_, jnp.bool_]
    assert state.time == 1
    np.testing.assert_array_equal(toy.observe(KEY, state, None, toy.default_params), obs)


def test_an_episode_that_ends_starts_again(toy):
    obs, state = toy.reset(KEY)
    first = obs
    _, state, *ends, _ = toy.step(KEY, state, push(1.0)[0])
    assert ends == [0, False, False]
    obs, state, *ends, info = toy.step(KEY, state, push(1.0)[0])
    assert [*ends, state.time] == [1, True, False, 0]
    np.testing.assert_array_equal(obs, first)
    np.testing.assert_array_equal(info["final_observation"], first + 2)
    assert (info["solved"], info["terminated"], info["truncated"]) == (True, True, False)
    assert info["discount"] == 0
    assert state.physics["sum"] == 0


def test_the_limit_of_the_parameters_ends_an_episode(toy):
    _, state = toy.reset(KEY)
    params = GymnaxParams(max_steps_in_episode=2)
    ends = []
    for _ in range(4):
        _, state, _, terminated, truncated, info = toy.step(KEY, state, push(0.1)[0], params)
        ends.append((bool(terminated), bool(truncated), float(info["discount"])))
    assert ends == [(False, False, 1.0), (False, True, 1.0)] * 2


def test_the_limit_of_the_level_truncates_too(toy):
    _, state = toy.reset(KEY)
    late = state.replace(physics=state.physics | {"time": jnp.int32(255)}, time=jnp.int32(255))
    params = GymnaxParams(max_steps_in_episode=999)
    *_, terminated, truncated, _ = toy.step(KEY, late, push(0.0)[0], params)
    assert (terminated, truncated) == (False, True)
    *_, terminated, truncated, info = toy.step(KEY, late, push(2.0)[0], params)
    assert (terminated, truncated, info["solved"]) == (True, True, True)


def test_a_vmapped_step_is_one_step_of_the_engine(toy):
    keys = jax.random.split(KEY, 3)
    obs, state = jax.vmap(toy.reset, (0, None))(keys, toy.default_params)
    assert obs.shape == (3, toy.env.observation_size)
    batches(toy).clear()
    _, state, _, terminated, _, info = jax.vmap(toy.step, (0, 0, 0, None))(
        keys, state, push(2, 0, 1), toy.default_params
    )
    assert 3 in batches(toy)
    np.testing.assert_array_equal(terminated, [True, False, False])
    np.testing.assert_array_equal(info["final_observation"][:, 0], [2, 0, 1])
    np.testing.assert_array_equal(state.physics["sum"][:, 0], [0, 0, 1])


def test_seeds_over_environments_are_one_batch_too(toy):
    def episode(key):
        keys = jax.random.split(key, 3)
        _, state = jax.vmap(toy.reset, (0, None))(keys, toy.default_params)

        def step(state, key):
            action = jax.random.uniform(key, (3, 6))
            _, state, reward, terminated, *_ = jax.vmap(toy.step, (0, 0, 0, None))(
                keys, state, action, toy.default_params
            )
            return state, (reward, terminated)

        return jax.lax.scan(step, state, jax.random.split(key, 9))[1]

    seeds = jax.random.split(KEY, 5)
    rewards, dones = jax.jit(jax.vmap(episode))(seeds)
    assert 15 in batches(toy)
    assert rewards.shape == dones.shape == (5, 9, 3)
    assert dones.any()
    alone = jax.tree.map(lambda *x: jnp.stack(x), *[episode(seed) for seed in seeds])
    np.testing.assert_array_equal(rewards, alone[0])
    np.testing.assert_array_equal(dones, alone[1])


def test_an_action_for_all_is_spread_over_the_batch(toy):
    _, state = toy.reset(KEY)
    states = jax.tree.map(lambda x: jnp.stack([x, x + 1]), state)
    obs = jax.vmap(toy.step, (None, 0, None))(KEY, states, push(0.25)[0])[0]
    np.testing.assert_array_equal(obs[:, 0], [0.25, 1.25])


def test_the_reward_is_shaped_as_asked(toy):
    toy.shape_reward = functools.partial(dense_reward, scale=0.5, max_timesteps=256)
    _, state = toy.reset(KEY)
    _, state, reward, *_ = toy.step(KEY, state, push(1.0)[0])
    np.testing.assert_allclose(reward, 0.5 / 256, rtol=1e-6)  # the toy's distance is -1
    _, state, reward, terminated, *_ = toy.step(KEY, state, push(1.0)[0])
    assert (reward, terminated) == (1, True)


def test_noise_comes_from_the_key(toy):
    toy.action_noise = 0.1
    _, state = toy.reset(KEY)
    obs = [toy.step(jax.random.key(seed), state, push(0.0)[0])[0][0] for seed in (0, 0, 1)]
    assert obs[0] == obs[1] != obs[2]
    keys = jax.random.split(KEY, 500)
    drawn = jax.vmap(toy.step, (0, None, None))(keys, state, push(0.0)[0])[0][:, 0]
    assert abs(drawn.mean()) < 0.02
    assert 0.09 < drawn.std() < 0.11


def test_no_gradient_flows_through_a_step(toy):
    _, state = toy.reset(KEY)

    def value(action):
        obs, *_ = toy.step(KEY, state, action)
        return obs.sum() + (action**2).sum()

    np.testing.assert_allclose(jax.grad(value)(push(0.5)[0]), 2 * push(0.5)[0])


def test_vmapped_steps_equal_the_batched_engine(cartpole):
    env, params = cartpole.env, GymnaxParams(max_steps_in_episode=7)
    actions = jax.random.uniform(KEY, (12, 4, 6), minval=-1)
    keys = jax.random.split(KEY, 4)

    def adapted(state, action):
        _, state, reward, terminated, truncated, info = jax.vmap(cartpole.step, (0, 0, 0, None))(
            keys, state, action, params
        )
        done = terminated | truncated
        return state, (info["final_observation"], reward, done, info["distance"])

    def direct(state, scanned):
        time, action = scanned
        state, step = env.step(state, action)
        done = step.done | (time % 7 == 6)
        return env.replay(state, done), (step.obs, step.reward, done, step.distance)

    obs, start = jax.vmap(cartpole.reset, (0, None))(keys, params)
    np.testing.assert_array_equal(obs, env.observe(env.reset(4)))
    ours = jax.lax.scan(adapted, start, actions)[1]
    theirs = jax.lax.scan(direct, env.reset(4), (jnp.arange(12), actions))[1]
    assert ours[2].any()
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_an_action_of_another_shape_is_named(toy):
    _, state = toy.reset(KEY)
    with pytest.raises(
        ArgumentError, match=r"action: expected float \[6\] \(a\), got float32 \[5\]"
    ):
        toy.step(KEY, state, jnp.zeros(5))
    with pytest.raises(ArgumentError, match="action_noise: expected a finite number of at least 0"):
        GymnaxEnv("cartpole_thrust", action_noise=float("nan"))


@pytest.mark.parametrize("engine", ["specialised", "kinetix"])
def test_dtypes_hold_under_x64(engine):
    with jax.enable_x64(True):
        env = GymnaxEnv("cartpole_thrust", engine=engine, shape_reward=SHAPED)
        obs, state = env.reset(KEY)
        shapes = jax.eval_shape(env.step, KEY, state, jnp.zeros(6))
    assert obs.dtype == jnp.float32
    now_obs, now, reward, terminated, truncated, info = shapes
    assert (now_obs.dtype, reward.dtype) == (jnp.float32, jnp.float32)
    assert (terminated.dtype, truncated.dtype, info["distance"].dtype) == (bool, bool, jnp.float32)
    kinds = jax.tree.map(lambda x: x.dtype, (state, now))
    assert kinds[0] == kinds[1]
    with jax.enable_x64(True):
        batch = env.env.reset(2)
        after, step = jax.eval_shape(env.env.step, batch, jnp.zeros((2, 6)))
    assert {x.dtype for x in (step.obs, step.reward, step.distance)} == {jnp.dtype("float32")}
    kinds = jax.tree.map(lambda x: x.dtype, (batch, after))
    assert kinds[0] == kinds[1]
