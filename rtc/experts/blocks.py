"""How work is cut for the device: one seed and a few rows at a time on a CPU, all at once on
an accelerator.

A CPU core multiplies 1,024 rows by a 256-wide layer inside its cache; whole minibatches of
8,192 rows went through memory instead and took 1.7 times as long. XLA's batched products
are slow there too, so seeds are mapped one after another.
"""

from collections.abc import Callable
from typing import Any

import jax

CPU_ROWS = 1024


def on_cpu() -> bool:
    """Whether programs traced now run on the CPU."""
    return jax.default_backend() == "cpu"


def over_seeds(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` mapped over the leading (seed) axis of all its arguments."""
    if on_cpu():
        return lambda *arguments: jax.lax.map(lambda seed: function(*seed), arguments)
    return jax.vmap(function)


def block_count(rows: int) -> int:
    """The least number of equal blocks of at most `CPU_ROWS` rows; 1 on an accelerator."""
    if not on_cpu():
        return 1
    return next(n for n in range(-(-rows // CPU_ROWS), rows + 1) if rows % n == 0)
