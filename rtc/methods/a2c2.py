"""Naive chunks, of which each action is corrected by the observation in which it is executed.

The executed action is the chunk's plus what a head (`rtc.flow.heads.Correction`) makes of the
newest observations, the last action, that action and its place in its chunk; the environment alone
clips it. Source: A2C2, arXiv 2509.23224, with the history of `rtc.flow.heads.correction`.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import jax.numpy as jnp
from msgspec import Meta

from rtc.flow import FlowPolicy, sample
from rtc.methods.interface import Context, Stateless
from rtc.types import Array, Bool, Float, Int, PyTree, checked


class Past(NamedTuple):
    """What the head is shown beside now: obs [b, k, o], the newest last, last_action [b, a]; begun
    [b], whether there is any yet."""

    obs: Float[Array, "b k o"]
    last_action: Float[Array, "b a"]
    begun: Bool[Array, "b"]


@dataclass(frozen=True)
class A2C2(Stateless):
    """Correction at every step, by the one head of the method's entry."""

    observation_history: Annotated[
        int, Meta(ge=1, le=64, description="Newest observations that the head sees; as trained.")
    ] = 4
    step_evaluations: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("heads",)

    def init(self, batch_size: int, chunk_size: int, action_dim: int, obs_dim: int) -> Past:
        """Nothing seen yet."""
        return Past(
            obs=jnp.zeros((batch_size, self.observation_history, obs_dim), jnp.float32),
            last_action=jnp.zeros((batch_size, action_dim), jnp.float32),
            begun=jnp.zeros(batch_size, bool),
        )

    def chunk(
        self, policy: FlowPolicy, context: Context, flow_steps: int, return_tracking: bool
    ) -> Any:
        """See `Stateless`."""
        return sample(policy, context.obs, context.noise[0], flow_steps, return_tracking)

    @checked()
    def act(
        self,
        policy: FlowPolicy,
        heads: tuple[Any, ...],
        obs: Float[Array, "b o"],
        action: Float[Array, "b a"],
        index: Int[Array, "b"],
        carry: PyTree,
    ) -> tuple[Array, PyTree]:
        """See `rtc.methods.EveryStep`. Before an episode's start its first observation stands."""
        newest = obs[:, None]
        older = jnp.where(carry.begun[:, None, None], carry.obs[:, 1:], newest)
        seen = jnp.concatenate([older, newest], axis=1)
        executed = action + heads[0](seen, carry.last_action, action, index)
        return executed, Past(seen, executed, jnp.ones_like(carry.begun))
