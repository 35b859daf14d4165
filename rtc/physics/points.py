"""Contact points as rows: one row per turn of the solver, one contact of each environment."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rtc.physics.state import Memory
from rtc.physics.vector import Vec
from rtc.types import Array, Float, Int

NO_POINT = -1


class Point(NamedTuple):
    """One contact point of each environment [b], or many in the solver's order [w, b].

    number: which point of which pair, NO_POINT for none. batch: of the solver; neighbours in the
    order with the same batch see the same velocities. a, b: rows of the moving bodies, and
    their number for a fixed body or no contact. place: in the world, m. normal: from a to b.
    push: speed that undoes the overlap, m/s. bounce: normal velocity from before the contact,
    as far as it is to be reversed, m/s. grip: friction coefficient. a_mass ... b_inertia:
    inverse masses. normal_sum, tangent_sum: impulses summed up so far, N s.
    """

    number: Array
    batch: Array
    a: Array
    b: Array
    place: Vec
    normal: Vec
    push: Array
    bounce: Array
    grip: Array
    a_mass: Array
    b_mass: Array
    a_inertia: Array
    b_inertia: Array
    normal_sum: Array
    tangent_sum: Array


def no_points(width: int, batch_size: int, bodies: int) -> Point:
    """`width` empty rows. bodies: how many move."""

    def rows(value: float, dtype: jnp.dtype = jnp.float32) -> Array:
        return jnp.full((width, batch_size), value, dtype)

    zero = rows(0.0)
    vector = Vec(zero, zero)
    nobody = rows(bodies, jnp.int32)
    nothing = rows(NO_POINT, jnp.int32)
    return Point(nothing, nothing, nobody, nobody, vector, vector, *[zero] * 9)


def read_row(points: Point, row: Int[Array, ""]) -> Point:
    """One row."""
    return jax.tree.map(lambda field: jax.lax.dynamic_index_in_dim(field, row, 0, False), points)


def write_row(points: Point, row: Int[Array, ""], point: Point) -> Point:
    """The rows with one of them replaced."""
    return jax.tree.map(
        lambda field, value: jax.lax.dynamic_update_index_in_dim(field, value, row, 0),
        points,
        point,
    )


def recall(
    memory: Memory, number: Int[Array, " b"]
) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
    """The impulses (normal, tangent) that a point had in the last substep, 0 if it is new."""

    def compare(row: Array, found: tuple[Array, Array]) -> tuple[Array, Array]:
        there = jax.lax.dynamic_index_in_dim(memory.point, row, 0, False)
        same = (there == number) & (row < memory.used) & (number != NO_POINT)
        kept = (memory.normal, memory.tangent)
        return tuple(
            jnp.where(same, jax.lax.dynamic_index_in_dim(sums, row, 0, False), value)
            for sums, value in zip(kept, found)
        )

    zero = jnp.zeros(number.shape, jnp.float32)
    return jax.lax.fori_loop(0, jnp.max(memory.used), compare, (zero, zero))


def remember(points: Point, used: Int[Array, ""], width: int) -> Memory:
    """What the next substep needs to know. width: rows of the memory."""
    rows = jnp.arange(points.number.shape[0], dtype=jnp.int32)[:, None]
    last = jnp.where((points.number != NO_POINT) & (rows < used), rows + 1, 0)
    more = ((0, width - points.number.shape[0]), (0, 0))
    return Memory(
        jnp.pad(points.number, more, constant_values=NO_POINT),
        jnp.pad(points.normal_sum, more),
        jnp.pad(points.tangent_sum, more),
        jnp.max(last, axis=0),
    )
