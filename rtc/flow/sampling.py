"""From noise to a chunk: Euler integration of a velocity, and the record of its steps.

Flow time runs from 0 (noise) to 1 (action). Whatever steers the flow is a function from a
point and a step to an `Estimate`; `integrate` does the rest, tracking included.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rtc.errors import check_key
from rtc.flow.blocks import in_blocks
from rtc.flow.network import Modulations, VelocityNetwork, fits_policy
from rtc.types import Array, Float, Key, checked


class FlowStep(NamedTuple):
    """What a step needs and does not depend on the point; stacked over steps [n] for a scan.

    time: [] flow time at its start. modulations: of the network at that time.
    guidance_weight: [] factor of the correction, or None without guidance.
    """

    time: Array
    modulations: Modulations
    guidance_weight: Array | None = None


class Estimate(NamedTuple):
    """What a sampler makes of one point; each [b, h, a], None where there is no guidance.

    velocity: of the network. correction: added to it, guidance weight included.
    error: weighted difference between the previous chunk and the predicted one.
    """

    velocity: Array
    correction: Array | None = None
    error: Array | None = None


# estimate(x_t, step, *rows); rows are arrays of the same batch, such as projected observations.
Estimator = Callable[..., Estimate]
TrackedSteps = dict[str, Array]


def flow_steps(policy: VelocityNetwork, num_steps: int) -> FlowStep:
    """The steps of `num_steps` equal lengths from 0 to 1, with all modulations at once [n, ...]."""
    modulations = jax.tree.map(lambda x: x[:num_steps], policy.step_modulations(num_steps))
    return FlowStep(jnp.arange(num_steps, dtype=jnp.float32) / num_steps, modulations)


@fits_policy
def initial_noise(
    policy: VelocityNetwork, rng: Key | None, noise: Float[Array, "b h a"] | None, batch_size: int
) -> Float[Array, "b h a"]:
    """`noise` if given, else standard normal numbers from `rng`."""
    if noise is not None:
        return noise
    check_key(rng, "noise")
    shape = (batch_size, policy.action_chunk_size, policy.action_dim)
    return jax.random.normal(rng, shape, jnp.float32)


@checked()
def integrate(
    estimate: Estimator,
    x_0: Float[Array, "b h a"],
    steps: FlowStep,
    rows: tuple[Array, ...] = (),
    return_tracking: bool = False,
) -> Any:
    """Euler steps from `x_0` along velocity plus correction, to x_1 [b, h, a].

    estimate: from a point, a step and the `rows` (arrays with the batch first: what else belongs
    to each sample) to an `Estimate`. It may not look across the batch: on a CPU the batch goes
    through the flow in blocks, see `in_blocks`.
    With `return_tracking` also a dict of what happened, see `track`. The loop is the same
    program either way; it only keeps its points when they are asked for.
    """
    dt = 1.0 / steps.time.shape[0]

    def flow(x_0: Array, *rows: Array) -> tuple[Array, Array | None]:
        def step(x_t: Array, inputs: FlowStep) -> tuple[Array, Array | None]:
            seen = estimate(x_t, inputs, *rows)
            change = seen.velocity if seen.correction is None else seen.velocity + seen.correction
            return x_t + dt * change, x_t if return_tracking else None

        x_1, points = jax.lax.scan(step, x_0, steps)
        return x_1, None if points is None else jnp.swapaxes(points, 0, 1)

    x_1, points = in_blocks(flow, x_0, *rows)
    if not return_tracking:
        return x_1
    return x_1, track(estimate, jnp.swapaxes(points, 0, 1), x_1, steps, rows)


def track(
    estimate: Estimator, x_t: Array, x_1: Array, steps: FlowStep, rows: tuple[Array, ...]
) -> TrackedSteps:
    """The record of a flow through the points `x_t`, made by estimating again at each of them.

    Every flow: `x_t`, `v_t` (velocity before the correction) and `x_1_pred` (x_t + (1 - t) v_t),
    [n, b, h, a]; `time` [n]; `noise` (where the flow began) and `x_1` (where it ended), [b, h, a].
    Guided flows: `correction` (added to v_t, guidance weight included) and `error` (weighted
    difference between previous and predicted chunk), [n, b, h, a]; `guidance_weight` [n].
    So x_1 = noise + sum over steps of (v_t + correction) / n.
    """
    seen = jax.lax.map(lambda pair: estimate(*pair, *rows), (x_t, steps))
    remaining = (1 - steps.time)[:, None, None, None]
    tracked = {
        "x_t": x_t,
        "v_t": seen.velocity,
        "x_1_pred": x_t + remaining * seen.velocity,
        "time": steps.time,
        "noise": x_t[0],
        "x_1": x_1,
        "correction": seen.correction,
        "error": seen.error,
        "guidance_weight": steps.guidance_weight,
    }
    return {name: value for name, value in tracked.items() if value is not None}


@fits_policy
def sample(
    policy: VelocityNetwork,
    obs: Float[Array, "b o"],
    noise: Float[Array, "b h a"],
    num_steps: int,
    return_tracking: bool = False,
) -> Any:
    """A chunk from the policy alone, [b, h, a] (and tracked steps if asked for)."""
    projection, steps = policy.project_observation(obs), flow_steps(policy, num_steps)
    return sample_from(policy, projection, noise, steps, return_tracking)


@fits_policy
def sample_from(
    policy: VelocityNetwork,
    projection: Float[Array, "b c"],
    noise: Float[Array, "b h a"],
    steps: FlowStep,
    return_tracking: bool = False,
) -> Any:
    """`sample` from what the policy made of the observations and of the flow times."""

    def estimate(x_t: Array, step: FlowStep, projection: Array) -> Estimate:
        return Estimate(policy.velocity_from(projection, x_t, step.modulations))

    return integrate(estimate, noise, steps, (projection,), return_tracking)
