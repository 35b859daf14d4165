"""A scene under construction: Kinetix's padded arrays with names for the bodies in them."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from rtc.errors import LevelError, did_you_mean
from rtc.levels import geometry
from rtc.levels.fields import show
from rtc.levels.level import Level, SimParams, StaticParams

WALLS = ("floor", "left wall", "right wall", "ceiling")  # polygons 0 to 3 of every scene
SLOT = re.compile(r"(polygon|circle|joint|thruster) ([0-9]{1,3})")
# Free places of Kinetix's three sizes: polygons (4 of them walls), circles, joints, thrusters.
SIZES: Mapping[str, StaticParams] = MappingProxyType(
    {
        "s": StaticParams(num_polygons=5, num_circles=2, num_joints=1, num_thrusters=1),
        "m": StaticParams(num_polygons=6, num_circles=3, num_joints=2, num_thrusters=2),
        "l": StaticParams(num_polygons=12, num_circles=4, num_joints=6, num_thrusters=2),
    }
)


@dataclass
class Scene:
    """arrays, params, static: as in `Level`. names: {body name: index over polygons, circles}."""

    arrays: dict[str, np.ndarray]
    params: SimParams
    static: StaticParams
    names: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, level: Level) -> "Scene":
        """A copy of a level to change."""
        arrays = {key: array.copy() for key, array in level.arrays.items()}
        return cls(arrays, level.params, level.static)

    def group(self, body: int) -> tuple[str, int]:
        """("polygon" or "circle", index within the group) of a body's index over both."""
        polygons = self.static.num_polygons
        return ("polygon", body) if body < polygons else ("circle", body - polygons)

    def body(self, name: object, where: str) -> int:
        """The index over polygons and circles of a body: a name of the file, a wall, or a
        slot such as `polygon 8`. Raises LevelError with the nearest name."""
        if isinstance(name, str):
            if name in self.names:
                return self.names[name]
            if name in WALLS:
                return WALLS.index(name)
            slot = self.slot(name, where)
            if slot and slot[0] in ("polygon", "circle"):
                return slot[1] + (self.static.num_polygons if slot[0] == "circle" else 0)
        options = [*self.names, *WALLS, "polygon 4", "circle 0"]
        raise LevelError(f"{where}: unknown body {show(name)}{did_you_mean(show(name), options)}")

    def slot(self, name: str, where: str) -> tuple[str, int] | None:
        """("joint", 2) for `joint 2`; None for a name that is no slot."""
        match = SLOT.fullmatch(name)
        if not match:
            return None
        group, index = match[1], int(match[2])
        count = self.arrays[f"{group}/active"].size
        if index >= count:
            raise LevelError(f"{where}: expected {group} 0 to {group} {count - 1}, got {name}")
        return group, index

    def free(self, group: str, where: str) -> int:
        """The first unused place for a polygon, circle, joint or thruster."""
        active = self.arrays[f"{group}/active"]
        if active.all():
            raise LevelError(f"{where}: no place left, the scene holds {active.size} {group}s")
        return int(np.argmin(active))

    def pose(self, body: int) -> tuple[Float[np.ndarray, "2"], float]:
        """World position and rotation of a body, in double precision."""
        group, index = self.group(body)
        position = self.arrays[f"{group}/position"][index].astype(float)
        return position, float(self.arrays[f"{group}/rotation"][index])

    def level(self, name: str) -> Level:
        """The finished level, with everything that follows from the bodies computed."""
        arrays = self.arrays
        arrays["collision_matrix"] = geometry.collision_matrix(
            self.static.num_polygons + self.static.num_circles,
            arrays["joint/a_index"],
            arrays["joint/b_index"],
            arrays["joint/active"],
        )
        for group, body, relative in (
            ("joint", "a_index", "a_relative_pos"),
            ("thruster", "object_index", "relative_position"),
        ):
            for index in np.flatnonzero(arrays[f"{group}/active"]):
                pose = self.pose(int(arrays[f"{group}/{body}"][index]))
                point = arrays[f"{group}/{relative}"][index].astype(float)
                arrays[f"{group}/global_position"][index] = geometry.world_point(*pose, point)
        return Level(name=name, arrays=arrays, params=self.params, static=self.static)


