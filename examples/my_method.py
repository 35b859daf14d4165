"""A chunking method of one's own: the new chunk is blended with the previous one.

The worked example of docs/add-a-method.md. To run it beside the others:

    methods:
      blend: {method: examples.my_method:Blend, policy: flow, strength: 1.0}
"""

from dataclasses import dataclass
from typing import ClassVar

from rtc.flow import get_prefix_weights, sample


@dataclass(frozen=True)
class Blend:
    """strength: 1 follows the previous chunk where it is firmly attended to, 0 is naive."""

    strength: float
    samples: ClassVar[int] = 1
    keeps_prefix: ClassVar[bool] = False

    def init(self, batch_size, chunk_size, action_dim):
        """No state outlives a call."""
        return ()

    def network_evaluations(self, flow_steps):
        """One forward pass a step."""
        return flow_steps

    def __call__(self, policy, weak_policy, context, carry, flow_steps, return_tracking=False):
        """Samples as naive does, then moves towards the previous chunk by the prefix weights."""
        result = sample(policy, context.obs, context.noise[0], flow_steps, return_tracking)
        fresh, *tracked = result if return_tracking else (result,)
        end = policy.action_chunk_size - context.horizon
        weights = get_prefix_weights(context.delay, end, policy.action_chunk_size, "exp")
        share = self.strength * weights[None, :, None]
        return share * context.previous + (1 - share) * fresh, carry, *tracked
