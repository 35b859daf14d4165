"""Soft RTC: each action is held to the previous chunk by a weight that falls behind the delay.

Needs a policy whose objective is soft_prefix, with the same options; no backward pass. The window
ends where the previous chunk does. Source: arXiv 2605.25537.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from rtc.flow import FlowPolicy
from rtc.flow.soft_prefix import soft_prefix_weights, soft_sample
from rtc.methods.interface import Context, Stateless


@dataclass(frozen=True)
class Soft(Stateless):
    """The prefix itself is only followed closely: nothing is copied after the last flow step."""

    schedule: Annotated[
        Literal["exp", "linear", "zeros"], Meta(description="How the weights fall.")
    ]
    window: Annotated[
        Literal["scaled", "offset"],
        Meta(description="Where they reach 0: at reach x delay, or at delay + reach."),
    ]
    reach: Annotated[float, Meta(ge=0, le=256, description="See window.")]

    def chunk(
        self, policy: FlowPolicy, context: Context, flow_steps: int, return_tracking: bool
    ) -> Any:
        """See `Stateless`. `tracked_steps`: `correction` is what the mixing adds."""
        weights = soft_prefix_weights(
            context.delay,
            context.horizon,
            policy.action_chunk_size,
            self.schedule,
            self.window,
            self.reach,
        )
        return soft_sample(
            policy,
            context.obs,
            context.noise[0],
            flow_steps,
            context.previous,
            weights,
            return_tracking,
        )
