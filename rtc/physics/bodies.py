"""One body for each environment, chosen by number: for contacts, whose pairs differ."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rtc.physics.geometry import Placed, Sides
from rtc.physics.packed import Packed, pack
from rtc.physics.scene import Bodies
from rtc.physics.state import Motion
from rtc.physics.vector import Turn, Vec, rows_of
from rtc.types import Array, Int


class Moving(NamedTuple):
    """Where a body is and how it moves: m/s and rad/s."""

    placed: Placed
    velocity: Vec
    spin: Array


class Material(NamedTuple):
    """What a body is made of: 1/kg, 1/(kg m^2), -, -, m."""

    inverse_mass: Array
    inverse_inertia: Array
    friction: Array
    restitution: Array
    radius: Array


class Side(NamedTuple):
    """One side of a polygon; see `Sides`."""

    start: Vec
    end: Vec
    normal: Vec


class Body(NamedTuple):
    """What a contact needs to know of a body; the last three are packed outside of formulas.

    number: [b] within its kind. row: [b] place among the moving bodies, or their number if it
    is fixed. sides: None for a circle.
    """

    number: Array
    row: Array
    motion: Moving
    material: Material
    sides: Sides | None


class Touch(NamedTuple):
    """A contact point for each environment, each [b].

    point: in the world, m. normal: from a to b. penetration: m. active: whether it is one, None
    where it always is.
    """

    point: Vec
    normal: Vec
    penetration: Array
    active: Array | None = None


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The bodies of one kind, to pick from. sides: None for circles. nobody: the row of those
    that do not move."""

    bodies: Bodies
    motion: Packed[Moving]
    sides: Sides | None
    nobody: int

    def pick(self, number: Int[Array, " b"]) -> Body:
        """The body with this number in each environment."""
        moves = number < self.bodies.moving
        (motion,) = self.motion.load_each(number)
        material = Material(*(self.bodies[name].astype(np.float32) for name in Material._fields))
        return Body(
            number=number,
            row=jnp.where(moves, number + self.bodies.first_row, self.nobody),
            motion=motion,
            material=pack(material).pick(number),
            sides=None if self.sides is None else pack(self.sides).pick(number),
        )

    def pick_side(self, number: Int[Array, " b"], side: Int[Array, " b"]) -> Packed[Side]:
        """One side of one polygon, in the polygon's frame."""
        four = map(Side, self.sides.start, self.sides.end, self.sides.normal)
        every = jax.tree.map(lambda *rows: np.stack(rows, axis=1).ravel(), *four)
        return pack(every).pick(number * 4 + side)


def catalogue(bodies: Bodies, sides: Sides | None, motion: Motion) -> Catalogue:
    """sides: of all polygons of the level; None for circles."""
    return Catalogue(bodies, motion_table(bodies, motion), sides, motion.angle.shape[0])


def motion_table(bodies: Bodies, motion: Motion) -> Packed[Moving]:
    """Of all bodies of a kind, those that move first."""
    rows = slice(bodies.first_row, bodies.first_row + bodies.moving)
    velocity, spin = rows_of((motion.velocity, motion.spin), rows)
    table = pack(Moving(place(bodies, motion), velocity, spin))
    rest = place_fixed(bodies)
    zero = np.zeros_like(rest.turn.cos)
    still = pack(Moving(rest, Vec(zero, zero), zero)).array
    fixed = jnp.broadcast_to(still, (*still.shape[:2], motion.angle.shape[1]))
    return Packed(jnp.concatenate([table.array, fixed]), table.tree)


def place(bodies: Bodies, motion: Motion) -> Placed:
    """Where the moving bodies of a kind are, [moving, b]."""
    rows = slice(bodies.first_row, bodies.first_row + bodies.moving)
    position, angle = rows_of((motion.position, motion.angle), rows)
    return Placed(position, Turn(jnp.cos(angle), jnp.sin(angle)))


def place_fixed(bodies: Bodies) -> Placed:
    """Where the fixed bodies of a kind are, numpy [fixed, 1]."""
    position = bodies["position"][bodies.moving :]
    angle = bodies["rotation"][bodies.moving :, None]
    return Placed(Vec(position[:, :1], position[:, 1:]), Turn(np.cos(angle), np.sin(angle)))
