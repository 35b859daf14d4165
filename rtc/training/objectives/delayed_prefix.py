"""Training-time RTC: the first actions are given, as many as a delay drawn for each sample.

Source: arXiv 2512.05964.
"""

from dataclasses import dataclass
from typing import Annotated

import jax.numpy as jnp
from msgspec import Meta

from rtc.flow import FlowPolicy, delayed_flow_matching_loss, draw_delay
from rtc.training.objectives.interface import Drawn, Objective, draw_key
from rtc.types import Array, Float, Key


@dataclass(frozen=True)
class DelayedPrefix(Objective):
    """Delays are drawn in proportion to exp(-delay)."""

    simulated_delay: Annotated[
        int, Meta(ge=1, le=256, description="Delays 0 .. simulated_delay - 1 are simulated.")
    ]

    def draw(self, key: Key, shape: tuple[int, int, int]) -> Drawn:
        """Noise, time and delay [b]."""
        delay = draw_delay(draw_key(key), self.simulated_delay, shape[0])
        return super().draw(key, shape) | {"delay": delay}

    def loss(
        self,
        policy: FlowPolicy,
        obs: Float[Array, "b o"],
        action: Float[Array, "b h a"],
        drawn: Drawn,
    ) -> Float[Array, ""]:
        """See `rtc.flow.delayed_flow_matching_loss`."""
        return delayed_flow_matching_loss(policy, obs, action, **drawn)

    def count(self, action: Float[Array, "b h a"], drawn: Drawn) -> Float[Array, ""]:
        """The actions behind the prefixes."""
        return jnp.sum(action.shape[1] - drawn["delay"]).astype(jnp.float32)
