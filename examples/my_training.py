"""An objective, a head, and methods that see more, of one's own.

The worked examples of docs/add-an-objective.md, which says how a configuration names them.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from flax import nnx

from rtc.flow import sample
from rtc.methods import Stateless
from rtc.methods.takeover import begun_late
from rtc.training.objectives import Objective


@dataclass(frozen=True)
class EarlyActions(Objective):
    """Flow matching in which an action counts `fade` times what the one before it does."""

    fade: float

    def loss(self, policy, obs, action, drawn):
        """A weighted mean of the squared error of the velocity."""
        noise, t = drawn["noise"], drawn["time"][:, None, None]
        velocity = policy.velocity(obs, (1 - t) * noise + t * action, drawn["time"])
        error = jnp.mean(jnp.square(velocity - (action - noise)), axis=(0, 2))
        return jnp.average(error, weights=self.fade ** jnp.arange(action.shape[1]))


@dataclass(frozen=True)
class Drift:
    """A head: what a linear map of the newest observation and the action adds to the action."""

    observation_history: ClassVar[int] = 1

    def network(self, sizes, rngs):
        """Called with [observation, action], [b, o + a]."""
        zeros = nnx.initializers.zeros_init()
        inputs = sizes.obs_dim + sizes.action_dim
        return nnx.Linear(inputs, sizes.action_dim, kernel_init=zeros, rngs=rngs)

    def loss(self, network, rows):
        """Mean squared difference between the corrected action and the expert's."""
        seen = jnp.concatenate([rows.obs_history[:, -1], rows.action], axis=1)
        return jnp.mean(jnp.square(rows.action + network(seen) - rows.label))


@dataclass(frozen=True)
class Corrected(Stateless):
    """Naive chunks; a share `gain` of what a `Drift` would add is added when they are executed."""

    gain: float
    step_evaluations: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("heads",)

    def chunk(self, policy, context, flow_steps, return_tracking):
        """As naive."""
        return sample(policy, context.obs, context.noise[0], flow_steps, return_tracking)

    def act(self, policy, heads, obs, action, index, carry):
        """Called for every executed step."""
        correction = heads[0](jnp.concatenate([obs, action], axis=1))
        return action + self.gain * correction, carry


@dataclass(frozen=True)
class Leaning(Stateless):
    """A chunk for the takeover, from an observation between that of now and the forecast."""

    trust: float
    keeps_prefix: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("forecast",)

    def chunk(self, policy, context, flow_steps, return_tracking):
        """trust: 0 decides from now, 1 from the forecast."""
        obs = context.obs + self.trust * (context.forecast - context.obs)
        result = sample(policy, obs, context.noise[0], flow_steps, return_tracking)
        fresh, *tracked = result if return_tracking else (result,)
        chunk = begun_late(fresh, context.previous, context.delay)
        return (chunk, *tracked) if return_tracking else chunk
