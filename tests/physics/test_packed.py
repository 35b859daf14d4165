"""Named tuples packed into arrays, and tables of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.physics.joints import Half, Speed
from rtc.physics.packed import Packed, formula, opened, pack, table
from rtc.physics.stages import printing
from rtc.physics.vector import Vec

ROWS, BATCH = 4, 3


def halves(seed):
    """[w, b] halves of joints."""
    numbers = np.random.default_rng(seed).normal(size=(5, ROWS, BATCH)).astype(np.float32)
    return Half(Vec(*numbers[:2]), Speed(Vec(*numbers[2:4]), numbers[4]))


def equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_what_is_packed_is_the_same_when_opened():
    packed = pack(halves(0))
    assert packed.array.shape == (ROWS, 5, BATCH)
    equal(opened([packed]), [halves(0)])


def test_fields_and_rows_are_packed_too():
    packed = pack(halves(0))
    place, speed = packed.parts
    equal(Half(place.numbers, speed.numbers), halves(0))
    equal(packed.rows[2].numbers, jax.tree.map(lambda x: x[2], halves(0)))
    equal(table(packed.rows), packed)


def test_a_formula_sees_numbers_and_gives_them_packed():
    @formula
    def mirrored(half: Half) -> Half:
        return half._replace(place=-half.place)

    packed = mirrored(pack(halves(0)))
    assert isinstance(packed, Packed)
    equal(packed.numbers, halves(0)._replace(place=-halves(0).place))


def test_every_environment_loads_its_own_row():
    rows = jnp.array([3, 0, 2])
    found, again = pack(halves(0)).load_each(rows, rows[::-1])
    equal(found.numbers, jax.tree.map(lambda x: x[rows, np.arange(BATCH)], halves(0)))
    equal(again.numbers, jax.tree.map(lambda x: x[rows[::-1], np.arange(BATCH)], halves(0)))


@pytest.mark.parametrize("row", range(ROWS))
def test_rows_are_added_to_in_a_batch_as_in_the_kernel(row):
    """The last row stands for all that does not move: it stays."""
    one = jax.tree.map(lambda x: jnp.asarray(x[..., :1]), halves(0))
    change = jax.tree.map(lambda x: x[0], halves(1))._replace(place=Vec(*np.ones((2, BATCH))))
    change = jax.tree.map(lambda x: jnp.asarray(x[:1], jnp.float32), change)
    expected = pack(one).array.at[row].add(pack(change).array if row < ROWS - 1 else 0.0)
    where = jnp.array([row])
    equal(pack(one).add_each(where, pack(change)).array, expected)
    with printing():
        equal(pack(one).add_each(where, pack(change)).array, expected)
