"""What an expert says when it is given what does not fit it."""

import jax
import jax.numpy as jnp
import pytest

from rtc.errors import ArgumentError
from rtc.experts.actor_critic import init_actor_critic
from rtc.experts.expert import Expert


@pytest.fixture(scope="module")
def expert():
    """Of 3 observation entries, 2 of them stacked, and 2 actions: 8 inputs."""
    params = init_actor_critic(jax.random.key(0), 8, 2, (4, 4))
    info = {"observation": {"indices": [0, 1, 2]}, "history": 2, "actions": {"low": [-1, 0]}}
    return Expert(params, 1, info)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.start(jnp.zeros((4, 5))), r"obs: expected float \[4, 3\] .* \[4, 5\]"),
        (lambda e: e.action(None, jnp.zeros((4, 8))), "rng: expected a key .* noise=; got None"),
        (
            lambda e: e.action(None, jnp.zeros((4, 7)), noise=jnp.zeros((4, 2))),
            r"history: expected float \[4, 8\] \(b d\), got float32 \[4, 7\]",
        ),
        (
            lambda e: e.action(None, jnp.zeros((4, 8)), noise=jnp.zeros((1, 2))),
            r"noise: expected float \[4, 2\] \(b a\), got float32 \[1, 2\]",
        ),
        (
            lambda e: e.push(jnp.zeros((4, 8)), jnp.zeros((4, 3)), jnp.zeros((4, 6))),
            r"action: expected float \[4, 2\] \(b a\), got float32 \[4, 6\]",
        ),
    ],
)
def test_name_expected_and_given(expert, call, message):
    with pytest.raises(ArgumentError, match=message):
        call(expert)


def test_what_fits_is_taken(expert):
    history = expert.start(jnp.zeros((4, 3)))
    assert (history.shape, expert.input_size, expert.observation_size) == ((4, 8), 8, 3)
    assert expert.action(jax.random.key(0), history).shape == (4, 2)
