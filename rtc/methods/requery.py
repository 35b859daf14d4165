"""The naive chunk of the observation in which it will take over.

No method for a robot where the forecast is the oracle's: it shows what remains of the loss by
delay if the future were known. Source: the ceiling of arXiv 2605.08168.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from rtc.flow import FlowPolicy, sample
from rtc.methods.interface import Context, Stateless
from rtc.methods.takeover import begun_late


@dataclass(frozen=True)
class Requery(Stateless):
    """No hyper-parameters: all is in the forecast of the method's entry."""

    keeps_prefix: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("forecast",)

    def chunk(
        self, policy: FlowPolicy, context: Context, flow_steps: int, return_tracking: bool
    ) -> Any:
        """See `Stateless`. `tracked_steps` are those of the chunk before it is moved."""
        noise = context.noise[0]
        result = sample(policy, context.forecast, noise, flow_steps, return_tracking)
        fresh, *tracked = result if return_tracking else (result,)
        chunk = begun_late(fresh, context.previous, context.delay)
        return (chunk, *tracked) if return_tracking else chunk
