"""PAINT with a warm start: an episode's first chunk is painted, later ones keep its noise.

Source: the warm-started variant of arXiv 2606.19774. The noise that the first call found for the
first `delay` rows takes their place in every later call too, with fresh noise behind it; these
calls run the flow once and do not look at the previous chunk.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
from msgspec import Meta

from rtc.errors import check_choice
from rtc.flow import FlowPolicy, sample_from
from rtc.flow import flow_steps as make_steps
from rtc.methods.interface import Context, with_carry
from rtc.methods.paint import INVERSIONS, painted_noise, prefix_mask
from rtc.types import Array, PyTree, checked


class Kept(NamedTuple):
    """noise: [b, h, a] of the last call. begun: [b] whether there was one in this episode."""

    noise: Array
    begun: Array


@dataclass(frozen=True)
class PaintWarm:
    """The flow from noise whose first rows the first call of the episode found."""

    inversion: Annotated[
        Literal["euler", "onestep", "midpoint"],
        Meta(description="How the flow is run backwards in the first call."),
    ]
    samples: ClassVar[int] = 1
    keeps_prefix: ClassVar[bool] = False

    def __post_init__(self):
        check_choice("inversion", self.inversion, INVERSIONS)

    def init(self, batch_size: int, chunk_size: int, action_dim: int) -> Kept:
        """No noise is kept yet."""
        return Kept(
            jnp.zeros((batch_size, chunk_size, action_dim), jnp.float32),
            jnp.zeros(batch_size, bool),
        )

    def network_evaluations(self, flow_steps: int) -> int:
        """One flow; that the first call of an episode takes as many as `paint` does not count."""
        return flow_steps

    @checked()
    def __call__(
        self,
        policy: FlowPolicy,
        weak_policy: FlowPolicy | None,
        context: Context,
        carry: PyTree,
        flow_steps: int,
        return_tracking: bool = False,
    ) -> Any:
        """See `rtc.methods.Method`."""
        projection = policy.project_observation(context.obs)
        later = jnp.where(prefix_mask(policy, context), carry.noise, context.noise[0])

        def paint() -> Array:
            return painted_noise(policy, projection, context, flow_steps, self.inversion)

        # Where no episode begins, nothing is inverted.
        first = jax.lax.cond(carry.begun.all(), lambda: later, paint)
        noise = jnp.where(carry.begun[:, None, None], later, first)
        result = sample_from(
            policy, projection, noise, make_steps(policy, flow_steps), return_tracking
        )
        return with_carry(result, Kept(noise, jnp.ones_like(carry.begun)), return_tracking)
