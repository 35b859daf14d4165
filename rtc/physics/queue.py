"""In which order the solver visits the contacts of each environment.

jax2d sorts all pairs of a type so that those that touch come last, in slot order, and deals
them into batches: sorted place p goes to batch p mod (number of batches). Batches follow one
another; within one, all contacts see the velocities from before the batch. So a pair's batch
depends on how many touching pairs have its slot or a later one, and empty batches do nothing.
Here each environment's contacts are put in one queue, by batch and then by slot, and the
solver takes the first of every environment, then the second, and so on.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rtc.physics.scene import Pairs
from rtc.physics.stages import stage
from rtc.types import Array, Bool, Int

WORD = 32
BODY_BITS = 6
EMPTY = np.iinfo(np.int32).max


class Next(NamedTuple):
    """One contact of each environment, all [b]; where `found` is False the rest is idle.

    key: its place in the order. slot: of the pair. batch: of the solver. a, b: the bodies.
    """

    key: Array
    found: Array
    slot: Array
    batch: Array
    a: Array
    b: Array


def queue_keys(
    pairs: Pairs, touch: Bool[Array, "p b"], always: Bool[np.ndarray, " f"]
) -> Int[Array, "q b"]:
    """A number for every pair that can be resolved, which sorts those of an environment.

    Batch, slot and both bodies are packed into it, in that order of weight. EMPTY where the
    pair does not touch. always: which of the pairs of two fixed bodies touch.
    """
    waiting = _count_from_slot_on(pairs, touch, always)
    rows = np.flatnonzero(pairs.resolvable)
    batch = (pairs.slots - waiting[rows]) % pairs.batches
    code = (pairs.slot << 2 * BODY_BITS) | (pairs.a << BODY_BITS) | pairs.b
    key = (batch << _batch_shift(pairs)) | code[rows].astype(np.int32)[:, None]
    return jnp.where(touch[rows], key, EMPTY)


def turns_of(keys: Int[Array, "q b"]) -> Int[Array, ""]:
    """How many contacts the environment with most of them has."""
    return jnp.max(jnp.sum((keys != EMPTY).astype(jnp.int32), axis=0))


@stage
def _following(keys: Int[Array, "q b"], last: Int[Array, " b"]) -> Int[Array, " b"]:
    return jnp.min(jnp.where(keys > last[None], keys, EMPTY), axis=0)


def pop(pairs: Pairs, keys: Int[Array, "q b"], last: Int[Array, " b"]) -> Next:
    """The contact that follows the one with key `last` (-1 before the first)."""
    key = _following(keys, last)
    body = (1 << BODY_BITS) - 1
    shift = _batch_shift(pairs)
    slot = (key >> 2 * BODY_BITS) & ((1 << shift - 2 * BODY_BITS) - 1)
    a, b = ((key >> bits) & body for bits in (BODY_BITS, 0))
    # An idle environment still needs bodies that exist.
    a, b = (jnp.minimum(n, len(kind) - 1) for n, kind in zip((a, b), pairs.kinds))
    return Next(key, key != EMPTY, slot, key >> shift, a, b)


def _batch_shift(pairs: Pairs) -> int:
    return 2 * BODY_BITS + max(1, int(pairs.slots - 1).bit_length())


def _count_from_slot_on(
    pairs: Pairs, touch: Bool[Array, "p b"], always: Bool[np.ndarray, " f"]
) -> Int[Array, "p b"]:
    """How many touching pairs have the row's slot or a later one.

    The pairs that touch are put into machine words, one bit each, so that counting takes one
    masked population count for every row.
    """
    order = np.argsort(pairs.slot[pairs.candidate], kind="stable")
    bit = np.full(len(pairs), -1)
    bit[np.flatnonzero(pairs.candidate)[order]] = np.arange(len(order))
    slot_of_bit = np.sort(pairs.slot[pairs.candidate])
    resting = pairs.fixed.slot[pairs.fixed.candidate & always]
    total = (resting[None] >= pairs.slot[:, None]).sum(1).astype(np.int32)[:, None]
    for word in range(-(-len(order) // WORD)):
        here = (bit // WORD == word) & (bit >= 0)
        weight = np.where(here, np.uint32(1) << (bit % WORD).astype(np.uint32), 0)
        weight = weight.astype(np.uint32)[:, None]
        packed = jnp.sum(jnp.where(touch, weight, np.uint32(0)), axis=0, dtype=jnp.uint32)
        slots = slot_of_bit[word * WORD : (word + 1) * WORD]
        later = (slots[None] >= pairs.slot[:, None]) << np.arange(len(slots))
        mask = later.sum(1).astype(np.uint32)[:, None]
        total = total + jax.lax.population_count(packed[None] & mask).astype(jnp.int32)
    return total
