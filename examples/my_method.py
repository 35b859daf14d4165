"""A chunking method of one's own: the new chunk is blended with the previous one.

The worked example of docs/add-a-method.md. To run it beside the others:

    methods:
      blend: {method: examples.my_method:Blend, policy: flow, strength: 1.0}
"""

from dataclasses import dataclass

from rtc.flow import get_prefix_weights, sample
from rtc.methods import Stateless


@dataclass(frozen=True)
class Blend(Stateless):
    """strength: 1 follows the previous chunk where it is firmly attended to, 0 is naive."""

    strength: float

    def chunk(self, policy, context, flow_steps, return_tracking):
        """Samples as naive does, then moves towards the previous chunk by the prefix weights."""
        result = sample(policy, context.obs, context.noise[0], flow_steps, return_tracking)
        fresh, *tracked = result if return_tracking else (result,)
        end = policy.action_chunk_size - context.horizon
        weights = get_prefix_weights(context.delay, end, policy.action_chunk_size, "exp")
        share = self.strength * weights[None, :, None]
        blended = share * context.previous + (1 - share) * fresh
        return (blended, *tracked) if return_tracking else blended
