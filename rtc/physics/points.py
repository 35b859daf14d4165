"""Contact points in the solver's order: one row per turn, one contact of each environment."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rtc.physics.packed import Packed, pack
from rtc.physics.stages import in_kernel, kernel_call, stage
from rtc.physics.state import NO_POINT, Memory
from rtc.physics.vector import Vec
from rtc.types import Array, Int


class Who(NamedTuple):
    """Whose contact point each environment has, each [b].

    number: which point of which pair, NO_POINT for none. batch: of the solver; neighbours in the
    order with the same batch see the same velocities. a, b: rows of the moving bodies, and
    their number for a fixed body or no contact.
    """

    number: Array
    batch: Array
    a: Array
    b: Array


class Point(NamedTuple):
    """One contact point of each environment, each [b].

    place: in the world, m. normal: from a to b. target: wanted normal velocity, m/s. grip:
    friction coefficient. inverse_mass, inverse_inertia: of both bodies.
    """

    place: Vec
    normal: Vec
    target: Array
    grip: Array
    inverse_mass: tuple[Array, Array]
    inverse_inertia: tuple[Array, Array]


class Impulse(NamedTuple):
    """Of a contact point along normal and tangent, N s."""

    normal: Array
    tangent: Array


class Points(NamedTuple):
    """Tables with a row for each turn, or one row of them. sums: the impulses so far."""

    who: Packed[Who]
    what: Packed[Point]
    sums: Packed[Impulse]


def no_points(width: int, batch_size: int) -> Points:
    """Room for `width` rows; what stands in them is of no matter until they are written."""

    def rows() -> Points:
        whole, real = (jnp.zeros((width, batch_size), t) for t in (jnp.int32, jnp.float32))
        two = (real, real)
        point = Point(Vec(*two), Vec(*two), *two, inverse_mass=two, inverse_inertia=two)
        return Points(pack(Who(*[whole] * 4)), pack(point), pack(Impulse(*two)))

    return kernel_call("not_yet_written", rows)() if in_kernel() else rows()


@stage
def load(points: Points, row: Int[Array, ""]) -> Points:
    """One row, copied: reading it in place would slow down all that is done with it."""
    return Points(*(table.load(row) for table in points))


def store(points: Points, row: Int[Array, ""], new: Points) -> Points:
    """The tables with one row replaced."""
    return Points(*(table.store(row, values) for table, values in zip(points, new)))


def recall(memory: Memory, number: Int[Array, "k b"]) -> Packed[Impulse]:
    """The impulses that some points had in the last substep, 0 for new ones."""

    def compare(row: Array, found: Array) -> Array:
        point, sums = (
            jax.lax.dynamic_index_in_dim(rows, row) for rows in (memory.point, memory.sums)
        )
        known = (point == number) & (row < memory.used)[None]
        return jnp.where(known[:, None], sums, found)

    start = jnp.zeros((number.shape[0], 2, number.shape[1]), jnp.float32)
    found = jax.lax.fori_loop(0, jnp.max(memory.used), compare, start)
    return pack(Impulse(found[:, 0], found[:, 1]))


def remember(points: Points, used: Int[Array, ""]) -> Memory:
    """What the next substep needs to know."""
    number, sums = points.who.numbers.number, points.sums.array
    rows = jnp.arange(len(number), dtype=jnp.int32)[:, None]
    last = jnp.where((number != NO_POINT) & (rows < used), rows + 1, 0)
    if in_kernel():  # what was never written is no number that two runs would have in common
        number = jnp.where(rows < used, number, NO_POINT)
        sums = jnp.where((rows < used)[:, None], sums, 0.0)
    return Memory(number, sums, jnp.max(last, axis=0))
