"""Generalised advantage estimation (arXiv 1506.02438) by one backward scan."""

import jax
import jax.numpy as jnp

from rtc.types import Array, Bool, Float


def generalized_advantages(
    reward: Float[Array, "t b"],
    value: Float[Array, "t b"],
    done: Bool[Array, "t b"],
    last_value: Float[Array, " b"],
    gamma: float,
    gae_lambda: float,
) -> Float[Array, "t b"]:
    """A_t = delta_t + gamma lambda A_{t+1}, delta_t = r_t + gamma V_{t+1} - V_t.

    done: the episode ended with step t; nothing is taken over from after it. The 256-step
    limit counts as an end like any other (no bootstrapping), as in the reference.
    last_value: value of the state after the last step.
    """
    going_on = 1.0 - done.astype(value.dtype)
    following = jnp.concatenate([value[1:], last_value[None]])
    delta = reward + gamma * following * going_on - value

    def backward(advantage, step):
        delta, going_on = step
        advantage = delta + gamma * gae_lambda * going_on * advantage
        return advantage, advantage

    _, advantages = jax.lax.scan(
        backward, jnp.zeros_like(last_value), (delta, going_on), reverse=True
    )
    return advantages
