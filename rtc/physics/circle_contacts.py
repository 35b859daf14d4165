"""Where a circle touches a polygon, and where two circles touch: always one point."""

import jax.numpy as jnp

from rtc.physics.bodies import Body, Touch
from rtc.physics.geometry import Sides, nearest_on_sides
from rtc.physics.stages import stage
from rtc.physics.vector import dot, length, nonzero, rotate, rotate_back, select
from rtc.types import Array


@stage
def circle_polygon(circle: Body, radius: Array, polygon: Body, sides: Sides) -> Touch:
    """The contact of a circle (a) with a polygon (b): the polygon's nearest boundary point.

    A circle whose centre is inside is pushed out through the nearest side; its penetration is
    then taken as the radius, whatever its depth.
    """
    turn = polygon.placed.turn
    centre = rotate_back(turn, circle.placed.position - polygon.placed.position)
    nearest, inside = nearest_on_sides(sides, centre)
    away = centre - nearest
    outward = rotate(turn, select(inside, -away, away))
    return Touch(
        point=rotate(turn, nearest) + polygon.placed.position,
        normal=-outward * (1 / nonzero(length(outward))),
        penetration=jnp.where(inside, radius, radius - length(away)),
        active=jnp.ones_like(inside),
    )


@stage
def circle_circle(a: Body, a_radius: Array, b: Body, b_radius: Array) -> Touch:
    """The contact of two circles, on the line between the centres."""
    between = b.placed.position - a.placed.position
    distance = jnp.sqrt(dot(between, between))
    normal = between * (1 / nonzero(distance))
    return Touch(
        point=a.placed.position + normal * a_radius,
        normal=normal,
        penetration=a_radius + b_radius - distance,
        active=distance < jnp.inf,
    )
