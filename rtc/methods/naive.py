"""Switch to the new chunk as soon as it is there."""

from dataclasses import dataclass
from typing import Any, ClassVar

from rtc.flow import FlowPolicy, sample
from rtc.methods.interface import Context, with_carry
from rtc.types import PyTree, checked


@dataclass(frozen=True)
class Naive:
    """A fresh chunk that knows nothing of the previous one."""

    samples: ClassVar[int] = 1
    keeps_prefix: ClassVar[bool] = False

    def init(self, batch_size: int, chunk_size: int, action_dim: int) -> PyTree:
        """No state."""
        return ()

    def network_evaluations(self, flow_steps: int) -> int:
        """One forward pass a step."""
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
        result = sample(policy, context.obs, context.noise[0], flow_steps, return_tracking)
        return with_carry(result, carry, return_tracking)
