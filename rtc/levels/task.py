"""What there is to do in a level, and with what."""

import numpy as np
from jaxtyping import Bool, Shaped

from rtc.errors import LevelError
from rtc.levels.level import Level

GREEN, BLUE = 1, 2
MEETS_ALL = 2  # a collision mode; 0 meets that alone


def check_task(level: Level, where: str) -> None:
    """Raises LevelError where `task_problem` finds one."""
    if problem := task_problem(level):
        raise LevelError(f"{where}: {problem}")


def task_problem(level: Level) -> str | None:
    """Why nobody can solve the level, and what to change; None if somebody might.

    A green body and a blue one must be able to touch, and an action must move something. Whether
    the way from one to the other is open, only a policy can tell.
    """
    if problem := _goal_problem(level):
        return f"it can never be solved: {problem}"
    if not (_motors(level).any() or _thrusters(level).any()):
        return (
            "there is nothing to act with; add a motor (on, not auto, at a hinge of a body that "
            "is not fixed) or a thruster (on such a body), with power"
        )
    return None


def _goal_problem(level: Level) -> str | None:
    """Why no touch of green and blue can come about, and what to change; None if one can."""
    roles = np.concatenate([level["polygon_shape_roles"], level["circle_shape_roles"]])
    active, mode = _bodies(level, "active"), _bodies(level, "collision_mode")
    green, blue = (np.flatnonzero(active & (roles == role)) for role in (GREEN, BLUE))
    for bodies, name in ((green, "green"), (blue, "blue")):
        if not len(bodies):
            return f"no active body is {name}; give one `role: {name}`"
    a, b = (side.ravel() for side in np.meshgrid(green, blue))
    meet = (mode[a] == MEETS_ALL) | (mode[b] == MEETS_ALL) | (mode[a] * mode[b] > 0)
    if not meet.any():
        return (
            "green and blue bodies pass through one another; give one of them another "
            "`collision_mode` (1 is normal, 2 collides with all)"
        )
    moves = _can_move(level)
    if not (meet & (moves[a] | moves[b])).any():
        return "all green and blue bodies that could touch are fixed; take `fixed` off one"
    return None


def _bodies(level: Level, field: str) -> Shaped[np.ndarray, "n ..."]:
    """A field of all bodies, polygons first and then circles, as joints count them."""
    return np.concatenate([level[f"polygon/{field}"], level[f"circle/{field}"]])


def _can_move(level: Level) -> Bool[np.ndarray, " n"]:
    """Bodies that something can push, or that move from the start."""
    fields = ("inverse_mass", "inverse_inertia", "angular_velocity")
    drifts = (_bodies(level, "velocity") != 0).any(axis=1)
    return drifts | np.any([_bodies(level, field) != 0 for field in fields], axis=0)


def _motors(level: Level) -> Bool[np.ndarray, " j"]:
    """Joints that an action drives."""
    turns = _bodies(level, "inverse_inertia") != 0
    driven = level["joint/active"] & level["joint/motor_on"] & ~level["joint/is_fixed_joint"]
    ends = turns[level["joint/a_index"]] | turns[level["joint/b_index"]]
    power = level["joint/motor_power"] * level.params.base_motor_power
    return driven & ends & ~level["motor_auto"] & (power != 0)


def _thrusters(level: Level) -> Bool[np.ndarray, " t"]:
    """Thrusters that an action fires to some effect."""
    pushed = (_bodies(level, "inverse_mass") != 0) | (_bodies(level, "inverse_inertia") != 0)
    power = level["thruster/power"] * level.params.base_thruster_power
    return level["thruster/active"] & pushed[level["thruster/object_index"]] & (power != 0)
