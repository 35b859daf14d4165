"""Guided flow: the new chunk is drawn towards the previous one while it forms.

Source: Real-Time Chunking, arXiv 2506.07339, equations 2-4 (pseudoinverse guidance).
"""

from collections.abc import Callable
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp

from rtc.errors import check_choice, check_number
from rtc.flow.network import VelocityNetwork, fits_policy
from rtc.flow.sampling import Estimate, FlowStep, flow_steps, integrate
from rtc.types import Array, Float, checked

JACOBIANS = ("full", "identity")


@checked()
def guidance_weight(
    time: Float[Array, "..."], max_guidance_weight: float | Float[Array, ""]
) -> Float[Array, "..."]:
    """min(beta, (1 - t) / t / r^2) with r^2 = (1 - t)^2 / (t^2 + (1 - t)^2); beta at t = 0.

    Source: arXiv 2506.07339, equation 2; beta is its clipping of the weight. Raises ArgumentError
    for a beta that is negative or not finite.
    """
    if isinstance(max_guidance_weight, Real):
        check_number("max_guidance_weight", max_guidance_weight, 0.0)
    remaining = 1 - time
    # (1 - t) / t / r^2, with one (1 - t) cancelled; the end of the flow is never weighed.
    unclipped = (time**2 + remaining**2) / jnp.where(time > 0, time * remaining, 1.0)
    return jnp.where(time > 0, jnp.minimum(unclipped, max_guidance_weight), max_guidance_weight)


def pull_back(
    velocity: Callable[[Array], Array], x_t: Array, remaining: Array, jacobian: str
) -> tuple[Array, Callable[[Array], Array]]:
    """Velocity at `x_t`, and e -> e^T J with J the Jacobian of x_t + remaining * velocity(x_t).

    The whole batch shares one backward pass. "identity" takes the velocity as constant.
    """
    if jacobian == "identity":
        return velocity(x_t), lambda error: error
    v_t, vjp = jax.vjp(velocity, x_t)
    return v_t, lambda error: error + remaining * vjp(error)[0]


@fits_policy
def guided_sample(
    policy: VelocityNetwork,
    obs: Float[Array, "b o"],
    noise: Float[Array, "b h a"],
    num_steps: int,
    previous: Float[Array, "b h a"],
    weights: Float[Array, "h"],
    max_guidance_weight: float | Float[Array, ""],
    *,
    jacobian: str = "full",
    return_tracking: bool = False,
) -> Any:
    """A chunk held to `previous` with `weights`, [b, h, a] (and tracked steps if asked for).

    previous: chunk in execution, shifted so that index 0 is the action of now.
    Raises ConfigError on an unknown jacobian, ArgumentError on arrays that do not fit the policy.
    """
    check_choice("jacobian", jacobian, JACOBIANS)

    def estimate(x_t: Array, step: FlowStep, projection: Array, previous: Array) -> Estimate:
        remaining = 1 - step.time
        v_t, back = pull_back(
            lambda x: policy.velocity_from(projection, x, step.modulations),
            x_t,
            remaining,
            jacobian,
        )
        error = (previous - (x_t + remaining * v_t)) * weights[None, :, None]
        return Estimate(v_t, step.guidance_weight * back(error), error)

    steps = flow_steps(policy, num_steps)
    steps = steps._replace(guidance_weight=guidance_weight(steps.time, max_guidance_weight))
    rows = (policy.project_observation(obs), previous)
    result = integrate(estimate, noise, steps, rows, return_tracking)
    if not return_tracking:
        return result
    x_1, tracked = result
    return x_1, tracked | {"weights": weights, "prev_action_chunk": previous}
