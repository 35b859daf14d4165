"""Where two overlapping polygons touch: up to two points that share normal and penetration."""

import functools
from typing import NamedTuple

import jax.numpy as jnp

from rtc.physics.bodies import Body, Catalogue, Moving, Side, Touch
from rtc.physics.geometry import CORNERS, Placed, Sides, gaps_before_sides, in_world
from rtc.physics.packed import Packed, formula
from rtc.physics.stages import stage
from rtc.physics.vector import Vec, cross, dot, length, right_of, rotate, rotate_back, select
from rtc.types import Array

PREFERENCE = 0.01  # metres by which b's side must be better, so that the choice does not flicker


def polygon_polygon(books: tuple[Catalogue, Catalogue], a: Body, b: Body) -> tuple[Touch, Touch]:
    """The contact points of two overlapping polygons.

    The side of least overlap of either polygon is the reference, the two corners of the other
    polygon that reach deepest are the incident side, clipped to the reference's length. The
    deeper clipped corner is the first point; the other counts only if it is inside too.
    """
    a_best, b_best = _best_side(a, b).numbers, _best_side(b, a).numbers
    b_refers = a_best.gap + PREFERENCE < b_best.gap
    number, side = select(b_refers, (b.number, b_best.side), (a.number, a_best.side))
    home, away, sides = select(
        b_refers, (b.motion, a.motion, a.sides), (a.motion, b.motion, b.sides)
    )
    local = books[0].pick_side(number, side.astype(jnp.int32))
    face = _reference(local, home)
    corners = _incident(away, sides, _reach(local, home, away, sides))
    first, second, shallower = _clip(face, corners, _direction(face)).numbers
    normal = face.numbers.normal
    outward = select(b_refers, -normal, normal)
    penetration = -jnp.maximum(a_best.gap, b_best.gap)
    return (
        Touch(first, outward, penetration),
        Touch(second, outward, penetration, shallower > 0),
    )


class Gap(NamedTuple):
    """The largest gap before a side of a polygon, m, and the side's number (the first of
    equals)."""

    gap: Array
    side: Array


@formula
def _best_side(body: Body, other: Body) -> Gap:
    corners = in_world(other.motion.placed, other.sides.start)
    local = _seen_from(body.motion.placed, corners)
    gaps = gaps_before_sides(body.sides, local, other.sides.present[3])
    best = functools.reduce(jnp.maximum, gaps)
    number = jnp.full(best.shape, CORNERS - 1.0)
    for k in reversed(range(CORNERS - 1)):
        number = jnp.where(gaps[k] == best, k, number)
    return Gap(best, number)


def _seen_from(placed: Placed, points: tuple[Vec, ...]) -> tuple[Vec, ...]:
    return tuple(rotate_back(placed.turn, point - placed.position) for point in points)


@formula
def _reference(local: Side, home: Moving) -> Side:
    """The reference side, from its polygon's frame to the world's."""
    start, end = in_world(home.placed, (local.start, local.end))
    return Side(start, end, rotate(home.placed.turn, local.normal))


@formula
def _reach(local: Side, home: Moving, away: Moving, sides: Sides) -> list[Array]:
    """How far each corner of the other polygon is along the reference side's normal."""
    corners = _seen_from(home.placed, in_world(away.placed, sides.start))
    reach = [dot(local.normal, corner) for corner in corners]
    return [*reach[:3], jnp.where(sides.present[3] > 0, reach[3], jnp.inf)]


@formula
def _incident(away: Moving, sides: Sides, reach: list[Array]) -> tuple[Vec, Vec]:
    """The two corners of the other polygon that reach deepest, in the world."""
    corners = in_world(away.placed, sides.start)
    deep = _argmin(reach)
    rest = [jnp.where(deep == k, jnp.inf, reach[k]) for k in range(CORNERS)]
    return _number(deep, corners), _number(_argmin(rest), corners)


def _number(index: Array, options: tuple[Vec, ...]) -> Vec:
    chosen = options[-1]
    for k in reversed(range(CORNERS - 1)):
        chosen = select(index == k, options[k], chosen)
    return chosen


def _argmin(values: list[Array]) -> Array:
    least = functools.reduce(jnp.minimum, values)
    index = jnp.full(least.shape, CORNERS - 1, jnp.int32)
    for k in reversed(range(CORNERS - 1)):
        index = jnp.where(values[k] == least, k, index)
    return index


def _direction(face: Packed[Side]) -> Packed[Vec]:
    """The direction from the reference side's start to its end.

    By way of the angle, as jax2d does: its rounding decides which of two equally deep corners
    comes first, and that order shows in the result.
    """
    back = face.numbers.start - face.numbers.end
    angle = stage(jnp.arctan2)(*back)
    return formula(lambda angle: Vec(jnp.sin(jnp.pi + angle), jnp.cos(jnp.pi + angle)))(angle)


@formula
def _clip(face: Side, corners: tuple[Vec, Vec], along: Vec) -> tuple[Vec, Vec, Array]:
    """Clips the incident side to the reference's ends. Returns the points, the deeper one
    first, and how far the other one lies behind the reference side, m."""
    size = length(face.start - face.end)
    arms = [corner - face.start for corner in corners]
    depth = [cross(arm, along) for arm in arms]
    reach = [jnp.clip(dot(along, arm), 0.0, size) for arm in arms]
    points = [face.start + along * x + right_of(along) * y for x, y in zip(reach, depth)]
    first, second = select(depth[1] > depth[0], points[::-1], points)
    return first, second, jnp.minimum(*depth)
