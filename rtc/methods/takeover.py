"""Chunks that begin at the moment when they take over, not at the one when they are asked for."""

import jax.numpy as jnp

from rtc.types import Array, Float, Int


def begun_late(
    chunk: Float[Array, "b h a"], previous: Float[Array, "b h a"], delay: int | Int[Array, ""]
) -> Float[Array, "b h a"]:
    """The chunk as a method returns it: action 0 of `chunk` is that of `delay` steps from now;
    those before are of the previous chunk. The last `delay` actions of `chunk` drop out."""
    index = jnp.arange(chunk.shape[1])
    moved = jnp.take(chunk, jnp.maximum(index - delay, 0), axis=1)
    return jnp.where((index < delay)[None, :, None], previous, moved)
