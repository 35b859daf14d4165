"""The two losses against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.flow import delay_probabilities, draw_delay


@pytest.fixture
def batch(inputs):
    time = jnp.array([0.1, 0.5, 0.9, 0.3])
    return {
        "obs": inputs["obs"],
        "action": inputs["prev_action_chunk"],
        "noise": inputs["noise"],
        "time": time,
    }


def test_delay_probabilities_of_the_paper():
    expected = [0.636, 0.234, 0.086, 0.032, 0.012]
    np.testing.assert_allclose(delay_probabilities(5), expected, atol=5e-4)


def test_delays_are_drawn_with_these_probabilities(key):
    delays = draw_delay(key, 5, 20_000)
    shares = np.bincount(delays, minlength=5) / 20_000
    np.testing.assert_allclose(shares, delay_probabilities(5), atol=0.012)


def test_no_delay_is_the_plain_loss(policy, batch):
    plain = policy.loss(None, **batch)
    none = policy.loss(None, **batch, delay=jnp.zeros(4, jnp.int32))
    np.testing.assert_allclose(none, plain, rtol=1e-6)


def test_the_loss_of_training_time_rtc_token_by_token(policy, batch):
    delay = np.array([0, 1, 3, 4])
    actual = policy.loss(None, **batch, delay=jnp.asarray(delay, jnp.int32))
    squared = []
    for i in range(4):
        x_t, time = np.array(batch["action"][i]), np.ones(8, np.float32)
        for token in range(delay[i], 8):
            t = time[token] = float(batch["time"][i])
            x_t[token] = (1 - t) * batch["noise"][i, token] + t * batch["action"][i, token]
        velocity = policy.velocity(
            batch["obs"][i : i + 1], jnp.array(x_t)[None], jnp.array(time)[None]
        )[0]
        target = batch["action"][i] - batch["noise"][i]
        squared.append(np.square(velocity - target)[delay[i] :])
    np.testing.assert_allclose(actual, np.concatenate(squared).mean(), rtol=1e-5)


def test_the_noise_of_the_prefix_does_not_matter(policy, batch):
    delay = jnp.array([0, 2, 3, 4])
    first = policy.loss(None, **batch, delay=delay)
    given = (jnp.arange(8)[None] < delay[:, None])[:, :, None]
    other = batch | {"noise": jnp.where(given, 7.0, batch["noise"])}
    np.testing.assert_allclose(policy.loss(None, **other, delay=delay), first, rtol=1e-6)


def test_what_is_not_given_is_drawn_from_the_key(policy, batch, key):
    def loss(key, **options):
        return float(policy.loss(key, batch["obs"], batch["action"], **options))

    other = jax.random.key(1)
    assert loss(key) == loss(key) != loss(other)
    assert loss(key, simulated_delay=5) == loss(key, simulated_delay=5)
    drawn = [loss(jax.random.key(i), simulated_delay=5) - loss(jax.random.key(i)) for i in range(4)]
    assert any(difference != 0 for difference in drawn)
    assert loss(key, simulated_delay=1) == pytest.approx(loss(key), rel=1e-6)
