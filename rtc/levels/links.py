"""Joints and thrusters of a level file: what holds bodies together and what drives them."""

from typing import Any

import numpy as np

from rtc.errors import LevelError
from rtc.levels import fields, geometry
from rtc.levels.bodies import REACH
from rtc.levels.scene import Scene

JOINT_KEYS = ("between", "at", "offsets", "fixed", "motor", "limits", "rotation", "active")
MOTOR_KEYS = ("binding", "speed", "power", "on", "auto")
THRUSTER_KEYS = ("on", "at", "offset", "rotation", "power", "binding", "active")
DEGREES = 3600.0


def add_joints(scene: Scene, section: Any, where: str) -> None:
    """Puts the joints of a list into the free places, in order."""
    for i, keys in enumerate(fields.sequence(section, where, scene.static.num_joints)):
        place = f"{where}[{i}]"
        keys = fields.mapping(keys, place, JOINT_KEYS)
        fields.require(keys, "between", place)
        if "at" not in keys and "offsets" not in keys:
            raise LevelError(f"{place}.at: missing; a point of the world, metres")
        index = scene.free("joint", place)
        for key, array in scene.arrays.items():
            if key.startswith(("joint/", "motor_")):
                array[index] = 1 if key in ("joint/motor_speed", "joint/motor_power") else 0
        set_joint(scene, index, {"active": True, **keys}, place)


def set_joint(scene: Scene, index: int, keys: Any, where: str) -> None:
    """Changes what `keys` name of one joint."""
    keys = fields.mapping(keys, where, JOINT_KEYS)
    arrays = scene.arrays
    for key, field in (("active", "active"), ("fixed", "is_fixed_joint")):
        if key in keys:
            arrays[f"joint/{field}"][index] = fields.boolean(keys[key], f"{where}.{key}")
    if "between" in keys:
        _set_pair(scene, index, keys["between"], f"{where}.between")
    if "at" in keys and "offsets" in keys:
        raise LevelError(f"{where}: expected either at or offsets, got both")
    if "at" in keys:
        point = np.array(fields.vector(keys["at"], f"{where}.at", 2, -REACH, REACH))
        for side in "ab":
            pose = scene.pose(int(arrays[f"joint/{side}_index"][index]))
            arrays[f"joint/{side}_relative_pos"][index] = geometry.body_point(*pose, point)
    if "offsets" in keys:
        offsets = fields.sequence(keys["offsets"], f"{where}.offsets", 2)
        if len(offsets) != 2:
            raise fields.fail(f"{where}.offsets", "a point on each of the two bodies", offsets)
        for i, side in enumerate("ab"):
            offset = fields.vector(offsets[i], f"{where}.offsets[{i}]", 2, -REACH, REACH)
            arrays[f"joint/{side}_relative_pos"][index] = offset
    if "rotation" in keys:
        degrees = fields.number(keys["rotation"], f"{where}.rotation", -DEGREES, DEGREES)
        arrays["joint/rotation"][index] = np.deg2rad(degrees)
    if "limits" in keys:
        _set_limits(scene, index, keys["limits"], f"{where}.limits")
    if "motor" in keys:
        _set_motor(scene, index, keys["motor"], f"{where}.motor")


def _set_pair(scene: Scene, index: int, value: Any, where: str) -> None:
    """The two bodies; the joint's rest rotation is theirs unless the file says otherwise."""
    pair = fields.sequence(value, where, 2)
    if len(pair) != 2 or pair[0] == pair[1]:
        raise fields.fail(where, "two different bodies", value)
    a, b = (scene.body(name, f"{where}[{i}]") for i, name in enumerate(pair))
    scene.arrays["joint/a_index"][index] = a
    scene.arrays["joint/b_index"][index] = b
    scene.arrays["joint/rotation"][index] = scene.pose(b)[1] - scene.pose(a)[1]


def _set_limits(scene: Scene, index: int, value: Any, where: str) -> None:
    arrays = scene.arrays
    arrays["joint/motor_has_joint_limits"][index] = value is not None
    if value is None:
        return
    low, high = fields.vector(value, where, 2, -DEGREES, DEGREES)
    if low > high:
        raise fields.fail(where, "the smaller angle first", value)
    arrays["joint/min_rotation"][index] = np.deg2rad(low)
    arrays["joint/max_rotation"][index] = np.deg2rad(high)


def _set_motor(scene: Scene, index: int, value: Any, where: str) -> None:
    keys = fields.mapping(value, where, MOTOR_KEYS)
    arrays = scene.arrays
    arrays["joint/motor_on"][index] = fields.boolean(keys.get("on", True), f"{where}.on")
    for key in ("speed", "power"):
        if key in keys:
            value = fields.number(keys[key], f"{where}.{key}", -1000.0, 1000.0)
            arrays[f"joint/motor_{key}"][index] = value
    if "binding" in keys:
        highest = scene.static.num_motor_bindings - 1
        binding = fields.integer(keys["binding"], f"{where}.binding", 0, highest)
        arrays["motor_bindings"][index] = binding
    if "auto" in keys:
        arrays["motor_auto"][index] = fields.boolean(keys["auto"], f"{where}.auto")


def add_thrusters(scene: Scene, section: Any, where: str) -> None:
    """Puts the thrusters of a list into the free places, in order."""
    for i, keys in enumerate(fields.sequence(section, where, scene.static.num_thrusters)):
        place = f"{where}[{i}]"
        keys = fields.mapping(keys, place, THRUSTER_KEYS)
        for key in ("on", "rotation", "binding"):
            fields.require(keys, key, place)
        if "at" not in keys and "offset" not in keys:
            raise LevelError(f"{place}.at: missing; a point of the world, metres")
        index = scene.free("thruster", place)
        set_thruster(scene, index, {"active": True, "power": 1.0, **keys}, place)


def set_thruster(scene: Scene, index: int, keys: Any, where: str) -> None:
    """Changes what `keys` name of one thruster."""
    keys = fields.mapping(keys, where, THRUSTER_KEYS)
    arrays = scene.arrays
    if "active" in keys:
        arrays["thruster/active"][index] = fields.boolean(keys["active"], f"{where}.active")
    if "on" in keys:
        arrays["thruster/object_index"][index] = scene.body(keys["on"], f"{where}.on")
    if "at" in keys and "offset" in keys:
        raise LevelError(f"{where}: expected either at or offset, got both")
    if "at" in keys:
        point = np.array(fields.vector(keys["at"], f"{where}.at", 2, -REACH, REACH))
        pose = scene.pose(int(arrays["thruster/object_index"][index]))
        arrays["thruster/relative_position"][index] = geometry.body_point(*pose, point)
    if "offset" in keys:
        offset = fields.vector(keys["offset"], f"{where}.offset", 2, -REACH, REACH)
        arrays["thruster/relative_position"][index] = offset
    if "rotation" in keys:
        degrees = fields.number(keys["rotation"], f"{where}.rotation", -DEGREES, DEGREES)
        arrays["thruster/rotation"][index] = np.deg2rad(degrees)
    if "power" in keys:
        arrays["thruster/power"][index] = fields.number(
            keys["power"], f"{where}.power", 0.0, 1000.0
        )
    if "binding" in keys:
        highest = scene.static.num_thruster_bindings - 1
        binding = fields.integer(keys["binding"], f"{where}.binding", 0, highest)
        arrays["thruster_bindings"][index] = binding