def empty_scene(size: str) -> Scene:
    """A scene of Kinetix's size s, m or l with nothing in it but floor, walls and ceiling.

    The floor's top is at y = 0.4, the walls' inner faces at x = 0 and x = 5 (metres).
    """
    static = SIZES[size]
    arrays = _body_arrays("polygon", static.num_polygons)
    arrays |= _body_arrays("circle", static.num_circles)
    arrays |= _link_arrays(static)
    arrays["gravity"] = np.array([0, -9.81], np.float32)
    arrays["collision_matrix"] = np.zeros((static.num_polygons + static.num_circles,) * 2, bool)
    slab = geometry.box_vertices(5.0, 10.4)
    arrays["polygon/position"][[0, 3]] = [[2.5, -4.8], [2.5, 10.2]]
    arrays["polygon/vertices"][0] = slab
    arrays["polygon/vertices"][1] = [[-5, 5], [0, 5], [0, 0], [-5, 0]]
    arrays["polygon/vertices"][2] = [[5, 5], [10, 5], [10, 0], [5, 0]]
    arrays["polygon/vertices"][3] = slab
    arrays["polygon/n_vertices"][:] = 4
    arrays["polygon/active"][:4] = True
    arrays["polygon/collision_mode"][:4] = 2
    return Scene(arrays, SimParams(), dataclasses.replace(static))


def _body_arrays(group: str, count: int) -> dict[str, np.ndarray]:
    def zeros(*shape: int) -> np.ndarray:
        return np.zeros((count, *shape), np.float32)

    scalars = "rotation angular_velocity inverse_mass inverse_inertia restitution radius"
    arrays = {f"{group}/{name}": zeros() for name in scalars.split()}
    return arrays | {
        f"{group}/position": zeros(2),
        f"{group}/velocity": zeros(2),
        f"{group}/vertices": zeros(4, 2),
        f"{group}/friction": np.ones(count, np.float32),
        f"{group}/collision_mode": np.ones(count, np.int32),
        f"{group}/n_vertices": np.zeros(count, np.int32),
        f"{group}/active": np.zeros(count, bool),
        f"{group}_shape_roles": np.zeros(count, np.int32),
        f"{group}_densities": np.ones(count, np.float32),
        f"{group}_highlighted": np.zeros(count, bool),
    }


def _link_arrays(static: StaticParams) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for group, count, floats, vectors, integers, booleans in (
        (
            "joint",
            static.num_joints,
            "acc_r_impulse motor_speed motor_power min_rotation max_rotation rotation",
            "a_relative_pos b_relative_pos global_position acc_impulse",
            "a_index b_index",
            "active motor_on motor_has_joint_limits is_fixed_joint",
        ),
        (
            "thruster",
            static.num_thrusters,
            "rotation power",
            "relative_position global_position",
            "object_index",
            "active",
        ),
    ):
        arrays |= {f"{group}/{name}": np.zeros(count, np.float32) for name in floats.split()}
        arrays |= {f"{group}/{name}": np.zeros((count, 2), np.float32) for name in vectors.split()}
        arrays |= {f"{group}/{name}": np.zeros(count, np.int32) for name in integers.split()}
        arrays |= {f"{group}/{name}": np.zeros(count, bool) for name in booleans.split()}
    arrays["motor_bindings"] = np.zeros(static.num_joints, np.int32)
    arrays["motor_auto"] = np.zeros(static.num_joints, bool)
    arrays["thruster_bindings"] = np.zeros(static.num_thrusters, np.int32)
    return arrays
