"""Bodies of a level file: boxes, polygons and circles, with masses that follow from them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from rtc.errors import LevelError
from rtc.levels import fields, geometry
from rtc.levels.scene import SLOT, WALLS, Scene

SHAPES = ("box", "polygon", "circle")
BODY_KEYS = (
    *SHAPES,
    *("keep_centre", "position", "rotation", "velocity", "angular_velocity", "density"),
    *("friction", "restitution", "role", "fixed", "collision_mode", "mass", "inertia", "active"),
)
# A goal is a green body touching a blue one, a failure a green one touching a red one.
ROLES = ("none", "green", "blue", "red")
REACH = 15.0  # metres; the engine clips positions there


def add_bodies(scene: Scene, section: Any, where: str) -> None:
    """Puts the bodies of `section`, a mapping {name: keys}, into the free places in order."""
    for name, keys in fields.mapping(section, where).items():
        place = f"{where}.{name[:40]}"
        if name in WALLS or name in scene.names or SLOT.fullmatch(name):
            raise LevelError(f"{place}: the name is taken by a part of every scene")
        keys = fields.mapping(keys, place, BODY_KEYS)
        group = "circle" if "circle" in keys else "polygon"
        fields.require(keys, "position", place)
        if not any(shape in keys for shape in SHAPES):
            raise LevelError(f"{place}: expected one of the keys box, polygon, circle")
        index = scene.free(group, place)
        _clear(scene, group, index)
        offset = scene.static.num_polygons if group == "circle" else 0
        scene.names[name] = index + offset
        set_body(scene, index + offset, {"fixed": False, "active": True, **keys}, place)


def set_body(scene: Scene, body: int, keys: Any, where: str) -> None:
    """Changes what `keys` name of one body; the mass follows where the shape or density does."""
    group, index = scene.group(body)
    keys = fields.mapping(keys, where, BODY_KEYS)
    arrays = scene.arrays
    fixed = _is_fixed(scene, group, index, keys, where)
    for key in ("friction", "restitution"):
        if key in keys:
            high = 1.0 if key == "restitution" else 100.0
            arrays[f"{group}/{key}"][index] = fields.number(keys[key], f"{where}.{key}", 0.0, high)
    if "density" in keys:
        density = fields.number(keys["density"], f"{where}.density", 1e-4, 1e4)
        arrays[f"{group}_densities"][index] = density
    if "role" in keys:
        role = fields.choice(keys["role"], f"{where}.role", ROLES)
        arrays[f"{group}_shape_roles"][index] = ROLES.index(role)
    if "collision_mode" in keys:
        mode = fields.integer(keys["collision_mode"], f"{where}.collision_mode", 0, 2)
        arrays[f"{group}/collision_mode"][index] = mode
    if "active" in keys:
        arrays[f"{group}/active"][index] = fields.boolean(keys["active"], f"{where}.active")
    _set_motion(scene, group, index, keys, where)
    _set_shape(scene, group, index, keys, where)
    _set_mass(scene, group, index, keys, fixed, where)


def _clear(scene: Scene, group: str, index: int) -> None:
    """Makes a place as new: an inactive body of a packaged level leaves its values behind."""
    for key, array in scene.arrays.items():
        if key.startswith((f"{group}/", f"{group}_")):
            array[index] = 0
    for key in (f"{group}/friction", f"{group}_densities", f"{group}/collision_mode"):
        scene.arrays[key][index] = 1


def _is_fixed(scene: Scene, group: str, index: int, keys: Mapping[str, Any], where: str) -> bool:
    if "fixed" not in keys:
        return bool(scene.arrays[f"{group}/inverse_mass"][index] == 0)
    fixed = fields.boolean(keys["fixed"], f"{where}.fixed")
    if fixed and ("mass" in keys or "inertia" in keys):
        raise LevelError(f"{where}: a fixed body has no mass; expected either fixed or mass")
    return fixed


def _set_motion(scene: Scene, group: str, index: int, keys: Mapping[str, Any], where: str) -> None:
    arrays = scene.arrays
    if "position" in keys:
        position = fields.vector(keys["position"], f"{where}.position", 2, -REACH, REACH)
        arrays[f"{group}/position"][index] = position
    if "velocity" in keys:
        velocity = fields.vector(keys["velocity"], f"{where}.velocity", 2, -100.0, 100.0)
        arrays[f"{group}/velocity"][index] = velocity
    for key in ("rotation", "angular_velocity"):
        if key in keys:
            degrees = fields.number(keys[key], f"{where}.{key}", -3600.0, 3600.0)
            arrays[f"{group}/{key}"][index] = np.deg2rad(degrees)


def _set_shape(scene: Scene, group: str, index: int, keys: Mapping[str, Any], where: str) -> None:
    given = [shape for shape in SHAPES if shape in keys]
    if not given:
        return
    if len(given) > 1:
        raise LevelError(f"{where}: expected one shape, got {' and '.join(given)}")
    if (given[0] == "circle") != (group == "circle"):
        raise LevelError(f"{where}.{given[0]}: a {group} cannot become another shape")
    arrays, place = scene.arrays, f"{where}.{given[0]}"
    if given[0] == "circle":
        arrays["circle/radius"][index] = fields.number(keys["circle"], place, 0.005, REACH)
        return
    if given[0] == "box":
        vertices = np.array(
            geometry.box_vertices(*fields.vector(keys["box"], place, 2, 0.01, 50.0))
        )
    else:
        vertices = _polygon(keys["polygon"], place)
    keep = fields.boolean(keys.get("keep_centre", False), f"{where}.keep_centre")
    centre = np.zeros(2) if keep else vertices.mean(axis=0)
    rotation = float(arrays["polygon/rotation"][index])
    moved = geometry.world_point(arrays["polygon/position"][index].astype(float), rotation, centre)
    arrays["polygon/position"][index] = moved
    arrays["polygon/n_vertices"][index] = len(vertices)
    arrays["polygon/vertices"][index] = 0.0
    arrays["polygon/vertices"][index, : len(vertices)] = vertices - centre


def _polygon(value: Any, where: str) -> Float[np.ndarray, "v 2"]:
    """3 or 4 corners, convex, in either sense of turning; the engine needs them clockwise."""
    corners = fields.sequence(value, where, 4)
    if len(corners) < 3:
        raise fields.fail(where, "3 or 4 corners", value)
    vertices = np.array(
        [fields.vector(corner, f"{where}[{i}]", 2, -50.0, 50.0) for i, corner in enumerate(corners)]
    )
    sides = np.roll(vertices, -1, axis=0) - vertices
    turns = geometry.cross(sides, np.roll(sides, -1, axis=0))
    if not (np.all(turns < -1e-9) or np.all(turns > 1e-9)):
        raise fields.fail(where, "the corners of a convex polygon in order", value)
    return vertices if turns[0] < 0 else vertices[::-1]


def _set_mass(
    scene: Scene, group: str, index: int, keys: Mapping[str, Any], fixed: bool, where: str
) -> None:
    arrays = scene.arrays
    if any(key in keys for key in (*SHAPES, "density", "fixed")):
        inverse = (0.0, 0.0) if fixed else _derived(scene, group, index)
        arrays[f"{group}/inverse_mass"][index], arrays[f"{group}/inverse_inertia"][index] = inverse
    for key in ("mass", "inertia"):
        if key in keys:
            value = fields.number(keys[key], f"{where}.{key}", 1e-9, fields.LIMIT)
            arrays[f"{group}/inverse_{key}"][index] = 1.0 / value


def _derived(scene: Scene, group: str, index: int) -> tuple[float, float]:
    density = float(scene.arrays[f"{group}_densities"][index])
    if group == "circle":
        radius = float(scene.arrays["circle/radius"][index])
        return geometry.circle_inverse_mass_inertia(radius, density)
    corners = scene.arrays["polygon/n_vertices"][index]
    vertices = scene.arrays["polygon/vertices"][index, :corners].astype(float)
    return geometry.polygon_inverse_mass_inertia(vertices, density)
