"""Real-time chunking: the new chunk is guided to continue the previous one.

Source: arXiv 2506.07339, algorithm 1. `schedule: zeros` is hard masking; `jacobian: identity`
is LeRobot's variant, which takes the velocity as constant in the guidance.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from rtc.errors import ConfigError, check_choice
from rtc.flow import JACOBIANS, SCHEDULES, FlowPolicy
from rtc.methods.interface import Context, Stateless


@dataclass(frozen=True)
class Realtime(Stateless):
    """Guidance by the weights of `schedule`, of at most `beta`."""

    schedule: Annotated[
        Literal["exp", "linear", "ones", "zeros"],
        Meta(description="How the prefix weights fall over the chunk; zeros is hard masking."),
    ]
    beta: Annotated[float, Meta(ge=0, le=1e6, description="Greatest guidance weight.")]
    jacobian: Annotated[
        Literal["full", "identity"],
        Meta(description="Of the guidance; identity takes the velocity as constant."),
    ] = "full"

    def __post_init__(self):
        check_choice("schedule", self.schedule, SCHEDULES)
        check_choice("jacobian", self.jacobian, JACOBIANS)
        if not self.beta >= 0:
            raise ConfigError(f"beta: expected a number of at least 0, got {self.beta}")

    def network_evaluations(self, flow_steps: int) -> int:
        """One forward pass a step, and one backward pass for the full Jacobian."""
        return flow_steps * (2 if self.jacobian == "full" else 1)

    def chunk(
        self, policy: FlowPolicy, context: Context, flow_steps: int, return_tracking: bool
    ) -> Any:
        """See `Stateless`."""
        return policy.realtime_action(
            None,
            context.obs,
            flow_steps,
            context.previous,
            context.delay,
            policy.action_chunk_size - context.horizon,
            self.schedule,
            self.beta,
            noise=context.noise[0],
            jacobian=self.jacobian,
            return_tracking=return_tracking,
        )
