"""GAE against the readable loop; the loss against its definition; distributions against distrax."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.experts.actor_critic import (
    ACTION_LIMIT,
    action_distribution,
    action_log_prob,
    init_actor_critic,
    normal_entropy,
    normal_log_prob,
    sample_normal,
    squash,
    squash_log_slope,
    state_value,
    unsquash,
)
from rtc.experts.ppo import Samples, _gradient, generalized_advantages, rpo_loss

LOW = np.float32([-1, -1, -1, -1, 0, 0])


def test_advantages_equal_the_readable_loop():
    rng = np.random.default_rng(0)
    steps, batch, gamma, lam = 37, 5, 0.97, 0.9
    reward, value = rng.normal(size=(2, steps, batch)).astype(np.float32)
    done = rng.random((steps, batch)) < 0.2
    last = rng.normal(size=batch).astype(np.float32)
    expected = np.zeros((steps, batch))
    running = np.zeros(batch)
    for t in reversed(range(steps)):
        following = last if t == steps - 1 else value[t + 1]
        delta = reward[t] + gamma * following * ~done[t] - value[t]
        running = delta + gamma * lam * ~done[t] * running
        expected[t] = running
    found = generalized_advantages(*map(jnp.asarray, (reward, value, done, last)), gamma, lam)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_nothing_is_taken_over_from_after_the_end():
    reward, value = jnp.ones((2, 1)), jnp.zeros((2, 1))
    done = jnp.array([[True], [False]])
    found = generalized_advantages(reward, value, done, jnp.array([100.0]), 0.9, 0.9)
    np.testing.assert_allclose(found[:, 0], [1.0, 91.0])


def distrax_policy(mean, std):
    """The squashed normal of the motors and of the thrusters, from distrax."""
    motor = distrax.Transformed(distrax.Normal(mean[:, :4], std[None, :4]), distrax.Tanh())
    thruster = distrax.Transformed(distrax.Normal(mean[:, 4:], std[None, 4:]), distrax.Sigmoid())
    return motor, thruster


def test_log_probabilities_equal_distrax():
    rng = np.random.default_rng(1)
    mean = jnp.asarray(rng.uniform(-3, 3, (500, 6)), jnp.float32)
    std = jnp.asarray(np.exp(rng.uniform(-1.5, 1, 6)), jnp.float32)
    action = np.concatenate(
        [rng.uniform(-0.999, 0.999, (500, 4)), rng.uniform(1e-3, 0.999, (500, 2))], axis=1
    )
    action = jnp.asarray(action, jnp.float32)
    motor, thruster = distrax_policy(mean, std)
    with jax.numpy_rank_promotion("allow"):
        expected = motor.log_prob(action[:, :4]).sum(-1) + thruster.log_prob(action[:, 4:]).sum(-1)
    found = action_log_prob(action, mean, std, LOW)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-4)


def test_samples_equal_distrax_and_are_clipped():
    rng = np.random.default_rng(2)
    mean = jnp.asarray(rng.uniform(-5, 5, (400, 6)), jnp.float32)
    std = jnp.full(6, 2.0)
    noise = jnp.asarray(rng.normal(size=(400, 6)), jnp.float32)
    action = squash(sample_normal(mean, std, LOW, noise), LOW)
    raw = mean + std[None] * noise
    expected = np.concatenate([np.tanh(raw[:, :4]), 1 / (1 + np.exp(-raw[:, 4:]))], axis=1)
    np.testing.assert_allclose(action, np.clip(expected, -ACTION_LIMIT, ACTION_LIMIT), atol=1e-6)
    assert np.abs(action[:, :4]).max() == pytest.approx(ACTION_LIMIT, abs=1e-7)


def test_log_probabilities_stay_finite_at_the_ends():
    action = jnp.array([[1.0, -1.0, 1.0, -1.0, 0.0, 1.0]])
    found = action_log_prob(action, jnp.zeros((1, 6)), jnp.full(6, 0.1), LOW)
    assert np.isfinite(found).all()
    gradient = jax.grad(lambda a: action_log_prob(a, jnp.zeros((1, 6)), jnp.ones(6), LOW).sum())
    assert np.isfinite(gradient(action)).all()
    assert np.isfinite(squash_log_slope(jnp.full((1, 6), 80.0), LOW)).all()


def test_unsquash_inverts_squash():
    u = jnp.asarray(np.random.default_rng(3).uniform(-4, 4, (100, 6)), jnp.float32)
    np.testing.assert_allclose(unsquash(squash(u, LOW), LOW), u, atol=2e-3)


def test_entropy_is_that_of_the_normal():
    std = jnp.array([0.5, 2.0, 1.0])
    with jax.numpy_rank_promotion("allow"):
        expected = distrax.MultivariateNormalDiag(jnp.zeros(3), std).entropy()
    np.testing.assert_allclose(normal_entropy(std), expected, rtol=1e-6)


def test_initial_networks(small_config):
    params = init_actor_critic(jax.random.key(0), 40, 6, (256, 256))
    kernel = np.asarray(params.actor[1].kernel, np.float64)
    np.testing.assert_allclose(kernel.T @ kernel, 2 * np.eye(256), atol=1e-4)
    head = np.asarray(params.actor[2].kernel, np.float64)
    np.testing.assert_allclose(head.T @ head, 1e-4 * np.eye(6), atol=1e-8)
    obs = jax.random.normal(jax.random.key(1), (8, 40))
    mean, std = action_distribution(params.actor, params.log_std, obs)
    assert np.abs(mean).max() < 0.1
    np.testing.assert_array_equal(std, np.ones(6))
    huge = jax.tree.map(lambda x: 1e4 * jnp.ones_like(x), params.actor)
    mean, std = action_distribution(huge, jnp.array([-50.0] * 3 + [50.0] * 3), obs)
    assert np.abs(mean).max() <= 5
    np.testing.assert_allclose(std, np.exp([-10.0] * 3 + [2.0] * 3), rtol=1e-6)


@pytest.fixture
def samples(small_config):
    keys = jax.random.split(jax.random.key(5), 8)
    params = init_actor_critic(keys[0], 7, 6, (16, 16))
    obs, u = jax.random.normal(keys[1], (4096, 7)), jax.random.normal(keys[2], (4096, 6))
    mean, std = action_distribution(params.actor, params.log_std, obs)
    old = normal_log_prob(u, mean, std) + 0.3 * jax.random.normal(keys[3], (4096,))
    value = state_value(params.critic, obs) + 0.5 * jax.random.normal(keys[4], (4096,))
    advantage, target = jax.random.normal(keys[5], (2, 4096))
    return params, Samples(obs, u, old, value, advantage, target), keys[6]


def test_loss_equals_its_definition(small_config, samples):
    params, samples, key = samples
    shift = jax.random.uniform(key, (4096, 6), minval=-0.1, maxval=0.1)
    loss, parts = rpo_loss(params, samples, shift, small_config)
    mean, std = action_distribution(params.actor, params.log_std, samples.obs)
    with jax.numpy_rank_promotion("allow"):
        normal = distrax.MultivariateNormalDiag(mean + shift, jnp.broadcast_to(std, mean.shape))
        ratio = np.exp(np.asarray(normal.log_prob(samples.u) - samples.log_prob))
    a = np.asarray(samples.advantage)
    policy = np.maximum(-a * ratio, -a * np.clip(ratio, 0.8, 1.2)).mean()
    value, old, target = map(
        np.asarray, (state_value(params.critic, samples.obs), samples.value, samples.target)
    )
    near = old + np.clip(value - old, -0.2, 0.2)
    critic = 0.5 * np.maximum((value - target) ** 2, (near - target) ** 2).mean()
    np.testing.assert_allclose(parts.policy_loss, policy, rtol=1e-4)
    np.testing.assert_allclose(parts.value_loss, critic, rtol=1e-4)
    np.testing.assert_allclose(loss, policy + 0.5 * critic, rtol=1e-4)
    np.testing.assert_allclose(parts.clip_fraction, (np.abs(ratio - 1) > 0.2).mean(), atol=1e-3)


def test_gradient_by_blocks_equals_the_whole_minibatch(small_config, samples, monkeypatch):
    params, samples, key = samples
    rows = jnp.arange(4000)[::-1]
    found = {}
    for size in (1024, 10**6):
        monkeypatch.setattr("rtc.experts.ppo.CPU_ROWS", size)
        found[size] = _gradient(params, samples, rows, key, small_config)
    for blocks, whole in zip(*map(jax.tree.leaves, found.values())):
        np.testing.assert_allclose(blocks, whole, atol=2e-5)
