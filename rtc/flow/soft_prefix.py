"""Soft RTC: each action is held to the previous chunk by a weight, in the flow and in training.

An action of weight w begins, in flow time, at w instead of at 0: the previous chunk (in training:
the action itself) is mixed in by that share, and the network is told the time of each token. With
weights of 0 and 1 alone this is training-time RTC. Source: arXiv 2605.25537.
"""

from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp

from rtc.errors import ConfigError, check_choice, check_whole
from rtc.flow.network import VelocityNetwork, fits_policy
from rtc.flow.sampling import Estimate, FlowStep, integrate
from rtc.flow.weights import get_prefix_weights
from rtc.types import Array, Float, Int, checked

WINDOWS = ("scaled", "offset")


def check_window(window: str, reach: float, longest: int) -> None:
    """Raises ConfigError unless these are options of `window_end`."""
    check_choice("window", window, WINDOWS)
    if not (isinstance(reach, Real) and 0 <= reach < float("inf")):
        raise ConfigError(f"reach: expected a finite number of at least 0, got {reach}")
    check_whole("longest", longest, 1)


@checked()
def window_end(
    delay: int | Int[Array, ""], window: str, reach: float, longest: int
) -> Int[Array, ""]:
    """The first action of a chunk that no longer sees the previous one; `delay` may be traced.

    "scaled": ceil(reach x delay), at least the delay; "offset": delay + reach, rounded up. At most
    `longest`, which may cut into the delay; 0 at no delay.
    """
    delay = jnp.asarray(delay, jnp.int32)
    asked = delay * reach if window == "scaled" else delay + reach
    # So that 1.1 x 10, which is more than 11 in binary, ends at 11.
    end = jnp.maximum(jnp.ceil(asked - 1e-4).astype(jnp.int32), delay)
    return jnp.where(delay == 0, 0, jnp.minimum(end, longest))


@fits_policy
def soft_sample(
    policy: VelocityNetwork,
    obs: Float[Array, "b o"],
    noise: Float[Array, "b h a"],
    num_steps: int,
    previous: Float[Array, "b h a"],
    weights: Float[Array, "h"],
    return_tracking: bool = False,
) -> Any:
    """A chunk [b, h, a]; before each step, action j becomes w_j previous + (1 - w_j) x.

    Nothing is mixed after the last step. Tracking: `x_t` is the point before the mixing, `v_t` the
    velocity after it, and `correction` what the mixing adds to it.
    """
    check_whole("num_steps", num_steps, 1)
    time = jnp.arange(num_steps, dtype=jnp.float32) / num_steps
    token_time = weights[None] + (1 - weights)[None] * time[:, None]
    steps = FlowStep(time, policy.modulations(token_time[:, None]))
    share = weights[None, :, None]

    def estimate(x_t: Array, step: FlowStep, projection: Array, previous: Array) -> Estimate:
        moved = share * (previous - x_t)
        velocity = policy.velocity_from(projection, x_t + moved, step.modulations)
        return Estimate(velocity, num_steps * moved)

    rows = (policy.project_observation(obs), previous)
    return integrate(estimate, noise, steps, rows, return_tracking)


@fits_policy
def soft_flow_matching_loss(
    policy: VelocityNetwork,
    obs: Float[Array, "b o"],
    action: Float[Array, "b h a"],
    noise: Float[Array, "b h a"],
    time: Float[Array, "b"],
    weights: Float[Array, "b h"],
) -> Float[Array, ""]:
    """Squared error of the velocity, summed over action dimensions, averaged by 1 - w.

    With weights of 0 and 1 alone: the loss of training-time RTC, times the action dimensions.
    """
    token_time = weights + (1 - weights) * time[:, None]
    t = token_time[:, :, None]
    predicted = policy.velocity(obs, (1 - t) * noise + t * action, token_time)
    error = jnp.sum(jnp.square(predicted - (action - noise)), axis=-1)
    return jnp.sum((1 - weights) * error) / jnp.sum(1 - weights)


@checked()
def soft_weights(
    delay: Int[Array, "b"], total: int, schedule: str, window: str, reach: float, longest: int
) -> Float[Array, "b h"]:
    """Weights of each sample of a training batch, from its delay."""

    def one(delay: Array) -> Array:
        end = window_end(delay, window, reach, longest)
        return get_prefix_weights(delay, end, total, schedule)

    return jax.vmap(one)(delay)


@checked()
def soft_prefix_weights(
    delay: int | Int[Array, ""],
    horizon: int | Int[Array, ""],
    total: int,
    schedule: str,
    window: str,
    reach: float,
) -> Float[Array, "h"]:
    """Weights whose window ends where the previous chunk does, `horizon` actions before `total`.

    Behind that end there are zeros in place of a previous chunk, which must not be mixed in.
    """
    end = jnp.minimum(window_end(delay, window, reach, total), total - jnp.asarray(horizon))
    return get_prefix_weights(delay, end, total, schedule)
