"""Contact points in the solver's order: one row per turn, one contact of each environment."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rtc.physics.stages import in_kernel, kernel_call, stage
from rtc.physics.state import NO_POINT, Memory
from rtc.physics.vector import Vec
from rtc.types import Array, Float, Int


class Point(NamedTuple):
    """One contact point of each environment, each [b].

    number: which point of which pair, NO_POINT for none. batch: of the solver; neighbours in the
    order with the same batch see the same velocities. a, b: rows of the moving bodies, and
    their number for a fixed body or no contact. place: in the world, m. normal: from a to b.
    target: wanted normal velocity, m/s. grip: friction coefficient. a_mass ... b_inertia:
    inverse masses.
    """

    number: Array
    batch: Array
    a: Array
    b: Array
    place: Vec
    normal: Vec
    target: Array
    grip: Array
    a_mass: Array
    b_mass: Array
    a_inertia: Array
    b_inertia: Array


WHO, WHAT = 4, 10  # whole and real numbers of a point


class Points(NamedTuple):
    """Rows of contact points. who: [w, 4, b] int32 and what: [w, 10, b] hold the fields of
    `Point` in its order. sums: [w, 2, b] impulses along normal and tangent so far, N s."""

    who: Array
    what: Array
    sums: Array


def no_points(width: int, batch_size: int) -> Points:
    """Room for `width` rows; what stands in them is of no matter until they are written."""

    def rows() -> Points:
        return Points(
            jnp.zeros((width, WHO, batch_size), jnp.int32),
            jnp.zeros((width, WHAT, batch_size), jnp.float32),
            jnp.zeros((width, 2, batch_size), jnp.float32),
        )

    return kernel_call("not_yet_written", rows)() if in_kernel() else rows()


def read_row(rows: Array, row: Int[Array, ""]) -> Array:
    """One row of many, [w, ...] -> [...]."""
    return jax.lax.dynamic_index_in_dim(rows, row, 0, False)


def write_row(rows: Array, row: Int[Array, ""], value: Array) -> Array:
    """The rows with one of them replaced."""
    return jax.lax.dynamic_update_index_in_dim(rows, value, row, 0)


class Row(NamedTuple):
    """One row of `Points`, packed: who [4, b], what [10, b], sums [2, b]."""

    who: Array
    what: Array
    sums: Array

    @property
    def point(self) -> Point:
        """The same with names."""
        px, py, nx, ny, *rest = self.what
        return Point(*self.who, Vec(px, py), Vec(nx, ny), *rest)


@stage
def read_point(points: Points, row: Int[Array, ""]) -> Row:
    """One row, copied: reading it in place would slow down all that is done with it."""
    return Row(*(read_row(rows, row) for rows in points))


def pack(point: Point) -> tuple[Int[Array, "4 b"], Float[Array, "10 b"]]:
    """A point as it stands in `Points`."""
    whole = jnp.stack(point[:WHO])
    return whole, jnp.stack([*point.place, *point.normal, *point[WHO + 2 :]])


def recall(memory: Memory, number: Int[Array, "k b"]) -> Float[Array, "k 2 b"]:
    """The impulses that some points had in the last substep, 0 for new ones."""

    def compare(row: Array, found: Array) -> Array:
        known = (read_row(memory.point, row)[None] == number) & (row < memory.used)[None]
        sums = read_row(memory.sums, row)[None]
        return jnp.where(known[:, None], sums, found)

    start = jnp.zeros((number.shape[0], 2, number.shape[1]), jnp.float32)
    return jax.lax.fori_loop(0, jnp.max(memory.used), compare, start)


def remember(points: Points, used: Int[Array, ""]) -> Memory:
    """What the next substep needs to know."""
    rows = jnp.arange(points.who.shape[0], dtype=jnp.int32)[:, None]
    number = points.who[:, 0]
    last = jnp.where((number != NO_POINT) & (rows < used), rows + 1, 0)
    sums = points.sums
    if in_kernel():  # what was never written is no number that two runs would have in common
        number = jnp.where(rows < used, number, NO_POINT)
        sums = jnp.where((rows < used)[:, None], sums, 0.0)
    return Memory(number, sums, jnp.max(last, axis=0))
