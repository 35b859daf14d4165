"""Switch to the new chunk as soon as it is there."""

from dataclasses import dataclass
from typing import Any

from rtc.flow import FlowPolicy, sample
from rtc.methods.interface import Context, Stateless


@dataclass(frozen=True)
class Naive(Stateless):
    """A fresh chunk that knows nothing of the previous one."""

    def chunk(
        self, policy: FlowPolicy, context: Context, flow_steps: int, return_tracking: bool
    ) -> Any:
        """See `Stateless`."""
        return sample(policy, context.obs, context.noise[0], flow_steps, return_tracking)
