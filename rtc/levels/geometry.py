"""What follows from the shapes of a scene: masses, inertias, who collides with whom.

The formulas are those of jax2d 1.0.1 (`engine.py`), so a level derived here equals one that
Kinetix derives from the same shapes.
"""

import numpy as np
from jaxtyping import Bool, Float, Int  # rtc.types would import jax

# Where a body's position is its centre of mass, a jax2d quirk of polygons included: the
# "centroid" is the mean of the vertices, which for a lopsided polygon is not the true one.


def box_vertices(width: float, height: float) -> list[list[float]]:
    """The four corners of a box about its centre, in Kinetix's order: from the top right
    corner clockwise."""
    x, y = width / 2, height / 2
    return [[x, y], [x, -y], [-x, -y], [-x, y]]


def polygon_area(vertices: Float[np.ndarray, "v 2"]) -> float:
    """Area in m^2 of a convex polygon, as triangles that share the first vertex."""
    legs = vertices[1:] - vertices[0]
    return float(np.abs(cross(legs[:-1], legs[1:])).sum() / 2)


def polygon_inertia(vertices: Float[np.ndarray, "v 2"], density: float) -> float:
    """Second moment of area about the origin times density, kg m^2.

    Sum over the triangles (origin, p, q): |p x q| / 12 (p.p + p.q + q.q). As in jax2d the
    following vertex of the last of three is the padding (0, 0), so a triangle's last side
    adds nothing.
    """
    following = np.roll(vertices, -1, axis=0)
    if len(vertices) == 3:
        following[-1] = 0.0
    squares = (vertices**2 + vertices * following + following**2).sum(axis=1)
    return float((np.abs(cross(vertices, following)) * squares).sum() / 12 * density)


def cross(a: Float[np.ndarray, "*n 2"], b: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n"]:
    """The z component of the cross product of plane vectors."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def inverse(value: float) -> float:
    """1 / value, and 1 for a value of 0, as jax2d's `zero_to_one` has it."""
    return 1.0 / value if value else 1.0


def polygon_inverse_mass_inertia(
    vertices: Float[np.ndarray, "v 2"], density: float
) -> tuple[float, float]:
    """(1/kg, 1/(kg m^2)) of a polygon whose vertices are relative to its centroid."""
    mass = polygon_area(vertices) * density
    return inverse(mass), inverse(polygon_inertia(vertices, density))


def circle_inverse_mass_inertia(radius: float, density: float) -> tuple[float, float]:
    """(1/kg, 1/(kg m^2)) of a disc. The inertia is jax2d's pi r^4 / 4, half of a disc's."""
    area = np.pi * radius**2
    return inverse(area * density), inverse(area * radius**2 / 4 * density)


def collision_matrix(
    bodies: int,
    a_index: Int[np.ndarray, " j"],
    b_index: Int[np.ndarray, " j"],
    active: Bool[np.ndarray, " j"],
) -> Bool[np.ndarray, "n n"]:
    """Which bodies may push each other: all but those linked by a chain of active joints.

    jax2d reaches the same by merging the rows of each joint's two bodies over and over.
    """
    group = np.arange(bodies)
    for a, b in zip(a_index[active], b_index[active]):
        group[group == group[b]] = group[a]
    return group[:, None] != group[None, :]


def world_point(
    position: Float[np.ndarray, "2"], rotation: float, relative: Float[np.ndarray, "2"]
) -> Float[np.ndarray, "2"]:
    """Where a point fixed to a body is in the world, metres."""
    cosine, sine = np.cos(rotation), np.sin(rotation)
    return position + np.array(
        [cosine * relative[0] - sine * relative[1], sine * relative[0] + cosine * relative[1]]
    )


def body_point(
    position: Float[np.ndarray, "2"], rotation: float, point: Float[np.ndarray, "2"]
) -> Float[np.ndarray, "2"]:
    """The inverse of `world_point`: a point of the world in the body's own frame."""
    cosine, sine = np.cos(rotation), np.sin(rotation)
    x, y = point - position
    return np.array([cosine * x + sine * y, cosine * y - sine * x])
