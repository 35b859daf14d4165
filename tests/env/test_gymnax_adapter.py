"""The adapter to gymnax's convention: one environment that vmaps into one batch of the engine."""

import copy
import functools

import gymnax
import gymnax.experimental.rollout
import gymnax.wrappers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rejax
from gymnax.environments import spaces

from rtc.env import Env, Step
from rtc.env.gymnax_adapter import FiveValues, GymnaxEnv, GymnaxParams
from rtc.env.wrappers import dense_reward
from rtc.errors import ArgumentError
from rtc.levels import load_level

KEY = jax.random.key(0)
SHAPED = functools.partial(dense_reward, scale=1 / 6, max_timesteps=256)


class ToyEngine:
    """Counts steps, batch last: the goal when the first motor action sums up to 2.

    `batches` records the batch sizes that a step was traced for.
    """

    batch_axis = -1

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


@pytest.fixture(scope="module")
def cartpole():
    return GymnaxEnv("cartpole_thrust", action_noise=0.0)


def push(*amounts):
    """[n, 6] actions whose first motor has these values."""
    return jnp.zeros((len(amounts), 6)).at[:, 0].set(jnp.array(amounts, jnp.float32))


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


def test_gymnax_log_wrapper_counts_episodes(toy):
    env = gymnax.wrappers.LogWrapper(gymnax.wrappers.FlattenObservationWrapper(toy))
    keys = jax.random.split(KEY, 2)
    _, state = jax.vmap(env.reset, (0, None))(keys, env.default_params)

    def step(state, _):
        out = jax.vmap(env.step, (0, 0, 0, None))(keys, state, push(1, 0.5), env.default_params)
        return out[1], out[-1]

    _, info = jax.lax.scan(step, state, length=4)
    np.testing.assert_array_equal(info["returned_episode"].T, [[0, 1, 0, 1], [0, 0, 0, 1]])
    np.testing.assert_array_equal(info["returned_episode_lengths"].T, [[0, 2, 2, 2], [0, 0, 0, 4]])
    np.testing.assert_array_equal(info["returned_episode_returns"].T, [[0, 1, 1, 1], [0, 0, 0, 1]])


def test_other_wrappers_of_gymnax_take_it(toy):
    gym = gymnax.wrappers.GymnaxToGymWrapper(toy)
    gym.reset(seed=0)
    assert [gym.step(push(1)[0])[1:4] for _ in range(2)] == [(0, False, False), (1, True, False)]
    assert gym.action_space.shape == (6,)
    vector = gymnax.wrappers.GymnaxToVectorGymWrapper(toy, num_envs=2)
    vector.reset(seed=0)
    np.testing.assert_array_equal(vector.step(push(2, 0))[2], [True, False])
    assert len(toy.step(KEY, toy.reset(KEY)[1], push(0)[0])) == 6  # which the two left alone
    dm = gymnax.wrappers.GymnaxToDmEnvWrapper(toy)
    end = dm.step(KEY, dm.reset(KEY), push(2)[0])
    assert (end.reward, end.discount) == (1, 0)
    rollout = gymnax.experimental.rollout.RolloutWrapper(
        lambda _, obs, key: push(0.5)[0], env=toy, env_params={"max_steps_in_episode": 3}
    )
    *_, done, returned = rollout.batch_rollout(jax.random.split(KEY, 2), None)
    np.testing.assert_array_equal(done, [[False, False, True]] * 2)
    np.testing.assert_array_equal(returned, [[0], [0]])


class PureJaxRLLog:
    """PureJaxRL's own LogWrapper, as its training loop has it: five values."""

    def __init__(self, env):
        self._env = env

    def __getattr__(self, name):
        return getattr(self._env, name)

    def reset(self, key, params=None):
        obs, state = self._env.reset(key, params)
        return obs, (state, 0.0, 0, 0.0, 0)

    def step(self, key, state, action, params=None):
        inner, returned, length, last_return, last_length = state
        obs, inner, reward, done, info = self._env.step(key, inner, action, params)
        returned, length = returned + reward, length + 1
        last_return = last_return * (1 - done) + returned * done
        last_length = last_length * (1 - done) + length * done
        info["returned_episode_returns"] = last_return
        info["returned_episode"] = done
        state = (inner, returned * (1 - done), length * (1 - done), last_return, last_length)
        return obs, state, reward, done, info


def test_a_loop_of_pure_jax_rl_takes_five_values(toy):
    env = PureJaxRLLog(FiveValues(toy))
    keys = jax.random.split(KEY, 2)
    _, state = jax.vmap(env.reset, in_axes=(0, None))(keys, env.default_params)
    ended = []
    for _ in range(4):
        _, state, _, done, info = jax.vmap(env.step, in_axes=(0, 0, 0, None))(
            keys, state, push(1, 0.5), env.default_params
        )
        ended.append(done.tolist())
    assert ended == [[False, False], [True, False], [False, False], [True, True]]
    np.testing.assert_array_equal(info["returned_episode_returns"], [1, 1])
    assert copy.deepcopy(env._env).step is not None


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


def test_rejax_trains_on_it_unchanged(cartpole):
    ppo = rejax.PPO.create(
        env=FiveValues(cartpole),
        num_envs=8,
        num_steps=16,
        num_minibatches=2,
        num_epochs=1,
        total_timesteps=256,
        eval_freq=256,
        skip_initial_evaluation=True,
        normalize_observations=True,
        agent_kwargs={"hidden_layer_sizes": (8,)},
    )
    # rejax itself relies on rank promotion, which these tests forbid everywhere else.
    with jax.numpy_rank_promotion("allow"):
        state, (lengths, returns) = jax.jit(ppo.train)(KEY)
    assert state.global_step == 256
    assert lengths.shape == returns.shape == (1, 128)
    assert ((lengths > 0) & (lengths <= 256)).all()
    assert (jnp.abs(returns) <= 1).all()
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(state.actor_ts.params))
    start = ppo.init_state(KEY)
    moved = jax.tree.map(lambda a, b: (a != b).any(), state.actor_ts.params, start.actor_ts.params)
    assert all(jax.tree.leaves(moved))
