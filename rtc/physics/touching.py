"""Which pairs touch, for all pairs at once: the broad view before single contacts are built.

Every function returns [rows, b] bool, one row for each entry of the level's `Pairs`.
Polygons: separating-axis test. Two convex polygons are apart if and only if some side of one
of them has all corners of the other in front of it.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from rtc.physics.bodies import place, place_fixed
from rtc.physics.geometry import Placed, Sides, gaps_before_sides, in_world, nearest_on_sides
from rtc.physics.scene import Bodies
from rtc.physics.stages import stage
from rtc.physics.state import Motion
from rtc.physics.vector import Vec, dot, rotate_back, rows_of
from rtc.types import Array, Bool, Float, PyTree


def polygons_touch(polygons: Bodies, sides: Sides, motion: Motion) -> Bool[Array, "p b"]:
    """True where the polygons of a pair overlap."""
    moving = polygons.moving
    ours, walls = (rows_of(sides, s) for s in (slice(0, moving), slice(moving, None)))
    body, wall = place(polygons, motion), place_fixed(polygons)
    mutual = stage(lambda body: separation(ours, body, ours, body))(body)
    overlaps = _overlap(mutual, mutual)
    rows = [overlaps[i, i + 1 :] for i in range(moving)]
    if len(polygons) > moving:
        to_wall = stage(lambda body: separation(ours, body, walls, wall))(body)
        from_wall = stage(lambda body: separation(walls, wall, ours, body))(body)
        against = _overlap(to_wall, from_wall)
        rows = [part for pair in zip(rows, against) for part in pair]
    return jnp.concatenate([jnp.zeros((0, motion.angle.shape[1]), bool), *rows])


@stage
def _overlap(one: Float[Array, "i j b"], other: Float[Array, "j i b"]) -> Bool[Array, "i j b"]:
    """True where neither polygon has the other in front of a side."""
    return jnp.maximum(one, jnp.swapaxes(other, 0, 1)) < 0


def separation(
    sides: Sides, placed: Placed, others: Sides, others_placed: Placed
) -> Float[Array, "i j b"]:
    """How far polygons j are in front of the best side of polygons i; negative if none is."""
    corners = in_world(others_placed, _axis(others.start, -1))
    here = _axis(placed, 1)
    local = tuple(rotate_back(here.turn, _axis(corner, 0) - here.position) for corner in corners)
    sides = _axis(_axis(sides, -1), -1)
    gaps = gaps_before_sides(sides, local, others.present[3][None, :, None])
    return functools.reduce(jnp.maximum, gaps)


def circles_touch_polygons(
    circles: Bodies, polygons: Bodies, sides: Sides, motion: Motion
) -> Bool[Array, "p b"]:
    """True where a circle reaches a side of the polygon or has its centre inside."""
    discs, posts = place(circles, motion).position, place_fixed(circles).position
    radius = circles["radius"][:, None, None]
    body, wall = place(polygons, motion), place_fixed(polygons)
    ours, walls = (rows_of(sides, s) for s in np.split(np.arange(len(polygons)), [polygons.moving]))
    near, far = radius[: circles.moving], radius[circles.moving :]
    free = stage(lambda discs, body: _circle_meets(discs, near, ours, body))(discs, body)
    resting = stage(lambda discs: _circle_meets(discs, near, walls, wall))(discs)
    fixed = stage(lambda body: _circle_meets(posts, far, ours, body))(body)
    batch = motion.angle.shape[-1]
    mobile = jnp.concatenate([free, resting], axis=1)
    return jnp.concatenate([part.reshape(-1, batch) for part in (mobile, fixed)])


def _circle_meets(
    centre: Vec, radius: np.ndarray, sides: Sides, placed: Placed
) -> Bool[Array, "c p b"]:
    there = _axis(placed, 0)
    local = rotate_back(there.turn, _axis(centre, 1) - there.position)
    nearest, inside = nearest_on_sides(_axis(_axis(sides, 0), -1), local)
    away = local - nearest
    return (dot(away, away) <= radius * radius) | inside


def circles_touch(circles: Bodies, motion: Motion) -> Bool[Array, "p b"]:
    """True where two circles overlap."""
    discs, posts = place(circles, motion).position, place_fixed(circles).position
    batch = motion.angle.shape[-1]
    spread = [jnp.broadcast_to(c, (len(circles) - circles.moving, batch)) for c in posts]
    everyone = Vec(*map(jnp.concatenate, zip(discs, spread)))
    rows = [jnp.zeros((0, batch), bool)]
    for i in range(circles.moving):
        away = jax.tree.map(lambda c, i=i: c[i + 1 :] - c[i][None], everyone)
        reach = (circles["radius"][i] + circles["radius"][i + 1 :])[:, None]
        rows.append(jnp.sqrt(dot(away, away)) < reach)
    return jnp.concatenate(rows)


def _axis(tree: PyTree, axis: int) -> PyTree:
    """Adds an axis to every array, for one more kind of thing to broadcast over."""

    def widen(array: Array | np.ndarray) -> Array | np.ndarray:
        module = np if isinstance(array, np.ndarray) else jnp
        return module.expand_dims(array, axis)

    return jax.tree.map(widen, tree)
