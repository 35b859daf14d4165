"""Where a circle touches a polygon, and where two circles touch: always one point."""

import jax.numpy as jnp

from rtc.physics.bodies import Body, Catalogue, Touch
from rtc.physics.geometry import nearest_on_sides
from rtc.physics.packed import Packed, formula
from rtc.physics.vector import dot, length, nonzero, rotate, rotate_back, select

Books = tuple[Catalogue, Catalogue]


def circle_polygon(books: Books, circle: Body, polygon: Body) -> tuple[Packed[Touch]]:
    """The contact of a circle (a) with a polygon (b): the polygon's nearest boundary point.

    A circle whose centre is inside is pushed out through the nearest side; its penetration is
    then taken as the radius, whatever its depth.
    """
    return (_nearest(circle, polygon),)


def circle_circle(books: Books, a: Body, b: Body) -> tuple[Packed[Touch]]:
    """The contact of two circles, on the line between the centres."""
    return (_between(a, b),)


@formula
def _nearest(circle: Body, polygon: Body) -> Touch:
    home, radius = polygon.motion.placed, circle.material.radius
    centre = rotate_back(home.turn, circle.motion.placed.position - home.position)
    nearest, inside = nearest_on_sides(polygon.sides, centre)
    away = centre - nearest
    outward = rotate(home.turn, select(inside, -away, away))
    normal = -outward * (1 / nonzero(length(outward)))
    depth = jnp.where(inside, radius, radius - length(away))
    return Touch(rotate(home.turn, nearest) + home.position, normal, depth)


@formula
def _between(a: Body, b: Body) -> Touch:
    between = b.motion.placed.position - a.motion.placed.position
    distance = jnp.sqrt(dot(between, between))
    normal = between * (1 / nonzero(distance))
    depth = a.material.radius + b.material.radius - distance
    return Touch(a.motion.placed.position + normal * a.material.radius, normal, depth)
