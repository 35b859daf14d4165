"""Common random numbers: rollout i sees the same noise under every method and in every cell.

Every draw has its own key, made of the stream, the rollout and the step of its episode; which
slot of which batch plays the rollout, and what was drawn before, do not count.
"""

import zlib
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rtc.types import Array, Float, Int, Key, Keys


class Streams(NamedTuple):
    """One key for each use of randomness in an evaluation.

    action: noise on executed actions. chunk: noise that a chunk is formed from. first: the
    same for the chunk in execution when an episode begins. delay: random delays. method:
    randomness of a method's own.
    """

    action: Key
    chunk: Key
    first: Key
    delay: Key
    method: Key


def make_streams(seed: int, level: str, policy_seed: int) -> Streams:
    """Returns the streams of one level and policy seed; the method does not enter."""
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(level.encode()))
    return Streams(*jax.random.split(jax.random.fold_in(key, policy_seed), len(Streams._fields)))


def keys_at(stream: Key, rollout: Int[Array, "b"], time: Int[Array, "b"]) -> Keys:
    """Returns [b] keys, one for each rollout and step of its episode."""

    def one(rollout: Array, time: Array) -> Key:
        return jax.random.fold_in(jax.random.fold_in(stream, rollout), time)

    return jax.vmap(one)(rollout, time)


def normal_at(
    stream: Key, rollout: Int[Array, "b"], time: Int[Array, "b"], shape: tuple[int, ...]
) -> Float[Array, "b ..."]:
    """Returns standard normal numbers [b, *shape]."""
    draw = lambda key: jax.random.normal(key, shape)  # noqa: E731
    return jax.vmap(draw)(keys_at(stream, rollout, time))


def chunk_noise(
    stream: Key,
    rollout: Int[Array, "b"],
    time: Int[Array, "b"],
    samples: int,
    shape: tuple[int, int],
) -> Float[Array, "k b h a"]:
    """Returns noise for `samples` candidates; row k does not depend on how many there are."""
    keys = keys_at(stream, rollout, time)

    def row(number: Array) -> Array:
        return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, number), shape))(keys)

    return jax.vmap(row)(jnp.arange(samples))


def draw_delays(
    stream: Key, rollout: Int[Array, "b"], time: Int[Array, "b"], cumulative: Float[Array, "d"]
) -> Int[Array, "b"]:
    """Returns a delay for each rollout. cumulative: probability of at most 0, 1, ... steps,
    whose last entry is 1; a fixed delay is a step from 0 to 1 and draws always the same."""
    uniform = jax.vmap(jax.random.uniform)(keys_at(stream, rollout, time))
    return jnp.sum(uniform[:, None] >= cumulative[None], axis=1, dtype=jnp.int32)
