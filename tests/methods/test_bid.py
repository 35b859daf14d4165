"""Bidirectional decoding against the reference's outputs and its own definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.errors import ConfigError
from rtc.methods import Context
from rtc.methods import bid as bid_module
from rtc.methods.bid import Bid, best, total_distance
from tests.golden_policy import golden_inputs, golden_policy, stored_arrays


@pytest.fixture(scope="module")
def context():
    """Delay 1, horizon 2 and six rows of noise, as stored."""
    inputs = golden_inputs()
    noise = jnp.asarray(stored_arrays()["bid_noise"]).reshape(6, 4, 8, 6)
    return Context(
        obs=inputs["obs"],
        previous=inputs["prev_action_chunk"],
        delay=jnp.int32(1),
        horizon=jnp.int32(2),
        key=jax.random.key(0),
        noise=noise,
    )


CASES = {
    "bid_rejection_d1_s2_n6": Bid(samples=6),
    "bid_full_d1_s2_n6_k3": Bid(samples=6, keep=3, weak_epoch=8),
}


@pytest.mark.parametrize("name", CASES)
def test_golden(context, name):
    chunk, _ = CASES[name](golden_policy(), golden_policy("weak_params/"), context, (), 5)
    np.testing.assert_allclose(chunk, stored_arrays()[name], rtol=0, atol=1e-5)


def test_drawing_in_groups_changes_nothing(context, monkeypatch):
    whole, _ = CASES["bid_rejection_d1_s2_n6"](golden_policy(), None, context, (), 5)
    monkeypatch.setattr(bid_module, "ROWS_AT_ONCE", 9)
    groups, _ = CASES["bid_rejection_d1_s2_n6"](golden_policy(), None, context, (), 5)
    np.testing.assert_allclose(groups, whole, rtol=0, atol=1e-6)


def test_one_sample_is_naive(context):
    one = context._replace(noise=context.noise[:1])
    chunk, _ = Bid(samples=1)(golden_policy(), None, one, (), 5)
    naive = golden_policy().action(None, context.obs, 5, noise=context.noise[0])
    np.testing.assert_allclose(chunk, naive, rtol=0, atol=1e-6)


def test_best_and_total_distance_by_hand():
    chunks = jnp.arange(3.0).reshape(3, 1, 1, 1) * jnp.ones((3, 1, 2, 1))
    kept = best(chunks, jnp.array([[2.0], [0.0], [1.0]]), 2)
    np.testing.assert_array_equal(kept[:, 0, 0, 0], [1, 2])
    np.testing.assert_array_equal(total_distance(chunks, kept)[:, 0], [6, 2, 2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples: expected at least 1"),
        ({"samples": 4, "keep": 2}, "both, or neither"),
        ({"samples": 4, "keep": 5, "weak_epoch": 8}, "keep: expected 1 to samples"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Bid(**options)


def test_the_full_form_needs_the_weak_policy(context):
    with pytest.raises(ConfigError, match="no weak policy"):
        CASES["bid_full_d1_s2_n6_k3"](golden_policy(), None, context, (), 5)


def test_cost():
    assert Bid(samples=16).network_evaluations(5) == 80
    assert Bid(samples=32, keep=3, weak_epoch=8).network_evaluations(5) == 320
