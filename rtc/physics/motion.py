"""Which bodies of a level can move at all."""

import numpy as np
from jaxtyping import Bool, Shaped

from rtc.levels import Level


def body_field(level: Level, name: str) -> Shaped[np.ndarray, "n ..."]:
    """A field of all bodies, polygons first and then circles, as joints count them."""
    return np.concatenate([level[f"polygon/{name}"], level[f"circle/{name}"]])


def moving_bodies(level: Level) -> Bool[np.ndarray, " n"]:
    """Active bodies whose place or speed can ever change.

    A body stays where it is if its mass and its inertia are infinite and it starts at rest.
    """
    pushed = (body_field(level, "inverse_mass") != 0) | (body_field(level, "inverse_inertia") != 0)
    drifts = (body_field(level, "velocity") != 0).any(axis=1)
    spins = body_field(level, "angular_velocity") != 0
    return body_field(level, "active") & (pushed | drifts | spins)
