"""VLASH: a chunk for the moment in which it will take over, from an observation of now in which
the agent's own bodies are already where they will be then.

Source: arXiv 2512.01031, where the robot's own state is rolled forward and the picture is not.
"""

from dataclasses import dataclass
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from msgspec import Meta

from rtc.errors import ConfigError
from rtc.flow import FlowPolicy, flow_matching_loss
from rtc.training.objectives.interface import (
    DeviceRows,
    Drawn,
    Objective,
    draw_key,
    gather_windows,
)
from rtc.types import Array, Bool, Float, Int, Key


@dataclass(frozen=True)
class ShiftedWindow(Objective):
    """Shifts are drawn uniformly; one beyond the end of an episode is cut to its last step."""

    max_shift: Annotated[
        int, Meta(ge=1, le=255, description="Shifts 0 .. max_shift steps are simulated.")
    ]

    @property
    def extra_steps(self) -> int:
        """Rows that a shifted window reaches further."""
        return self.max_shift

    def draw(self, key: Key, shape: tuple[int, int, int]) -> Drawn:
        """Noise, time and shift [b]."""
        shift = jax.random.randint(draw_key(key), shape[:1], 0, self.max_shift + 1)
        return super().draw(key, shape) | {"shift": shift}

    def windows(
        self,
        rows: DeviceRows,
        starts: Int[Array, "b"],
        chunk_size: int,
        drawn: Drawn,
        own: Bool[np.ndarray, "o"] | None,
    ) -> tuple[Float[Array, "b o"], Float[Array, "b h a"]]:
        """The actions from `shift` steps later on; the observation of the start, own bodies as
        they are `shift` steps later. Raises ConfigError where these are not known."""
        if own is None:
            raise ConfigError("objective shifted_window: give train_policies the level")
        shift = jnp.minimum(drawn["shift"], rows.alive[starts])
        later, action = gather_windows(rows, starts + shift, chunk_size)
        return jnp.where(own[None], later, rows.obs[starts]), action

    def loss(
        self,
        policy: FlowPolicy,
        obs: Float[Array, "b o"],
        action: Float[Array, "b h a"],
        drawn: Drawn,
    ) -> Float[Array, ""]:
        """See `rtc.flow.flow_matching_loss`."""
        return flow_matching_loss(policy, obs, action, drawn["noise"], drawn["time"])
