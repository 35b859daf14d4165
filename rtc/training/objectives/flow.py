"""Plain flow matching."""

from dataclasses import dataclass

from rtc.flow import FlowPolicy, flow_matching_loss
from rtc.training.objectives.interface import Drawn, Objective
from rtc.types import Array, Float


@dataclass(frozen=True)
class FlowMatching(Objective):
    """No options."""

    def loss(
        self,
        policy: FlowPolicy,
        obs: Float[Array, "b o"],
        action: Float[Array, "b h a"],
        drawn: Drawn,
    ) -> Float[Array, ""]:
        """See `rtc.flow.flow_matching_loss`."""
        return flow_matching_loss(policy, obs, action, **drawn)
