"""Soft RTC: each action is given to a share, which falls from 1 in the prefix to 0.

Source: arXiv 2605.25537.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from msgspec import Meta

from rtc.flow import FlowPolicy, draw_delay
from rtc.flow.soft_prefix import soft_flow_matching_loss, soft_prefix_weights
from rtc.training.objectives.interface import Drawn, Objective, draw_key
from rtc.types import Array, Float, Key


@dataclass(frozen=True)
class SoftPrefix(Objective):
    """Delays are drawn as for training-time RTC. The horizon of a delay d is taken as max(d, 1),
    the shortest there is: a longer window is never asked for when chunks are executed."""

    simulated_delay: Annotated[
        int, Meta(ge=1, le=256, description="Delays 0 .. simulated_delay - 1 are simulated.")
    ]
    schedule: Annotated[
        Literal["exp", "linear", "zeros"], Meta(description="How the weights fall.")
    ]
    window: Annotated[
        Literal["scaled", "offset"],
        Meta(description="Where they reach 0: at reach x delay, or at delay + reach."),
    ]
    reach: Annotated[float, Meta(ge=0, le=256, description="See window.")]

    def draw(self, key: Key, shape: tuple[int, int, int]) -> Drawn:
        """Noise, time and weights [b, h]."""
        delay = draw_delay(draw_key(key), self.simulated_delay, shape[0])
        # A delay beyond half of the chunk leaves no horizon of that length.
        horizon = jnp.clip(delay, 1, shape[1] - delay)
        options = (shape[1], self.schedule, self.window, self.reach)
        weights = jax.vmap(lambda d, s: soft_prefix_weights(d, s, *options))(delay, horizon)
        return super().draw(key, shape) | {"weights": weights}

    def loss(
        self,
        policy: FlowPolicy,
        obs: Float[Array, "b o"],
        action: Float[Array, "b h a"],
        drawn: Drawn,
    ) -> Float[Array, ""]:
        """See `rtc.flow.soft_prefix.soft_flow_matching_loss`."""
        return soft_flow_matching_loss(policy, obs, action, **drawn)

    def count(self, action: Float[Array, "b h a"], drawn: Drawn) -> Float[Array, ""]:
        """The shares that are not given."""
        return jnp.sum(1 - drawn["weights"])
