"""Temporal ensembling: an action is the average of all chunks that predicted it.

Source: ACT, arXiv 2304.13705, section IV-B, where a chunk is made at every step and all
predictions for a step are averaged with weights exp(-m i), i = 0 for the oldest. Here a chunk is
made every s steps and is ready d steps late, so:

- i counts chunks, not steps, among those that cover the step;
- the returned chunk holds, for each of its actions, the average over all chunks known once this
  one is ready. Steps 0 .. d - 1 run before that and execute the average of the previous call;
- the last d actions of it that are used, s .. s + d - 1, are executed while the next chunk is made.

`average: median` takes the median over the same chunks, for each dimension of the action apart.

At d = 0 and s = 1 the mean is ACT's rule. The executor's very first chunk, made before the first
call, is not part of the average.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import jax.numpy as jnp
from msgspec import Meta

from rtc.errors import ConfigError, check_choice
from rtc.flow import FlowPolicy, sample
from rtc.methods.interface import Context
from rtc.types import Array, Bool, Float, Int, PyTree, checked

AVERAGES = ("mean", "median")


class Chunks(NamedTuple):
    """Chunks of earlier calls, aligned to the last call, youngest first; room for all that can
    overlap (h - 1 of them, at s = 1).

    actions: [b, k, h, a]. covers: [b, k, h], whether a chunk has a prediction for the step.
    """

    actions: Array
    covers: Array


@dataclass(frozen=True)
class TemporalEnsemble:
    """The average of all chunks that predicted an action."""

    m: Annotated[
        float,
        Meta(ge=0, le=1e6, description="Decay of the weights exp(-m i); i = 0 is the oldest."),
    ]
    average: Annotated[
        Literal["mean", "median"],
        Meta(description="Of the chunks that cover a step; the median has no weights: m is 0."),
    ] = "mean"
    samples: ClassVar[int] = 1
    keeps_prefix: ClassVar[bool] = False

    def __post_init__(self):
        if not math.isfinite(self.m):
            raise ConfigError(f"m: expected a finite number, got {self.m}")
        check_choice("average", self.average, AVERAGES)
        if self.average == "median" and self.m != 0:
            raise ConfigError(f"m: expected 0 with average: median, got {self.m}")

    def init(self, batch_size: int, chunk_size: int, action_dim: int) -> Chunks:
        """Room for the chunks that can still cover a step, none of them filled."""
        older = chunk_size - 1
        return Chunks(
            actions=jnp.zeros((batch_size, older, chunk_size, action_dim), jnp.float32),
            covers=jnp.zeros((batch_size, older, chunk_size), bool),
        )

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
        """See `rtc.methods.Method`. `tracked_steps` are those of the new chunk, whose `x_1` is
        what enters the average; the chunk returned is the average."""
        result = sample(policy, context.obs, context.noise[0], flow_steps, return_tracking)
        new, *tracked = result if return_tracking else (result,)
        chunks = Chunks(
            actions=jnp.concatenate([new[:, None], carry.actions], axis=1),
            covers=jnp.concatenate([jnp.ones_like(carry.covers[:, :1]), carry.covers], axis=1),
        )
        if self.average == "median":
            chunk = median(chunks.actions, chunks.covers)
        else:
            chunk = ensemble(chunks.actions, chunks.covers, self.m)
        kept = Chunks(chunks.actions[:, :-1], chunks.covers[:, :-1])
        return chunk, shift(kept, context.horizon), *tracked


def ensemble(
    actions: Float[Array, "b k h a"], covers: Bool[Array, "b k h"], m: float
) -> Float[Array, "b h a"]:
    """Average over the chunks that cover a step, weights exp(-m i), i = 0 for the oldest.

    The chunks come youngest first and coverage ends with the oldest, so i = count - 1 - age.
    """
    age = jnp.arange(actions.shape[1])[None, :, None]
    rank = jnp.sum(covers, axis=1, keepdims=True) - 1 - age
    weights = jnp.where(covers, jnp.exp(-m * rank), 0.0)[..., None]
    return jnp.sum(weights * actions, axis=1) / jnp.sum(weights, axis=1)


def median(actions: Float[Array, "b k h a"], covers: Bool[Array, "b k h"]) -> Float[Array, "b h a"]:
    """Median over the chunks that cover a step; of an even number, the mean of the middle two."""
    ordered = jnp.sort(jnp.where(covers[..., None], actions, jnp.inf), axis=1)
    count = jnp.sum(covers, axis=1)[:, None, :, None]

    def place(index: Array) -> Array:
        return jnp.take_along_axis(ordered, index, axis=1)[:, 0]

    return (place((count - 1) // 2) + place(count // 2)) / 2


def shift(chunks: Chunks, steps: Int[Array, ""]) -> Chunks:
    """The same chunks seen `steps` later: the first entries are gone, the last are not covered."""
    size = chunks.covers.shape[2]
    index = jnp.arange(size) + steps
    inside = (index < size)[None, None]
    source = jnp.minimum(index, size - 1)
    covers = jnp.take(chunks.covers, source, axis=2) & inside
    actions = jnp.take(chunks.actions, source, axis=2)
    return Chunks(jnp.where(covers[..., None], actions, 0.0), covers)
