"""Inpainting as in Diffuser: at every flow step the prefix is overwritten by the noised
previous chunk, (1 - t) noise + t previous; the rest of the chunk adapts to it only through the
network. Source: arXiv 2205.09991, section 3.2, with the flow in place of the diffusion.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from rtc.flow import Estimate, FlowPolicy, FlowStep, integrate
from rtc.flow import flow_steps as make_steps
from rtc.methods.interface import Context, Stateless
from rtc.types import Array


@dataclass(frozen=True)
class DiffuserOverwrite(Stateless):
    """No hyper-parameters: the prefix is the actions that will be executed anyway."""

    keeps_prefix: ClassVar[bool] = True

    def chunk(
        self, policy: FlowPolicy, context: Context, flow_steps: int, return_tracking: bool
    ) -> Any:
        """See `Stateless`. `tracked_steps`: `correction` turns the velocity of the
        prefix into previous - noise, which is what overwriting it at every step amounts to."""
        noise, previous = context.noise[0], context.previous
        prefix = (jnp.arange(policy.action_chunk_size) < context.delay)[None, :, None]

        def estimate(x_t: Array, step: FlowStep, projection: Array, line: Array) -> Estimate:
            velocity = policy.velocity_from(projection, x_t, step.modulations)
            return Estimate(velocity, jnp.where(prefix, line - velocity, 0.0))

        rows = (policy.project_observation(context.obs), previous - noise)
        steps = make_steps(policy, flow_steps)
        result = integrate(estimate, noise, steps, rows, return_tracking)
        if not return_tracking:
            return jnp.where(prefix, previous, result)
        x_1, tracked = result
        # The sum of the steps rounds; the prefix is to be kept exactly.
        chunk = jnp.where(prefix, previous, x_1)
        return chunk, tracked | {"x_1": chunk}
