"""Whether a level can be simulated at all: the rules both file forms must keep."""

import numpy as np
from jaxtyping import Bool

from rtc.errors import LevelError
from rtc.levels.level import Level


def check_level(level: Level, where: str) -> None:
    """Raises LevelError naming `where`, the body and the rule that the level breaks."""
    for field, array in level.arrays.items():
        if not np.isfinite(array).all():
            raise LevelError(f"{where}: {field}: expected finite numbers")
    for group in ("polygon", "circle"):
        active = level[f"{group}/active"]
        for field in ("inverse_mass", "inverse_inertia", "friction", "restitution"):
            _refuse(where, group, active & (level[f"{group}/{field}"] < 0), f"negative {field}")
    walls = level.static.num_static_fixated_polys
    if not level["polygon/active"][:walls].all():
        raise LevelError(
            f"{where}: polygons 0 to {walls - 1} are floor and walls, keep them active"
        )
    if level["polygon/inverse_mass"][:walls].any():
        raise LevelError(f"{where}: polygons 0 to {walls - 1} are floor and walls, keep them fixed")
    few = level["polygon/active"] & (level["polygon/n_vertices"] < 3)
    _refuse(where, "polygon", few, "fewer than 3 vertices")
    flat = level["circle/active"] & (level["circle/radius"] <= 0)
    _refuse(where, "circle", flat, "no positive radius")
    bodies = np.concatenate([level["polygon/active"], level["circle/active"]])
    joints, thrusters = level["joint/active"], level["thruster/active"]
    same = joints & (level["joint/a_index"] == level["joint/b_index"])
    _refuse(where, "joint", same, "the same body on both sides")
    for side in ("a", "b"):
        missing = joints & ~bodies[level[f"joint/{side}_index"]]
        _refuse(where, "joint", missing, "a body that is not active")
    missing = thrusters & ~bodies[level["thruster/object_index"]]
    _refuse(where, "thruster", missing, "a body that is not active")


def _refuse(where: str, group: str, rows: Bool[np.ndarray, " n"], problem: str) -> None:
    if rows.any():
        raise LevelError(f"{where}: {group} {int(np.argmax(rows))} has {problem}")
