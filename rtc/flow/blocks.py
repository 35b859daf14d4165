"""A batch in blocks that fit into a CPU's cache."""

from collections.abc import Callable
from typing import TypeVar

import jax

from rtc.types import Array, PyTree

Result = TypeVar("Result", bound=PyTree)

# At the paper's size the widest activations of 32 samples are 2 MB, as much as the cache of two
# cores; under 8 samples the matrix products lose more than the cache gains.
SMALLEST, LARGEST = 8, 32


def block_size(batch_size: int) -> int:
    """Samples of a block: on a CPU the largest divisor of the batch from SMALLEST to LARGEST.

    The whole batch where there is none, and on accelerators, which want it at once.
    """
    if jax.default_backend() == "cpu":
        for size in range(LARGEST, SMALLEST - 1, -1):
            if batch_size % size == 0:
                return size
    return batch_size


def in_blocks(function: Callable[..., Result], *rows: Array) -> Result:
    """function(*rows) for a function that treats the samples of the batch one by one.

    rows: arrays [b, ...]; every leaf of the result is [b, ...] too.
    """
    batch_size = rows[0].shape[0]
    size = block_size(batch_size)
    if size == batch_size:
        return function(*rows)
    blocks = [x.reshape(batch_size // size, size, *x.shape[1:]) for x in rows]
    result = jax.lax.map(lambda block: function(*block), tuple(blocks))
    return jax.tree.map(lambda x: x.reshape(batch_size, *x.shape[2:]), result)
