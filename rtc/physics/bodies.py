"""One body for each environment, chosen by number: for contacts, whose pairs differ.

Choosing is a chain of comparisons over the few bodies of a level, which vectorises over the
batch where a gather would not.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from rtc.physics.geometry import Placed, Sides
from rtc.physics.scene import Bodies
from rtc.physics.state import Motion
from rtc.physics.vector import Turn, Vec
from rtc.types import Array, Float, Int


class Body(NamedTuple):
    """What a contact needs to know of a body, each [b].

    row: place among the moving bodies, or their number if it is fixed. Masses in 1/kg and
    1/(kg m^2).
    """

    row: Array
    placed: Placed
    velocity: Vec
    spin: Array
    inverse_mass: Array
    inverse_inertia: Array
    friction: Array
    restitution: Array


class Touch(NamedTuple):
    """A contact point for each environment, each [b].

    point: in the world, m. normal: from a to b. penetration: m. active: whether it is one.
    """

    point: Vec
    normal: Vec
    penetration: Array
    active: Array


def pick(index: Int[Array, " b"], rows: Float[Array, "m b"]) -> Float[Array, " b"]:
    """`rows[index[e], e]` for every environment e, and 0 where there is no such row."""
    chosen = jnp.zeros_like(rows[0])
    for i in range(rows.shape[0]):
        chosen = jnp.where(index == i, rows[i], chosen)
    return chosen


def pick_constant(index: Int[Array, " b"], values: Shaped[np.ndarray, " k"]) -> Array:
    """`values[index[e]]` for every environment e, and the last value beyond the end."""
    chosen = jnp.full(index.shape, values[-1])
    for i, value in enumerate(values[:-1]):
        if value != values[-1]:
            chosen = jnp.where(index == i, value, chosen)
    return chosen


def pick_body(bodies: Bodies, motion: Motion, turns: Turn, index: Int[Array, " b"]) -> Body:
    """The body with number `index` within its kind. turns: [m, b] of all moving bodies."""
    rows = slice(bodies.first_row, bodies.first_row + bodies.moving)

    def value(moving: Float[Array, "m b"], fixed: Float[np.ndarray, " f"]) -> Array:
        if not bodies.moving:
            return pick_constant(index, fixed)
        chosen = pick(index, moving[rows])
        for i, constant in enumerate(fixed):
            if constant != 0:
                chosen = jnp.where(index == bodies.moving + i, constant, chosen)
        return chosen

    still = {name: bodies[name][bodies.moving :] for name in ("position", "rotation")}
    zero = np.zeros(len(still["rotation"]), np.float32)
    moves = index < bodies.moving
    return Body(
        row=jnp.where(moves, index + bodies.first_row, motion.angle.shape[0]),
        placed=Placed(
            Vec(
                value(motion.position.x, still["position"][:, 0]),
                value(motion.position.y, still["position"][:, 1]),
            ),
            Turn(
                value(turns.cos, np.cos(still["rotation"])),
                value(turns.sin, np.sin(still["rotation"])),
            ),
        ),
        velocity=Vec(value(motion.velocity.x, zero), value(motion.velocity.y, zero)),
        spin=value(motion.spin, zero),
        inverse_mass=pick_constant(index, bodies["inverse_mass"]),
        inverse_inertia=pick_constant(index, bodies["inverse_inertia"]),
        friction=pick_constant(index, bodies["friction"]),
        restitution=pick_constant(index, bodies["restitution"]),
    )


def pick_sides(sides: Sides, index: Int[Array, " b"]) -> Sides:
    """The sides of the polygon with number `index`, each [b]."""
    return jax.tree.map(lambda values: pick_constant(index, values), sides)
