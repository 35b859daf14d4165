"""Where two overlapping polygons touch: up to two points that share normal and penetration."""

import functools

import jax.numpy as jnp

from rtc.physics.bodies import Body, Catalogue, Touch, placement
from rtc.physics.geometry import CORNERS, Placed, Sides, gaps_before_sides, in_world
from rtc.physics.stages import stage
from rtc.physics.vector import Vec, cross, dot, length, rotate, rotate_back, select
from rtc.types import Array, Float

PREFERENCE = 0.01  # metres by which b's side must be better, so that the choice does not flicker


def polygon_polygon(books: tuple[Catalogue, Catalogue], a: Body, b: Body) -> tuple[Touch, Touch]:
    """The contact points of two overlapping polygons.

    The side of least overlap of either polygon is the reference, the two corners of the other
    polygon that reach deepest are the incident side, clipped to the reference's length. The
    deeper clipped corner is the first point; the other counts only if it is inside too.
    """
    a_best, b_best = _best_side(a, b), _best_side(b, a)
    b_refers = a_best[0] + PREFERENCE < b_best[0]
    number, side = (
        jnp.where(b_refers, q, p) for p, q in ((a.number, b.number), (a_best[1], b_best[1]))
    )
    local = books[0].pick_side(number, side.astype(jnp.int32))
    home, away = jnp.where(b_refers, b.motion, a.motion), jnp.where(b_refers, a.motion, b.motion)
    shape = jnp.where(b_refers, a.shape, b.shape)
    face = _reference(local, home)
    corners = _incident(away, shape, _reach(local, home, away, shape))
    clipped = _clip(face, corners, _direction(face))
    first, second, both = Vec(*clipped[0:2]), Vec(*clipped[2:4]), clipped[4] > 0
    normal = Vec(*face[4:6])
    outward = select(b_refers, -normal, normal)
    penetration = -jnp.maximum(a_best[0], b_best[0])
    always = jnp.ones_like(both)
    return Touch(first, outward, penetration, always), Touch(second, outward, penetration, both)


@stage
def _best_side(body: Body, other: Body) -> Float[Array, "2 b"]:
    """The largest gap before a side of a polygon, and the side's number (the first of equals)."""
    local = _seen_from(body.placed, in_world(other.placed, other.sides.start))
    gaps = gaps_before_sides(body.sides, local, other.sides.present[3])
    best = functools.reduce(jnp.maximum, gaps)
    number = jnp.full(best.shape, CORNERS - 1.0)
    for k in reversed(range(CORNERS - 1)):
        number = jnp.where(gaps[k] == best, k, number)
    return jnp.stack([best, number])


def _seen_from(placed: Placed, points: tuple[Vec, ...]) -> tuple[Vec, ...]:
    return tuple(rotate_back(placed.turn, point - placed.position) for point in points)


@stage
def _reference(local: Float[Array, "6 b"], home: Float[Array, "7 b"]) -> Float[Array, "6 b"]:
    """Start, end and normal of the reference side, from its polygon's frame to the world's."""
    placed = placement(home)
    start, end = in_world(placed, (Vec(*local[0:2]), Vec(*local[2:4])))
    return jnp.stack([*start, *end, *rotate(placed.turn, Vec(*local[4:6]))])


@stage
def _reach(
    local: Float[Array, "6 b"], home: Array, away: Array, shape: Float[Array, "s b"]
) -> Float[Array, "4 b"]:
    """How far each corner of the other polygon is along the reference side's normal."""
    sides = Sides.from_table(shape)
    corners = _seen_from(placement(home), in_world(placement(away), sides.start))
    reach = [dot(Vec(*local[4:6]), corner) for corner in corners]
    reach[3] = jnp.where(sides.present[3], reach[3], jnp.inf)
    return jnp.stack(reach)


@stage
def _incident(
    away: Array, shape: Float[Array, "s b"], reach: Float[Array, "4 b"]
) -> Float[Array, "4 b"]:
    """The two corners of the other polygon that reach deepest, in the world."""
    corners = in_world(placement(away), Sides.from_table(shape).start)
    deep = _argmin(list(reach))
    rest = [jnp.where(deep == k, jnp.inf, reach[k]) for k in range(CORNERS)]
    return jnp.stack([*_number(deep, corners), *_number(_argmin(rest), corners)])


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


def _direction(face: Float[Array, "6 b"]) -> Float[Array, "2 b"]:
    """The direction from the reference side's start to its end.

    By way of the angle, as jax2d does: its rounding decides which of two equally deep corners
    comes first, and that order shows in the result.
    """
    angle = stage(jnp.arctan2)(face[0] - face[2], face[1] - face[3])
    return stage(lambda angle: jnp.stack([jnp.sin(jnp.pi + angle), jnp.cos(jnp.pi + angle)]))(angle)


@stage
def _clip(
    face: Float[Array, "6 b"], corners: Float[Array, "4 b"], direction: Float[Array, "2 b"]
) -> Float[Array, "5 b"]:
    """Clips the incident side to the reference's ends. Returns the points, the deeper one
    first, and 1 where both lie behind the reference side."""
    start, along = Vec(*face[0:2]), Vec(*direction)
    size = length(start - Vec(*face[2:4]))
    arms = [Vec(*corners[i : i + 2]) - start for i in (0, 2)]
    depth = [cross(arm, along) for arm in arms]
    place = [jnp.clip(dot(along, arm), 0.0, size) for arm in arms]
    swap = depth[1] > depth[0]
    inward = Vec(along.y, -along.x)
    points = []
    for one, other in ((0, 1), (1, 0)):
        reach = jnp.where(swap, place[other], place[one])
        points.append(start + along * reach + inward * jnp.where(swap, depth[other], depth[one]))
    both = jnp.minimum(depth[0], depth[1]) > 0
    return jnp.stack([*points[0], *points[1], both.astype(jnp.float32)])
