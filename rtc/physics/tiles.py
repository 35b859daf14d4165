"""A large batch in pieces that fit the processor's cache.

The solver takes as many turns as the environment with most contacts needs. So environments
with similar numbers of contacts are put together, and each piece takes only its own turns.
A GPU has no use for this: there the batch stays whole.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

from rtc.types import Array, Int, PyTree

TILE = 256  # environments; a level's state and contacts are then about 0.2 to 0.5 MB
T = TypeVar("T")


def in_tiles(function: Callable[[PyTree], T], batched: PyTree, effort: Int[Array, " b"]) -> T:
    """`function(batched)`, piece by piece; every array has the batch last.

    effort: [b] how much work an environment is expected to be.
    """
    batch_size = effort.shape[0]
    pieces = -(-batch_size // TILE)
    if pieces == 1 or jax.default_backend() != "cpu":
        return function(batched)
    size = -(-batch_size // pieces)
    order = jnp.argsort(effort)
    # The last piece is filled up with copies of the first environments.
    padded = jnp.concatenate([order, order[: pieces * size - batch_size]])

    def cut(array: Array) -> Array:
        picked = array[..., padded].reshape(*array.shape[:-1], pieces, size)
        return jnp.moveaxis(picked, -2, 0)

    place = jnp.argsort(order)

    def join(array: Array) -> Array:
        whole = jnp.moveaxis(array, 0, -2)
        return whole.reshape(*whole.shape[:-2], pieces * size)[..., place]

    return jax.tree.map(join, jax.lax.map(function, jax.tree.map(cut, batched)))
