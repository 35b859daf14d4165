"""An average of the previous chunk and the new one, wherever both have an action.

Source: LeRobot's asynchronous inference, whose aggregators give the old action a share of 0
(`latest_only`), 0.3 (`weighted_average`), 0.5 (`average`) or 0.7 (`conservative`). What is averaged
next time is the result, as in its queue of actions.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import jax.numpy as jnp
from msgspec import Meta

from rtc.errors import ConfigError
from rtc.flow import FlowPolicy, sample
from rtc.methods.interface import Context, Stateless


@dataclass(frozen=True)
class Blend(Stateless):
    """The average, in which the old action has the share `old_share`; 0 is naive."""

    old_share: Annotated[
        float,
        Meta(ge=0, le=1, description="Share of the previous chunk's action where both have one."),
    ]

    def __post_init__(self):
        if not 0 <= self.old_share <= 1:
            raise ConfigError(f"old_share: expected a number from 0 to 1, got {self.old_share}")

    def chunk(
        self, policy: FlowPolicy, context: Context, flow_steps: int, return_tracking: bool
    ) -> Any:
        """See `Stateless`. `tracked_steps` are those of the new chunk, before the average."""
        result = sample(policy, context.obs, context.noise[0], flow_steps, return_tracking)
        fresh, *tracked = result if return_tracking else (result,)
        size = policy.action_chunk_size
        # The previous chunk ends here; what follows in `previous` is padding.
        both = (jnp.arange(size) < size - context.horizon)[None, :, None]
        average = self.old_share * context.previous + (1 - self.old_share) * fresh
        blended = jnp.where(both, average, fresh)
        return (blended, *tracked) if return_tracking else blended
