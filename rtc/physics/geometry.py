"""Shapes: the sides of polygons, and how far a point or a corner is from them.

A polygon comes as `Sides`, four of everything; arrays are [k] for the polygons of a level or
[b] for one polygon per environment, and whatever broadcasts with them elsewhere.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from rtc.physics.scene import Bodies
from rtc.physics.vector import Turn, Vec, cross, dot, length, nonzero, rotate, select
from rtc.types import Array

CORNERS = 4
# jax2d turns a side by pi / 2 to get its normal, and the cosine of float32's pi / 2 is this. It
# decides which of two corners that lie equally deep comes first.
NEARLY_ZERO = np.float32(-4.371139e-08)


class Sides(NamedTuple):
    """A polygon in its own frame; every field is a tuple of four.

    start: corners, clockwise. end: the next corner. normal: outward, of length 1.
    support: how far the polygon reaches along the normal, m. present: 1, but 0 for the fourth
    side of a triangle, whose fourth corner is padding.
    """

    start: tuple[Vec, ...]
    end: tuple[Vec, ...]
    normal: tuple[Vec, ...]
    support: tuple[Array, ...]
    present: tuple[Array, ...]


class Placed(NamedTuple):
    """Where bodies are."""

    position: Vec
    turn: Turn


def sides_of(polygons: Bodies) -> Sides:
    """The sides of a level's polygons, numpy [k]; corner 3 of a triangle leads to corner 0."""
    corners = polygons["vertices"].astype(np.float32)  # [k, 4, 2]
    count = polygons["n_vertices"]
    after = np.roll(corners, -1, axis=1)
    after[np.arange(len(corners)), count - 1] = corners[:, 0]
    along = after - corners
    size = np.sqrt((along**2).sum(-1, keepdims=True))
    quarter = [[NEARLY_ZERO, -1.0], [1.0, NEARLY_ZERO]]
    normal = along @ np.array(quarter, np.float32).T / np.where(size == 0, 1, size)
    present = np.arange(CORNERS)[None] < count[:, None]
    reach = (normal[:, :, None] * corners[:, None]).sum(-1)
    support = np.where(present[:, None], reach, -np.inf).max(-1)
    return Sides(
        start=_four(corners),
        end=_four(after),
        normal=_four(normal),
        support=tuple(support.T),
        present=tuple(present.T.astype(np.float32)),
    )


def _four(array: np.ndarray) -> tuple[Vec, ...]:
    return tuple(Vec(array[:, k, 0], array[:, k, 1]) for k in range(CORNERS))


def in_world(placed: Placed, points: tuple[Vec, ...]) -> tuple[Vec, ...]:
    """Points given in a body's frame, in the world's."""
    return tuple(rotate(placed.turn, point) + placed.position for point in points)


def gaps_before_sides(sides: Sides, corners: tuple[Vec, ...], four: Array) -> tuple[Array, ...]:
    """How far another polygon is in front of each side: the least of its corners' distances.

    corners: the other polygon's, in the frame of `sides`. four: 0 where it is a triangle.
    An absent side gives minus infinity.
    """
    gaps = []
    for normal, support, present in zip(sides.normal, sides.support, sides.present):
        reach = [dot(normal, corner) for corner in corners]
        nearest = jnp.minimum(jnp.minimum(reach[0], reach[1]), reach[2])
        nearest = jnp.minimum(nearest, jnp.where(four > 0, reach[3], jnp.inf))
        gaps.append(jnp.where(present > 0, nearest - support, -jnp.inf))
    return tuple(gaps)


def nearest_on_sides(sides: Sides, point: Vec) -> tuple[Vec, Array]:
    """The boundary point of a polygon nearest to `point`, and whether `point` lies inside.

    Both in the polygon's frame. Of equally near sides the first counts.
    """
    best, least, inside = None, jnp.inf, True
    for start, end, present in zip(sides.start, sides.end, sides.present):
        along = end - start
        size = length(along)
        direction = along * (1 / nonzero(size))
        reach = jnp.clip(dot(direction, point - start), 0.0, size)
        foot = start + direction * reach
        away = foot - point
        distance = jnp.where(present > 0, dot(away, away), jnp.inf)
        inside = inside & ((present == 0) | (cross(start - point, end - point) < 0))
        best = foot if best is None else select(distance < least, foot, best)
        least = jnp.minimum(distance, least)
    return best, inside
