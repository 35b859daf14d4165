"""Training-time real-time chunking: the policy itself has learned to continue a given prefix.

The first `delay` actions are pinned to the previous chunk and told to the network as clean
(flow time 1); the rest flows from noise. Needs a policy trained with `simulated_delay`; no
backward pass. Source: arXiv 2512.05964.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from rtc.flow import Estimate, FlowPolicy, FlowStep, flow_steps, integrate
from rtc.methods.interface import Context, Stateless
from rtc.types import Array


@dataclass(frozen=True)
class TrainingTimeRealtime(Stateless):
    """No hyper-parameters: all is in the training of the policy."""

    keeps_prefix: ClassVar[bool] = True

    def chunk(
        self, policy: FlowPolicy, context: Context, flow_steps: int, return_tracking: bool
    ) -> Any:
        """See `Stateless`. `tracked_steps`: `correction` cancels the velocity of the
        prefix, and `noise` holds the previous chunk there."""
        pinned = (jnp.arange(policy.action_chunk_size) < context.delay)[None, :, None]

        def estimate(x_t: Array, step: FlowStep, projection: Array) -> Estimate:
            velocity = policy.velocity_from(projection, x_t, step.modulations)
            return Estimate(velocity, jnp.where(pinned, -velocity, 0.0))

        start = jnp.where(pinned, context.previous, context.noise[0])
        steps = pinned_steps(policy, flow_steps, pinned)
        rows = (policy.project_observation(context.obs),)
        return integrate(estimate, start, steps, rows, return_tracking)


def pinned_steps(policy: FlowPolicy, num_steps: int, pinned: Array) -> FlowStep:
    """Steps in which the tokens `pinned` [1, h, 1] are at time 1 throughout.

    The network's modulations are computed for each time once, then chosen for each token.
    """
    steps = flow_steps(policy, num_steps)

    def choose(at_times: Array) -> Array:
        return jnp.where(pinned[None], at_times[-1], at_times[:-1])

    modulations = jax.tree.map(choose, policy.step_modulations(num_steps))
    return steps._replace(modulations=modulations)
