"""One body for each environment, chosen by number: for contacts, whose pairs differ."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rtc.physics.geometry import Placed, Sides
from rtc.physics.scene import Bodies
from rtc.physics.state import Motion
from rtc.physics.vector import Turn, Vec
from rtc.types import Array, Float, Int

CONSTANTS = ("inverse_mass", "inverse_inertia", "friction", "restitution", "radius")


class Body(NamedTuple):
    """What a contact needs to know of a body; the numbers lie in tables, read by properties.

    number: [b] within its kind. row: [b] place among the moving bodies, or their number if it
    is fixed. motion: [7, b] as in `motion_table`. constants: [5, b] as in `CONSTANTS`. shape:
    [s, b] a polygon's `Sides`.
    """

    number: Array
    row: Array
    motion: Array
    constants: Array
    shape: Array

    @property
    def placed(self) -> Placed:
        """Where the body is."""
        return placement(self.motion)

    @property
    def velocity(self) -> Vec:
        """Of the centre, m/s."""
        return Vec(*self.motion[4:6])

    @property
    def spin(self) -> Array:
        """Angular velocity, rad/s."""
        return self.motion[6]

    def __getattr__(self, name: str) -> Array:
        """inverse_mass (1/kg), inverse_inertia (1/(kg m^2)), friction, restitution, radius (m)."""
        if name not in CONSTANTS:
            raise AttributeError(name)
        return self.constants[CONSTANTS.index(name)]

    @property
    def sides(self) -> Sides:
        """A polygon's sides, each [b]."""
        return Sides.from_table(self.shape)


def placement(motion: Float[Array, "7 b"]) -> Placed:
    """Where a body is, out of a row of `motion_table`."""
    return Placed(Vec(*motion[0:2]), Turn(*motion[2:4]))


class Touch(NamedTuple):
    """A contact point for each environment, each [b].

    point: in the world, m. normal: from a to b. penetration: m. active: whether it is one.
    """

    point: Vec
    normal: Vec
    penetration: Array
    active: Array


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The bodies of one kind, to pick from. nobody: the row of those that do not move."""

    bodies: Bodies
    motion: Array
    constants: np.ndarray
    shape: np.ndarray
    nobody: int

    def pick(self, number: Int[Array, " b"]) -> Body:
        """The body with this number in each environment."""
        moves = number < self.bodies.moving
        return Body(
            number=number,
            row=jnp.where(moves, number + self.bodies.first_row, self.nobody),
            motion=pick(self.motion, number),
            constants=_pick_constants(self.constants, number),
            shape=_pick_constants(self.shape, number),
        )

    def pick_side(self, number: Int[Array, " b"], side: Int[Array, " b"]) -> Float[Array, "6 b"]:
        """Start, end and normal of one side of one polygon, in the polygon's frame."""
        rows = self.shape[:24].reshape(3, 4, 2, -1)  # start, end, normal; sides; x, y; polygons
        table = rows.transpose(0, 2, 3, 1).reshape(6, -1)
        return _pick_constants(table, number * 4 + side)


def catalogue(bodies: Bodies, sides: Sides | None, motion: Motion) -> Catalogue:
    """sides: of all polygons of the level; None for circles."""
    return Catalogue(
        bodies=bodies,
        motion=motion_table(bodies, motion),
        constants=np.stack([bodies[name] for name in CONSTANTS]).astype(np.float32),
        shape=np.zeros((1, len(bodies)), np.float32) if sides is None else sides.to_table(),
        nobody=motion.angle.shape[0],
    )


def motion_table(bodies: Bodies, motion: Motion) -> Float[Array, "k 7 b"]:
    """Place, rotation and velocities of all bodies of a kind, those that move first."""
    rows = slice(bodies.first_row, bodies.first_row + bodies.moving)
    moving = jax.tree.map(lambda field: field[rows], motion)
    turn = Turn(jnp.cos(moving.angle), jnp.sin(moving.angle))
    table = jnp.stack([*moving.position, *turn, *moving.velocity, moving.spin], axis=1)
    place, angle = bodies["position"][bodies.moving :], bodies["rotation"][bodies.moving :]
    still = np.zeros((len(angle), table.shape[1]), np.float32)
    still[:, :4] = np.stack([place[:, 0], place[:, 1], np.cos(angle), np.sin(angle)], axis=1)
    fixed = jnp.broadcast_to(still[:, :, None], (*still.shape, table.shape[-1]))
    return jnp.concatenate([table, fixed])


def pick(table: Float[Array, "k f b"], number: Int[Array, " b"]) -> Float[Array, "f b"]:
    """`table[number[e], :, e]` for every environment e."""
    rows = jnp.broadcast_to(number, (1, *table.shape[1:]))
    return jnp.take_along_axis(table, rows, axis=0, mode="promise_in_bounds")[0]


def _pick_constants(table: Float[np.ndarray, "f k"], number: Int[Array, " b"]) -> Array:
    """`table[:, number[e]]` for every environment e."""
    return jnp.asarray(table).at[:, number].get(mode="promise_in_bounds")
