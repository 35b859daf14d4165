"""Which pairs of two fixed bodies touch: a constant of the level, worked out at trace time.

They exchange no impulses, but the solver deals them into its batches with the others, and a
green and a blue one that touch end every episode at once.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from rtc.physics.geometry import Placed, Sides, gaps_before_sides, in_world, nearest_on_sides
from rtc.physics.scene import Bodies, Pairs
from rtc.physics.vector import Turn, Vec, dot, rotate_back, rows_of


def polygons_rest(pairs: Pairs, sides: Sides) -> Bool[np.ndarray, " f"]:
    """One flag for each row of `pairs.fixed`, two polygons."""
    fixed = pairs.fixed
    with jax.ensure_compile_time_eval():
        ends = [(_placed(pairs.kinds[0], n), rows_of(sides, n)) for n in (fixed.a, fixed.b)]
        gaps = []
        for (here, own), (there, other) in (ends, ends[::-1]):
            corners = in_world(there, other.start)
            local = tuple(rotate_back(here.turn, corner - here.position) for corner in corners)
            gaps += gaps_before_sides(own, local, other.present[3])
        return np.asarray(functools.reduce(jnp.maximum, gaps) < 0)


def circles_rest_on_polygons(pairs: Pairs, sides: Sides) -> Bool[np.ndarray, " f"]:
    """One flag for each row of `pairs.fixed`, a circle and a polygon."""
    fixed, (circles, polygons) = pairs.fixed, pairs.kinds
    with jax.ensure_compile_time_eval():
        disc, post = _placed(circles, fixed.a), _placed(polygons, fixed.b)
        centre = rotate_back(post.turn, disc.position - post.position)
        nearest, inside = nearest_on_sides(rows_of(sides, fixed.b), centre)
        away = centre - nearest
        return np.asarray((dot(away, away) <= circles["radius"][fixed.a] ** 2) | inside)


def circles_rest(pairs: Pairs) -> Bool[np.ndarray, " f"]:
    """One flag for each row of `pairs.fixed`, two circles."""
    fixed, circles = pairs.fixed, pairs.kinds[0]
    away = circles["position"][fixed.b] - circles["position"][fixed.a]
    reach = circles["radius"][fixed.a] + circles["radius"][fixed.b]
    return np.sqrt((away**2).sum(1)) < reach


def _placed(bodies: Bodies, numbers: np.ndarray) -> Placed:
    position, angle = bodies["position"][numbers], bodies["rotation"][numbers]
    turn = Turn(jnp.cos(angle), jnp.sin(angle))
    return Placed(Vec(jnp.asarray(position[:, 0]), jnp.asarray(position[:, 1])), turn)
