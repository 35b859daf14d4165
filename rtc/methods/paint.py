"""PAINT: the noise whose flow begins with the actions that will be executed anyway.

Source: arXiv 2606.19774. No training and no gradient: a fresh chunk is sampled and its first
`delay` actions are replaced by those of the previous chunk; the flow is run backwards from there to
a noise, whose first `delay` rows take the place of the fresh ones; then the flow runs again. The
prefix is met as well as the inversion is exact, and is not overwritten afterwards. The execution
horizon does not enter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from msgspec import Meta

from rtc.errors import check_choice
from rtc.flow import FlowPolicy, sample_from
from rtc.flow import flow_steps as make_steps
from rtc.methods.interface import Context, Stateless
from rtc.types import Array, Bool, Float

INVERSIONS = ("euler", "onestep", "midpoint")


@dataclass(frozen=True)
class Paint(Stateless):
    """The flow from a noise that leads back to the previous chunk's first actions."""

    inversion: Annotated[
        Literal["euler", "onestep", "midpoint"],
        Meta(description="How the flow is run backwards."),
    ]

    def __post_init__(self):
        check_choice("inversion", self.inversion, INVERSIONS)

    def network_evaluations(self, flow_steps: int) -> int:
        """Two flows, and the inversion between them."""
        passes = {"euler": flow_steps, "midpoint": 2 * flow_steps, "onestep": 1}
        return 2 * flow_steps + passes[self.inversion]

    def chunk(
        self, policy: FlowPolicy, context: Context, flow_steps: int, return_tracking: bool
    ) -> Any:
        """See `Stateless`. `tracked_steps` are those of the second flow."""
        projection = policy.project_observation(context.obs)
        noise = painted_noise(policy, projection, context, flow_steps, self.inversion)
        return sample_from(
            policy, projection, noise, make_steps(policy, flow_steps), return_tracking
        )


def painted_noise(
    policy: FlowPolicy,
    projection: Float[Array, "b c"],
    context: Context,
    flow_steps: int,
    inversion: str,
) -> Float[Array, "b h a"]:
    """The context's noise, with rows found by inversion in the place of its first `delay`."""
    noise, prefix = context.noise[0], prefix_mask(policy, context)
    fresh = sample_from(policy, projection, noise, make_steps(policy, flow_steps))
    target = jnp.where(prefix, context.previous, fresh)
    return jnp.where(prefix, invert(policy, projection, target, flow_steps, inversion), noise)


def prefix_mask(policy: FlowPolicy, context: Context) -> Bool[Array, "1 h 1"]:
    """Which rows of a chunk are executed before it is ready."""
    return (jnp.arange(policy.action_chunk_size) < context.delay)[None, :, None]


def invert(
    policy: FlowPolicy,
    projection: Float[Array, "b c"],
    chunk: Float[Array, "b h a"],
    num_steps: int,
    inversion: str,
) -> Float[Array, "b h a"]:
    """The noise that the flow of `num_steps` Euler steps leads to `chunk`, as nearly as found.

    inversion: "euler", x <- x - v(x, i / n) / n for i = n - 1 .. 0; "midpoint", the same with the
    velocity half a step further back, at h = x - v(x, i / n) / 2n and time i / n - 1 / 2n (the
    authors' grid); "onestep", x - v(x, 1).
    """
    n = num_steps
    velocity = _velocity(policy, projection)
    if inversion == "onestep":
        return chunk - velocity(chunk, jnp.float32(1.0))

    def back(x: Array, time: Array) -> tuple[Array, None]:
        v = velocity(x, time)
        if inversion == "midpoint":
            v = velocity(x - v / (2 * n), time - 1 / (2 * n))
        return x - v / n, None

    return jax.lax.scan(back, chunk, jnp.arange(n - 1, -1, -1, dtype=jnp.float32) / n)[0]


def _velocity(policy: FlowPolicy, projection: Array) -> Callable[[Array, Array], Array]:
    def velocity(x: Array, time: Array) -> Array:
        return policy.velocity_from(projection, x, policy.modulations(time.reshape(1, 1)))

    return velocity
