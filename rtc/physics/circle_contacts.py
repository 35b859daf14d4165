"""Where a circle touches a polygon, and where two circles touch: always one point."""

import jax.numpy as jnp

from rtc.physics.bodies import Body, Catalogue, Touch
from rtc.physics.geometry import nearest_on_sides
from rtc.physics.stages import stage
from rtc.physics.vector import Vec, dot, length, nonzero, rotate, rotate_back, select
from rtc.types import Array, Float


def circle_polygon(books: tuple[Catalogue, Catalogue], circle: Body, polygon: Body) -> tuple[Touch]:
    """The contact of a circle (a) with a polygon (b): the polygon's nearest boundary point.

    A circle whose centre is inside is pushed out through the nearest side; its penetration is
    then taken as the radius, whatever its depth.
    """
    return (_touch(_nearest(circle, polygon)),)


def circle_circle(books: tuple[Catalogue, Catalogue], a: Body, b: Body) -> tuple[Touch]:
    """The contact of two circles, on the line between the centres."""
    return (_touch(_between(a, b)),)


def _touch(numbers: Float[Array, "5 b"]) -> Touch:
    point, normal, penetration = Vec(*numbers[0:2]), Vec(*numbers[2:4]), numbers[4]
    return Touch(point, normal, penetration, jnp.ones(penetration.shape, bool))


@stage
def _nearest(circle: Body, polygon: Body) -> Float[Array, "5 b"]:
    home = polygon.placed
    centre = rotate_back(home.turn, circle.placed.position - home.position)
    nearest, inside = nearest_on_sides(polygon.sides, centre)
    away = centre - nearest
    outward = rotate(home.turn, select(inside, -away, away))
    normal = -outward * (1 / nonzero(length(outward)))
    depth = jnp.where(inside, circle.radius, circle.radius - length(away))
    return jnp.stack([*rotate(home.turn, nearest) + home.position, *normal, depth])


@stage
def _between(a: Body, b: Body) -> Float[Array, "5 b"]:
    between = b.placed.position - a.placed.position
    distance = jnp.sqrt(dot(between, between))
    normal = between * (1 / nonzero(distance))
    depth = a.radius + b.radius - distance
    return jnp.stack([*a.placed.position + normal * a.radius, *normal, depth])
