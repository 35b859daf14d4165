"""How firmly each action of a new chunk is held to the previous chunk."""

from numbers import Integral

import jax.numpy as jnp

from rtc.errors import check_choice, check_whole
from rtc.types import Array, Float, Int, checked

SCHEDULES = ("exp", "linear", "ones", "zeros")


@checked()
def get_prefix_weights(
    start: int | Int[Array, ""], end: int | Int[Array, ""], total: int, schedule: str
) -> Float[Array, "h"]:
    """Weights of the prefix, one per action of the chunk; `start` and `end` may be traced.

    start: actions that will be executed before the new chunk is ready (the delay): weight 1.
    end: first action that no longer attends to the previous chunk: weight 0 from here on; a
    start beyond the end counts as the end.
    total: length of the chunk, h.
    schedule: between start and end, with c falling in equal steps from
    (end - start) / (end - start + 1) to 1 / (end - start + 1):
    "linear" c, "exp" c (e^c - 1) / (e - 1), "ones" 1, "zeros" 0.

    Source: Real-Time Chunking, arXiv 2506.07339, equation 5. Raises ConfigError on an unknown
    schedule, ArgumentError where a start or end that is known lies outside of the chunk.
    """
    check_choice("schedule", schedule, SCHEDULES)
    check_whole("total", total, 1)
    for name, place in (("start", start), ("end", end)):
        if isinstance(place, Integral):  # arrays, traced or not, are not looked into
            check_whole(name, place, 0, total, of="total")
    end = jnp.asarray(end, jnp.int32)
    start = jnp.minimum(jnp.asarray(start, jnp.int32), end)
    index = jnp.arange(total, dtype=jnp.int32)
    decay = ((end - index) / (end - start + 1)).astype(jnp.float32)
    between = {
        "linear": decay,
        "exp": decay * jnp.expm1(decay) / (jnp.e - 1),
        "ones": jnp.ones_like(decay),
        "zeros": jnp.zeros_like(decay),
    }[schedule]
    return jnp.where(index < start, 1.0, jnp.where(index < end, between, 0.0))
