"""The chunk is made for the moment when it takes over, as far as the robot knows itself.

In the observation the entries of the agent's own bodies are those of the forecast, the rest those
of now; the policy has learned to act on such observations (objective `shifted_window`). Source:
VLASH, arXiv 2512.01031.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from rtc.flow import FlowPolicy, sample
from rtc.methods.interface import Context, Stateless
from rtc.methods.takeover import begun_late


@dataclass(frozen=True)
class Vlash(Stateless):
    """No hyper-parameters: all is in the training of the policy, and in the forecast."""

    keeps_prefix: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("forecast",)

    def chunk(
        self, policy: FlowPolicy, context: Context, flow_steps: int, return_tracking: bool
    ) -> Any:
        """See `Stateless`. `tracked_steps` are those of the chunk before it is moved."""
        obs = jnp.where(context.own[None], context.forecast, context.obs)
        result = sample(policy, obs, context.noise[0], flow_steps, return_tracking)
        fresh, *tracked = result if return_tracking else (result,)
        chunk = begun_late(fresh, context.previous, context.delay)
        return (chunk, *tracked) if return_tracking else chunk
