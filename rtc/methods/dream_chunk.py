"""Several chunks for one moment, each with the future that a world model dreams for it; at every
step the action of the chunk whose dream is nearest to what is observed.

A chunk is dreamt from the observation that it was made from, as if it were executed from then on.
So at its first executed step, `delay` steps later, the chunk is preferred that would have come to
where the previous one has led meanwhile; later the one that comes closest to what noise has made
of the actions. Source: DREAM-Chunk, arXiv 2606.18589, which matches latents of images; here
observations are matched (`rtc.flow.heads.world_model`).
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import jax.numpy as jnp
from msgspec import Meta

from rtc.flow import FlowPolicy, sample
from rtc.methods.bid import candidate_chunks
from rtc.methods.interface import Context
from rtc.types import Array, Float, Int, PyTree, checked

EXECUTED, NEWEST = 0, 1


class Dreams(NamedTuple):
    """Two sets of k chunks: those in execution until the newest take over, and the newest.

    chunks: [b, 2, k, h, a]. states: [b, 2, k, o] observations that are dreamt of now. age: [b]
    steps since the newest were made. made: [b] sets that the episode has had.
    """

    chunks: Float[Array, "b 2 k h a"]
    states: Float[Array, "b 2 k o"]
    age: Int[Array, "b"]
    made: Int[Array, "b"]


@dataclass(frozen=True)
class DreamChunk:
    """Chunks and their dreams, by the one head of the method's entry, a `world_model`."""

    samples: Annotated[int, Meta(ge=2, le=4096, description="Candidates for a chunk.")]
    keeps_prefix: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("heads",)

    def init(self, batch_size: int, chunk_size: int, action_dim: int, obs_dim: int) -> Dreams:
        """No chunks yet."""
        sets = (batch_size, 2, self.samples)
        return Dreams(
            chunks=jnp.zeros((*sets, chunk_size, action_dim), jnp.float32),
            states=jnp.zeros((*sets, obs_dim), jnp.float32),
            age=jnp.zeros(batch_size, jnp.int32),
            made=jnp.zeros(batch_size, jnp.int32),
        )

    def network_evaluations(self, flow_steps: int) -> int:
        """One forward pass a step and candidate."""
        return flow_steps * self.samples

    @property
    def step_evaluations(self) -> int:
        """One pass of the world model for each candidate of either set."""
        return 2 * self.samples

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
        """See `rtc.methods.Method`. The chunk is the first candidate, naive's; `tracked_steps` are
        its."""
        candidates = candidate_chunks(policy, context, flow_steps)
        carry = Dreams(
            chunks=jnp.stack([carry.chunks[:, NEWEST], jnp.moveaxis(candidates, 0, 1)], axis=1),
            states=jnp.flip(carry.states, axis=1),
            age=jnp.zeros_like(carry.age),
            made=carry.made + 1,
        )
        chunk = candidates[0]
        if return_tracking:
            _, tracked = sample(policy, context.obs, context.noise[0], flow_steps, True)
            return chunk, carry, tracked | {"x_1": chunk}
        return chunk, carry

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
        """See `rtc.methods.EveryStep`. Before an episode's first chunk takes over, the one that it
        begins with is executed as it is."""
        # An action's place is that of the newest chunk's only where that chunk has taken over.
        new = index == carry.age
        fresh = (carry.age == 0)[:, None, None]
        newest = jnp.where(fresh, obs[:, None], carry.states[:, NEWEST])
        states = jnp.stack([carry.states[:, EXECUTED], newest], axis=1)
        places = jnp.stack([index, carry.age], axis=1)[:, :, None, None, None]
        actions = jnp.take_along_axis(carry.chunks, places, axis=3, mode="clip")[:, :, :, 0]
        distance = jnp.sum(jnp.square(states - obs[:, None, None]), axis=-1)
        nearest = jnp.argmin(distance, axis=-1)[:, :, None, None]
        chosen = jnp.take_along_axis(actions, nearest, axis=2)[:, :, 0]
        executed = jnp.where(new[:, None], chosen[:, NEWEST], chosen[:, EXECUTED])
        known = new | (carry.made > 1)
        rows, size = states.shape[:3], states.shape[3]
        dreamt = heads[0](states.reshape(-1, size), actions.reshape(-1, action.shape[1]))
        carry = carry._replace(states=dreamt.reshape(*rows, size), age=carry.age + 1)
        return jnp.where(known[:, None], executed, action), carry
