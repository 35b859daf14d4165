"""Bidirectional decoding: many samples, of which the most coherent one is kept.

Source: arXiv 2408.17355, in the form the Real-Time Chunking benchmark gave it (arXiv 2506.07339).
Backward loss: distance to the previous chunk, weighted by the "exp" prefix weights. With a weak
policy also the forward contrast: near the best samples, far from the weak policy's best.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
from msgspec import Meta

from rtc.errors import ConfigError
from rtc.flow import FlowPolicy, get_prefix_weights, sample, sample_from
from rtc.flow import flow_steps as make_steps
from rtc.methods.interface import Context, with_carry
from rtc.types import Array, Float, PyTree, checked

# So many rows go through the network at once: memory does not grow with batch x samples.
ROWS_AT_ONCE = 4096


Count = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True)
class Bid:
    """The sample of least loss; `keep` and `weak_epoch` are both given, or neither."""

    samples: Annotated[int, Meta(ge=1, le=65_536, description="Candidates for a chunk.")]
    keep: Annotated[
        Count | None,
        Meta(description="Of either policy's samples, how many enter the forward contrast."),
    ] = None
    weak_epoch: Annotated[
        Count | None,
        Meta(description="Epoch of the weak policy; null, as keep: rejection sampling alone."),
    ] = None
    keeps_prefix: ClassVar[bool] = False

    def __post_init__(self):
        if self.samples < 1:
            raise ConfigError(f"samples: expected at least 1, got {self.samples}")
        if (self.keep is None) != (self.weak_epoch is None):
            raise ConfigError("keep: give keep and weak_epoch both, or neither (rejection only)")
        if self.keep is not None and not 1 <= self.keep <= self.samples:
            raise ConfigError(f"keep: expected 1 to samples ({self.samples}), got {self.keep}")

    def init(self, batch_size: int, chunk_size: int, action_dim: int) -> PyTree:
        """No state: the previous chunk comes with the context."""
        return ()

    def network_evaluations(self, flow_steps: int) -> int:
        """One forward pass a step and sample, of each policy."""
        return flow_steps * self.samples * (1 if self.keep is None else 2)

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
        """See `rtc.methods.Method`. `tracked_steps` are those of the sample that was kept."""
        end = policy.action_chunk_size - context.horizon
        weights = get_prefix_weights(context.delay, end, policy.action_chunk_size, "exp")
        candidates = candidate_chunks(policy, context, flow_steps)
        loss = backward_loss(candidates, context.previous, weights)
        if self.keep is not None:
            if weak_policy is None:
                raise ConfigError(f"weak_epoch: no weak policy was given (epoch {self.weak_epoch})")
            # From the same noise as the strong samples, as in the reference.
            weak = candidate_chunks(weak_policy, context, flow_steps)
            near = best(candidates, loss, self.keep)
            far = best(weak, backward_loss(weak, context.previous, weights), self.keep)
            contrast = total_distance(candidates, near) - total_distance(candidates, far)
            loss = loss + contrast / self.samples
        kept = jnp.argmin(loss, axis=0)[None, :, None, None]
        if return_tracking:
            noise = jnp.take_along_axis(context.noise, kept, axis=0)[0]
            _, tracked = sample(policy, context.obs, noise, flow_steps, return_tracking=True)
            chunk = jnp.take_along_axis(candidates, kept, axis=0)[0]
            return with_carry((chunk, tracked | {"x_1": chunk}), carry, return_tracking)
        return with_carry(jnp.take_along_axis(candidates, kept, axis=0)[0], carry, False)


def candidate_chunks(
    policy: FlowPolicy, context: Context, flow_steps: int
) -> Float[Array, "k b h a"]:
    """One chunk for each row of noise, drawn in equal groups of at most ROWS_AT_ONCE rows."""
    samples, batch_size, *chunk = context.noise.shape
    fitting = [n for n in range(1, samples + 1) if n == 1 or n * batch_size <= ROWS_AT_ONCE]
    group = max(n for n in fitting if samples % n == 0)
    projection = jnp.tile(policy.project_observation(context.obs), (group, 1))
    steps = make_steps(policy, flow_steps)

    def draw(noise: Array) -> Array:
        return sample_from(policy, projection, noise, steps)

    rows = context.noise.reshape(samples // group, group * batch_size, *chunk)
    return jax.lax.map(draw, rows).reshape(context.noise.shape)


def backward_loss(
    chunks: Float[Array, "k b h a"], previous: Float[Array, "b h a"], weights: Float[Array, "h"]
) -> Float[Array, "k b"]:
    """Distance to the previous chunk: L2 over action dimensions, weighted sum over the chunk."""
    distance = jnp.linalg.norm(chunks - previous[None], axis=-1)
    return jnp.sum(distance * weights[None, None], axis=-1)


def best(
    chunks: Float[Array, "k b h a"], loss: Float[Array, "k b"], keep: int
) -> Float[Array, "m b h a"]:
    """The `keep` chunks of least loss, for each row of the batch."""
    index = jnp.argsort(loss, axis=0)[:keep]
    return jnp.take_along_axis(chunks, index[:, :, None, None], axis=0)


def total_distance(
    chunks: Float[Array, "k b h a"], others: Float[Array, "m b h a"]
) -> Float[Array, "k b"]:
    """Sum over `others` and over the chunk of the L2 distance over action dimensions."""
    difference = chunks[:, None] - others[None]
    return jnp.sum(jnp.linalg.norm(difference, axis=-1), axis=(1, 3))
