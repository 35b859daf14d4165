"""Other people's code around the adapter: gymnax's own wrappers, PureJaxRL's loop, rejax."""

import copy

import gymnax
import gymnax.experimental.rollout
import gymnax.wrappers
import jax
import jax.numpy as jnp
import numpy as np
import rejax

from rtc.env.gymnax_adapter import FiveValues, GymnaxEnv
from tests.env.conftest import push

KEY = jax.random.key(0)


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


def test_rejax_trains_on_it_unchanged():
    cartpole = GymnaxEnv("cartpole_thrust", action_noise=0.0)
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
