"""Inpainting as in Diffuser: at every flow step the prefix is overwritten by the noised
previous chunk, (1 - t) noise + t previous; the rest of the chunk adapts to it only through the
network. Source: arXiv 2205.09991, section 3.2, with the flow in place of the diffusion.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from rtc.flow import Estimate, FlowPolicy, FlowStep, integrate
from rtc.flow import flow_steps as make_steps
from rtc.methods.interface import Context, with_carry
from rtc.types import Array, PyTree, checked


@dataclass(frozen=True)
class DiffuserOverwrite:
    """No hyper-parameters: the prefix is the actions that will be executed anyway."""

    samples: ClassVar[int] = 1
    keeps_prefix: ClassVar[bool] = True

    def init(self, batch_size: int, chunk_size: int, action_dim: int) -> PyTree:
        """No state: the previous chunk comes with the context."""
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
        """See `rtc.methods.Method`. `tracked_steps`: `correction` turns the velocity of the
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
            return jnp.where(prefix, previous, result), carry
        x_1, tracked = result
        # The sum of the steps rounds; the prefix is to be kept exactly.
        chunk = jnp.where(prefix, previous, x_1)
        return with_carry((chunk, tracked | {"x_1": chunk}), carry, return_tracking)
