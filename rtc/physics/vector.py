"""Vectors of the plane as two arrays: x and y of many bodies and environments at once."""

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from rtc.types import Array

T = TypeVar("T")


class Vec(NamedTuple):
    """A vector for every entry of two equally shaped arrays; metres or metres per second."""

    x: Array
    y: Array

    def __add__(self, other: "Vec") -> "Vec":
        return Vec(self.x + other.x, self.y + other.y)

    def __sub__(self, other: "Vec") -> "Vec":
        return Vec(self.x - other.x, self.y - other.y)

    def __mul__(self, factor: Array | float) -> "Vec":
        return Vec(self.x * factor, self.y * factor)

    def __neg__(self) -> "Vec":
        return Vec(-self.x, -self.y)


class Turn(NamedTuple):
    """A rotation by its cosine and sine."""

    cos: Array
    sin: Array


def dot(u: Vec, v: Vec) -> Array:
    """Scalar product."""
    return u.x * v.x + u.y * v.y


def cross(u: Vec, v: Vec) -> Array:
    """The z component of the cross product."""
    return u.x * v.y - u.y * v.x


def turning(spin: Array, arm: Vec) -> Vec:
    """Velocity of a point at `arm` from the centre of a body that turns with `spin` rad/s."""
    return Vec(-spin * arm.y, spin * arm.x)


def right_of(v: Vec) -> Vec:
    """`v` turned by a quarter clockwise: the tangent that belongs to a normal."""
    return Vec(v.y, -v.x)


def rotate(turn: Turn, v: Vec) -> Vec:
    """`v` out of a body's frame into the world's."""
    return Vec(turn.cos * v.x - turn.sin * v.y, turn.sin * v.x + turn.cos * v.y)


def rotate_back(turn: Turn, v: Vec) -> Vec:
    """`v` out of the world's frame into a body's."""
    return Vec(turn.cos * v.x + turn.sin * v.y, turn.cos * v.y - turn.sin * v.x)


def length(v: Vec) -> Array:
    """Euclidean norm."""
    return jnp.sqrt(dot(v, v))


def select(condition: Array, u: T, v: T) -> T:
    """`u` where the condition holds, else `v`, number by number."""
    return jax.tree.map(lambda p, q: jnp.where(condition, p, q), u, v)


def rows_of(tree: T, rows: slice | np.ndarray) -> T:
    """Rows of everything."""
    return jax.tree.map(lambda array: array[rows], tree)


def nonzero(x: Array) -> Array:
    """A divisor: 1 in place of 0, as everywhere in jax2d (`zero_to_one`)."""
    return jnp.where(x == 0, 1.0, x)
