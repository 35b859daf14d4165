"""Learning on tasks whose values and best actions are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.experts.actor_critic import action_distribution, squash, state_value
from rtc.experts.ppo import init_training, train_interval, train_update

CONSTANT, COIN, DELAYED, TARGET, FOLLOW = range(5)


@pytest.fixture(scope="module")
def trained(probes, small_config):
    """Learners of all rooms, trained in one program."""
    task = probes()
    keys = jax.random.split(jax.random.key(7), len(task.rooms))
    state = jax.jit(lambda keys: init_training(task, small_config, keys))(keys)
    run = jax.jit(lambda state, n: train_interval(task, small_config, state, n))
    state, interval = run(state, np.int32(120))
    assert (interval.bad_update == -1).all()
    return state.learner.params


def of_room(params, room):
    return jax.tree.map(lambda x: x[room], params)


@pytest.mark.parametrize(
    ("room", "obs", "value"),
    [
        (CONSTANT, [[0.0]], [1.0]),
        (COIN, [[-1.0], [1.0]], [-1.0, 1.0]),
        (DELAYED, [[0.0], [1.0]], [0.9, 1.0]),
    ],
    ids=["constant", "coin", "delayed"],
)
def test_critic_finds_the_value(trained, room, obs, value):
    params = of_room(trained, room)
    np.testing.assert_allclose(state_value(params.critic, jnp.array(obs)), value, atol=0.05)


@pytest.mark.parametrize(
    ("room", "obs", "action"),
    [
        (TARGET, [[0.0]], [[0.5, 0.25]]),
        (FOLLOW, [[-1.0], [1.0]], [[-0.5, 0.25], [0.5, 0.75]]),
    ],
    ids=["target", "follow"],
)
def test_actor_finds_the_best_action(trained, room, obs, action):
    params = of_room(trained, room)
    mean, std = action_distribution(params.actor, params.log_std, jnp.array(obs))
    np.testing.assert_allclose(squash(mean, np.float32([-1, 0])), action, atol=0.1)
    assert (std < 0.7).all()


def test_an_accelerator_s_way_learns_the_same(probes, small_config, monkeypatch):
    """Seeds at once, whole minibatches, the gradient clipped as one vector."""
    task, keys, found = probes((DELAYED, FOLLOW)), jax.random.split(jax.random.key(2), 2), []
    state = jax.jit(lambda keys: init_training(task, small_config, keys))(keys)
    for cpu in (True, False):
        monkeypatch.setattr("rtc.experts.ppo.on_cpu", lambda cpu=cpu: cpu)
        after, losses, _ = jax.jit(lambda state: train_update(task, small_config, state))(state)
        found.append((after.learner.params, losses))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), *found)


def test_a_seed_does_not_depend_on_the_seeds_beside_it(probes, small_config):
    keys = jax.random.split(jax.random.key(1), 2)
    ends = []
    for some, rooms in ((keys, (TARGET, FOLLOW)), (keys[1:], (FOLLOW,))):
        task = probes(rooms)
        state = jax.jit(lambda k, task=task: init_training(task, small_config, k))(some)
        run = jax.jit(
            lambda state, task=task: train_interval(task, small_config, state, jnp.int32(2))[0]
        )
        ends.append(jax.tree.map(lambda x: x[-1], run(state).learner.params))
    for together, alone in zip(*map(jax.tree.leaves, ends)):
        np.testing.assert_allclose(together, alone, atol=1e-4)


def test_seeds_begin_and_end_apart(probes, small_config):
    task = probes((TARGET, TARGET))
    keys = jax.random.split(jax.random.key(1), 2)
    actor = jax.jit(lambda k: init_training(task, small_config, k))(keys).learner.params.actor
    assert not np.allclose(actor[0].kernel[0], actor[0].kernel[1])
