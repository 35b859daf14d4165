"""The compiled loop does what the plain steps do, whatever the parts and the grouping."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from rtc.training.learner import (
    Learner,
    count_parts,
    describe,
    init_params,
    loss_and_gradient,
    make_optimizer,
    make_train,
)
from rtc.training.objectives import DeviceRows, gather_windows, make_objective

OBS, ACT, H = 5, 6, 8
OWN = np.array([True, False, True, False, False])
OBJECTIVES = {
    "flow": "flow",
    "delayed_prefix": {"objective": "delayed_prefix", "simulated_delay": 5},
    "soft_prefix": {
        "objective": "soft_prefix",
        "simulated_delay": 5,
        "schedule": "linear",
        "window": "scaled",
        "reach": 2.0,
    },
    "shifted_window": {"objective": "shifted_window", "max_shift": 4},
}


@pytest.fixture(scope="module")
def graph(config):
    return describe(OBS, ACT, config)[0]


@pytest.fixture(scope="module")
def params(config):
    return init_params(OBS, ACT, config, jax.random.split(jax.random.key(0), 2))


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(1)
    return DeviceRows(
        jnp.asarray(rng.normal(size=(60, OBS)), jnp.float32),
        jnp.asarray(rng.normal(size=(60, ACT)), jnp.float32),
        jnp.asarray(rng.integers(0, H + 1, size=60), jnp.int32),
    )


@pytest.fixture(scope="module")
def starts():
    return jnp.asarray(np.random.default_rng(2).integers(0, 60 - H, size=(2, 3, 32)), jnp.int32)


def test_actions_from_done_on_are_zero(rows):
    obs, action = gather_windows(rows, jnp.arange(4), H)
    np.testing.assert_array_equal(obs, rows.obs[:4])
    for window in range(4):
        alive = int(rows.alive[window])
        np.testing.assert_array_equal(action[window, :alive], rows.action[window : window + alive])
        assert not action[window, alive:].any()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_parts_add_up_to_the_whole_batch(graph, params, rows, starts, name):
    objective = make_objective(OBJECTIVES[name])
    own = jax.tree.map(lambda leaf: leaf[0], params)
    drawn = objective.draw(jax.random.key(5), (32, H, ACT))
    obs, action = objective.windows(rows, starts[0, 0], H, drawn, OWN)
    run = jax.jit(
        lambda parts: loss_and_gradient(objective, graph, own, obs, action, drawn, parts),
        static_argnums=0,
    )
    whole, parts = run(1), run(4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), whole, parts)
    policy = nnx.merge(graph, own)
    np.testing.assert_allclose(whole[0], objective.loss(policy, obs, action, drawn), rtol=1e-6)


def plain_training(config, graph, params, rows, starts, key):
    """The same steps one after another, each written out."""
    optimizer = optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm),
        optax.adamw(
            optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps),
            weight_decay=config.weight_decay,
        ),
    )
    opt_state, losses, objective = optimizer.init(params), [], make_objective(config.objective)

    @jax.jit
    def step(params, opt_state, batch, key):
        obs, action = gather_windows(rows, batch, H)
        drawn = objective.draw(key, action.shape)
        loss, grads = loss_and_gradient(objective, graph, params, obs, action, drawn, 1)
        changes, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, changes), opt_state, loss

    for index, batch in enumerate(starts):
        params, opt_state, loss = step(params, opt_state, batch, jax.random.fold_in(key, index))
        losses.append(float(loss))
    return params, losses


def test_the_loop_equals_plain_steps(config, graph, params, rows, starts):
    keys = jax.random.split(jax.random.key(9), 2)
    train = make_train(graph, config, 2, OWN)
    opt_state = jax.vmap(make_optimizer(config).init)(params)
    learner = Learner(jax.tree.map(jnp.copy, params), opt_state)
    learner, first = train(learner, rows, starts, keys, 0, 1)
    learner, rest = train(learner, rows, starts, keys, 1, 3)
    for seed in range(2):
        own = jax.tree.map(lambda leaf, seed=seed: leaf[seed], params)
        expected, losses = plain_training(config, graph, own, rows, starts[seed], keys[seed])
        np.testing.assert_allclose(first.loss[seed] + rest.loss[seed], sum(losses), rtol=1e-5)
        got = jax.tree.map(lambda leaf, seed=seed: leaf[seed], learner.params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), got, expected)
    assert (np.asarray(rest.bad) == -1).all()


def test_one_seed_alone_is_the_same_as_among_others(config, graph, params, rows, starts):
    keys = jax.random.split(jax.random.key(9), 2)

    def train(chosen):
        own = jax.tree.map(lambda leaf: leaf[chosen], params)
        learner = Learner(own, jax.vmap(make_optimizer(config).init)(own))
        run = make_train(graph, config, len(jax.tree.leaves(own)[0]), OWN)
        return run(learner, rows, starts[chosen], keys[chosen], 0, 3)[0].params

    both, alone = train(jnp.array([0, 1])), train(jnp.array([1]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b[0], atol=1e-6), both, alone)


def test_the_first_minibatch_that_is_not_finite_is_told(config, graph, params, rows, starts):
    poisoned = rows._replace(action=rows.action.at[10].set(jnp.nan), alive=jnp.full(60, H))
    starts = jnp.zeros((2, 4, 32), jnp.int32).at[1, 2, 7].set(8)
    learner = Learner(jax.tree.map(jnp.copy, params), jax.vmap(make_optimizer(config).init)(params))
    train = make_train(graph, config, 2, OWN)
    learner, progress = train(
        learner, poisoned, starts, jax.random.split(jax.random.key(0), 2), 0, 4
    )
    np.testing.assert_array_equal(progress.bad, [-1, 2])


def test_warm_up_rises_to_the_rate_and_may_be_left_out(config):
    params, grads = {"w": jnp.zeros(3)}, {"w": jnp.ones(3)}

    def changes(config, steps):
        optimizer = make_optimizer(dataclasses.replace(config, weight_decay=0.0))
        state, sizes = optimizer.init(params), []
        for _ in range(steps):
            change, state = optimizer.update(grads, state, params)
            sizes.append(-float(change["w"][0]))
        return sizes

    rate = config.learning_rate
    np.testing.assert_allclose(
        changes(dataclasses.replace(config, warmup_steps=4), 6),
        [0, rate / 4, rate / 2, 3 * rate / 4, rate, rate],
        rtol=1e-4,
        atol=1e-9,
    )
    np.testing.assert_allclose(
        changes(dataclasses.replace(config, warmup_steps=0), 2), [rate, rate], rtol=1e-4
    )


def test_parts_divide_the_batch():
    assert [count_parts(n) for n in (1, 32, 64, 65, 96, 512)] == [1, 1, 1, 5, 2, 8]
