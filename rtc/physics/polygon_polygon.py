"""Where two overlapping polygons touch: up to two points that share normal and penetration."""

import functools

import jax.numpy as jnp

from rtc.physics.bodies import Body, Touch
from rtc.physics.geometry import CORNERS, Placed, Sides, gaps_before_sides, in_world
from rtc.physics.stages import stage
from rtc.physics.vector import V, Vec, cross, dot, length, rotate, rotate_back, select
from rtc.types import Array, Bool, Float

PREFERENCE = 0.01  # metres by which b's side must be better, so that the choice does not flicker


def polygon_polygon(a: Body, a_sides: Sides, b: Body, b_sides: Sides) -> tuple[Touch, Touch]:
    """The contact points of two overlapping polygons.

    The side of least overlap of either polygon is the reference, the two corners of the other
    polygon that reach deepest are the incident side, clipped to the reference's length. The
    deeper clipped corner is the first point; the other counts only if it is inside too.
    """
    a_gap, a_side = _best_side(a.placed, a_sides, b.placed, b_sides)
    b_gap, b_side = _best_side(b.placed, b_sides, a.placed, a_sides)
    b_refers = a_gap + PREFERENCE < b_gap
    side = jnp.where(b_refers, b_side, a_side)
    start, end, normal, deep, shallow = _faces(b_refers, side, a.placed, a_sides, b.placed, b_sides)
    first, second, both = _clip(start, end, deep, shallow)
    outward = select(b_refers, -normal, normal)
    penetration = -jnp.maximum(a_gap, b_gap)
    always = jnp.ones_like(both)
    return Touch(first, outward, penetration, always), Touch(second, outward, penetration, both)


@stage
def _best_side(
    placed: Placed, sides: Sides, other: Placed, other_sides: Sides
) -> tuple[Float[Array, " b"], Array]:
    """The largest gap before a side of a polygon, and the side's number (the first of equals)."""
    local = _seen_from(placed, in_world(other, other_sides.start))
    gaps = gaps_before_sides(sides, local, other_sides.present[3])
    best = functools.reduce(jnp.maximum, gaps)
    number = jnp.full(best.shape, CORNERS - 1, jnp.int32)
    for k in reversed(range(CORNERS - 1)):
        number = jnp.where(gaps[k] == best, k, number)
    return best, number


def _seen_from(placed: Placed, points: tuple[Vec, ...]) -> tuple[Vec, ...]:
    return tuple(rotate_back(placed.turn, point - placed.position) for point in points)


@stage
def _faces(
    b_refers: Bool[Array, " b"],
    side: Array,
    a: Placed,
    a_sides: Sides,
    b: Placed,
    b_sides: Sides,
) -> tuple[Vec, Vec, Vec, Vec, Vec]:
    """Start, end and normal of the reference side and the two deepest corners, in the world."""

    def choose(if_a: V, if_b: V) -> V:
        return select(b_refers, if_b, if_a)

    home = Placed(choose(a.position, b.position), choose(a.turn, b.turn))
    away = Placed(choose(b.position, a.position), choose(b.turn, a.turn))
    local = {
        name: _number(side, tuple(map(choose, getattr(a_sides, name), getattr(b_sides, name))))
        for name in ("start", "end", "normal")
    }
    start, end = in_world(home, (local["start"], local["end"]))
    corners = in_world(away, tuple(map(choose, b_sides.start, a_sides.start)))
    fourth = jnp.where(b_refers, a_sides.present[3], b_sides.present[3])
    reach = [dot(local["normal"], corner) for corner in _seen_from(home, corners)]
    reach[3] = jnp.where(fourth, reach[3], jnp.inf)
    deep = _argmin(reach)
    rest = [jnp.where(deep == k, jnp.inf, reach[k]) for k in range(CORNERS)]
    normal = rotate(home.turn, local["normal"])
    return start, end, normal, _number(deep, corners), _number(_argmin(rest), corners)


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


@stage
def _clip(start: Vec, end: Vec, deep: Vec, shallow: Vec) -> tuple[Vec, Vec, Bool[Array, " b"]]:
    """Clips the incident side to the reference's ends. Returns the points, the deeper one
    first, and whether both lie behind the reference side."""
    back = start - end
    # By way of the angle, as jax2d does: its rounding decides which of two equally deep corners
    # comes first, and that order shows in the result.
    angle = jnp.pi + jnp.arctan2(back.x, back.y)
    along = Vec(jnp.sin(angle), jnp.cos(angle))
    depth, place = [], []
    for corner in (deep, shallow):
        depth.append(cross(corner - start, along))
        place.append(jnp.clip(dot(along, corner - start), 0.0, length(back)))
    swap = depth[1] > depth[0]
    depths = [jnp.where(swap, depth[1 - k], depth[k]) for k in (0, 1)]
    places = [jnp.where(swap, place[1 - k], place[k]) for k in (0, 1)]
    inward = Vec(along.y, -along.x)
    points = [start + along * places[k] + inward * depths[k] for k in (0, 1)]
    return points[0], points[1], jnp.minimum(depth[0], depth[1]) > 0
