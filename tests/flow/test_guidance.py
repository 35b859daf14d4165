"""Guided flow: its weights, its Jacobian, and what the schedules have in common."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.errors import ConfigError
from rtc.flow import SCHEDULES, get_prefix_weights, guidance_weight


def close(actual, expected, atol=1e-5):
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=0, atol=atol)


def realtime(policy, inputs, delay, horizon, schedule, beta=5.0, steps=5, **options):
    return policy.realtime_action(
        None,
        inputs["obs"],
        steps,
        inputs["prev_action_chunk"],
        delay,
        policy.action_chunk_size - horizon,
        schedule,
        beta,
        noise=inputs["noise"],
        **options,
    )


def test_prefix_weights_by_hand():
    weights = get_prefix_weights(2, 6, 10, "linear")
    close(weights, [1, 1, 4 / 5, 3 / 5, 2 / 5, 1 / 5, 0, 0, 0, 0], 1e-7)


def test_guidance_weights_of_five_steps():
    time = jnp.arange(5) / 5
    close(guidance_weight(time, 1e9)[1:], [4.25, 13 / 6, 13 / 6, 4.25], 1e-5)
    close(guidance_weight(time, 5.0), [5, 4.25, 13 / 6, 13 / 6, 4.25], 1e-5)
    close(guidance_weight(time, 3.0), [3, 3, 13 / 6, 13 / 6, 3], 1e-5)


def test_beta_from_4_25_changes_only_the_first_step(policy, inputs):
    _, low = realtime(policy, inputs, 1, 3, "exp", beta=4.25, return_tracking=True)
    _, high = realtime(policy, inputs, 1, 3, "exp", beta=50.0, return_tracking=True)
    close(low["guidance_weight"][1:], high["guidance_weight"][1:])
    close(low["x_t"][0], high["x_t"][0], 0)
    assert float(jnp.max(jnp.abs(low["x_t"][1] - high["x_t"][1]))) > 0.1


def test_without_delay_hard_masking_is_naive(policy, inputs):
    naive = policy.action(None, inputs["obs"], 5, noise=inputs["noise"])
    close(realtime(policy, inputs, 0, 3, "zeros"), naive, 1e-6)


def test_at_delay_4_and_horizon_4_the_schedules_coincide(policy, inputs):
    chunks = [realtime(policy, inputs, 4, 4, schedule) for schedule in SCHEDULES]
    for chunk in chunks[1:]:
        close(chunk, chunks[0], 1e-6)


def test_the_correction_is_the_error_times_the_whole_jacobian(policy, inputs):
    """Equation 2 of arXiv 2506.07339, with the Jacobian written out for one sample."""
    _, tracked = realtime(policy, inputs, 2, 3, "exp", steps=3, return_tracking=True)
    for step in range(3):
        time, x_t = tracked["time"][step], tracked["x_t"][step, :1]

        def predict(x, time=time):
            return x + (1 - time) * policy.velocity(inputs["obs"][:1], x, time)

        jacobian = jax.jacobian(predict)(x_t)[0, :, :, 0]
        expected = jnp.einsum("ha,haij->ij", tracked["error"][step, 0], jacobian)
        correction = tracked["correction"][step, 0] / tracked["guidance_weight"][step]
        close(correction, expected)


def test_identity_jacobian_is_lerobots_formula(policy, inputs):
    """LeRobot's time tau runs from 1 (noise) to 0 and its velocity points towards the noise."""
    steps, beta, delay, horizon = 5, 5.0, 2, 3
    weights = get_prefix_weights(delay, 8 - horizon, 8, "linear")[None, :, None]
    x = inputs["noise"]
    for i in range(steps):
        tau = 1 - i / steps
        towards_noise = -policy.velocity(inputs["obs"], x, 1 - tau)
        predicted = x - tau * towards_noise
        correction = (inputs["prev_action_chunk"] - predicted) * weights
        r2 = tau**2 / (tau**2 + (1 - tau) ** 2)
        weight = beta if tau == 1 else min(beta, tau / (1 - tau) / r2)
        x = x - (towards_noise - weight * correction) / steps
    ours = realtime(policy, inputs, delay, horizon, "linear", beta, jacobian="identity")
    close(ours, x)


def test_delay_horizon_and_beta_may_be_traced(policy, inputs):
    traced = jax.jit(lambda d, s, beta: realtime(policy, inputs, d, s, "exp", beta))
    for delay, horizon in ((0, 1), (3, 4)):
        expected = realtime(policy, inputs, delay, horizon, "exp", 2.0)
        close(traced(delay, horizon, 2.0), expected)
    assert traced._cache_size() == 1


def test_unknown_choices_name_the_nearest(policy, inputs):
    with pytest.raises(ConfigError, match="did you mean 'linear'"):
        get_prefix_weights(0, 1, 8, "liner")
    with pytest.raises(ConfigError, match="did you mean 'identity'"):
        realtime(policy, inputs, 0, 1, "exp", jacobian="identiy")
