"""Levels in Kinetix's own JSON form, read with numpy alone (importing kinetix costs seconds)."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rtc.errors import LevelError
from rtc.levels import fields, geometry
from rtc.levels.level import (
    BODY_FIELDS,
    JOINT_FIELDS,
    THRUSTER_FIELDS,
    Level,
    SimParams,
    StaticParams,
)

logger = logging.getLogger("rtc")

LARGEST_FILE = 8_000_000  # bytes; packaged levels have 0.2 MB
LARGEST_UNUSED = 1000  # packaged levels leave a binding of 3 on a thruster that is not there
LARGEST_SCENE = {
    "num_polygons": 64,
    "num_circles": 64,
    "num_joints": 64,
    "num_thrusters": 64,
    "num_motor_bindings": 64,
    "num_thruster_bindings": 64,
    "max_polygon_vertices": 4,
    "num_solver_iterations": 100,
    "solver_batch_size": 1024,
    "num_static_fixated_polys": 4,
    "frame_skip": 100,
}
SMALLEST_SCENE = {
    "num_polygons": 4,
    "max_polygon_vertices": 4,
    "num_static_fixated_polys": 4,
}
OTHERWISE = "a YAML file with base: and both keys sets them (docs/add-a-level.md)"
BOOLEANS = {"active", "motor_on", "motor_has_joint_limits", "is_fixed_joint"}
INTEGERS = {"collision_mode": 2, "n_vertices": 4}  # field: largest value


def read_kinetix_json(path: Path, name: str) -> Level:
    """Reads a level as Kinetix's editor and exporter write it.

    As Kinetix does at loading, the collision matrix is computed from the joints, accumulated
    contact impulses start at zero, highlights are dropped and an episode has 256 steps. The
    log says where the file states another number, or a frame_skip that is not the reference's.
    Raises LevelError with the file, the key and what was expected.
    """
    document = fields.mapping(_parse(path), f"{path}")
    state = fields.mapping(fields.require(document, "env_state", f"{path}"), f"{path}: env_state")
    static = _static(document.get("static_env_params", {}), f"{path}: static_env_params")
    params = _params(document.get("env_params", {}), f"{path}: env_params")
    _say_what_was_taken(document, static, path)
    arrays = _bodies(state, "polygon", static.num_polygons, f"{path}: env_state")
    arrays |= _bodies(state, "circle", static.num_circles, f"{path}: env_state")
    arrays |= _joints(state, static, f"{path}: env_state")
    arrays |= _thrusters(state, static, f"{path}: env_state")
    gravity = fields.require(state, "gravity", f"{path}: env_state")
    arrays["gravity"] = np.array(
        fields.vector(gravity, f"{path}: env_state.gravity", 2), np.float32
    )
    arrays["collision_matrix"] = geometry.collision_matrix(
        static.num_polygons + static.num_circles,
        arrays["joint/a_index"],
        arrays["joint/b_index"],
        arrays["joint/active"],
    )
    return Level(name=name, arrays=arrays, params=params, static=static)


def _say_what_was_taken(document: Mapping[str, Any], static: StaticParams, path: Path) -> None:
    """The reference replaces both numbers, whatever a file states; here one of them is taken."""
    steps = document.get("env_params", {}).get("max_timesteps", SimParams.max_timesteps)
    if steps != SimParams.max_timesteps:
        logger.info(
            f"{path}: max_timesteps {fields.show(steps)} is not taken from the file: an episode "
            f"has {SimParams.max_timesteps} steps, as in the reference; {OTHERWISE}"
        )
    if static.frame_skip != StaticParams.frame_skip:
        logger.info(
            f"{path}: frame_skip {static.frame_skip} is taken from the file; the reference has "
            f"{StaticParams.frame_skip}; {OTHERWISE}"
        )


def _parse(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise LevelError(f"{path}: larger than {LARGEST_FILE} bytes, no level needs that")
        text = path.read_text(encoding="utf-8-sig")  # browsers and editors put a mark first
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise LevelError(f"{path}: cannot be read ({reason})") from error
    except ValueError as error:
        raise LevelError(f"{path}: expected a Kinetix level in JSON, but {error}") from error
    except RecursionError as error:
        raise LevelError(f"{path}: nested too deeply for a Kinetix level") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {fields.show(twice)} stands twice")
    return document


def _static(section: Any, where: str) -> StaticParams:
    section = fields.mapping(section, where)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(StaticParams):
        value = section.get(field.name, field.default)
        place = f"{where}.{field.name}"
        if field.name == "do_warm_starting":
            values[field.name] = fields.boolean(value, place)
            continue
        smallest = SMALLEST_SCENE.get(field.name, 1)
        values[field.name] = fields.integer(value, place, smallest, LARGEST_SCENE[field.name])
    return StaticParams(**values)


def _params(section: Any, where: str) -> SimParams:
    section = fields.mapping(section, where)
    values = {}
    for field in dataclasses.fields(SimParams):
        if field.name == "max_timesteps":  # Kinetix replaces it by its default
            continue
        value = section.get(field.name, field.default)
        values[field.name] = fields.number(value, f"{where}.{field.name}", low=0.0)
    if values["dt"] <= 0:
        raise fields.fail(f"{where}.dt", "a positive number", values["dt"])
    return SimParams(**values)


def _rows(state: Mapping[str, Any], group: str, count: int, where: str) -> list[Mapping[str, Any]]:
    rows = fields.sequence(fields.require(state, group, where), f"{where}.{group}", 64)
    if len(rows) != count:
        raise LevelError(
            f"{where}.{group}: expected {count} entries (static_env_params.num_{group}s), "
            f"got {len(rows)}"
        )
    return [fields.mapping(row, f"{where}.{group}[{i}]") for i, row in enumerate(rows)]


def _value(row: Mapping[str, Any], field: str, where: str) -> Any:
    value = fields.require(row, field, where)
    place = f"{where}.{field}"
    if field in BOOLEANS:
        return fields.boolean(value, place)
    if field in INTEGERS:
        return fields.integer(value, place, 0, INTEGERS[field])
    if field == "vertices":
        if isinstance(value, Mapping):
            value = [fields.require(value, str(i), place) for i in range(len(value))]
        if len(fields.sequence(value, place, 4)) != 4:
            raise fields.fail(place, "4 vertices (padded with zeros)", value)
        return [fields.vector(vertex, f"{place}[{i}]", 2) for i, vertex in enumerate(value)]
    if isinstance(value, Mapping | list | tuple):
        return fields.vector(value, place, 2)
    return fields.number(value, place)


def _stack(values: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    kind = type(values[0]) if values else float
    dtype = {bool: np.bool_, int: np.int32}.get(kind, np.float32)
    return np.array(values, dtype).reshape(len(values), *shape)


VECTORS = "position velocity a_relative_pos b_relative_pos global_position acc_impulse "
VECTORS = (VECTORS + "relative_position").split()


def _shape(field: str) -> tuple[int, ...]:
    if field == "vertices":
        return (4, 2)
    return (2,) if field in VECTORS else ()


def _columns(
    rows: list[Mapping[str, Any]], group: str, names: list[str], where: str
) -> dict[str, np.ndarray]:
    arrays = {}
    for field in names:
        values = [_value(row, field, f"{where}.{group}[{i}]") for i, row in enumerate(rows)]
        for i, value in enumerate(values):
            if isinstance(value, list) != bool(_shape(field)):
                expected = "2 numbers" if _shape(field) else "one number"
                raise fields.fail(f"{where}.{group}[{i}].{field}", expected, value)
        arrays[f"{group}/{field}"] = _stack(values, _shape(field))
    return arrays


def _integers(
    rows: list[Mapping[str, Any]], group: str, field: str, bound: int, where: str
) -> np.ndarray:
    """[rows] whole numbers from 0 to bound - 1; the binding of an unused row is of no matter."""
    values = []
    for i, row in enumerate(rows):
        place = f"{where}.{group}[{i}]"
        unused = field.endswith("binding") and not fields.require(row, "active", place)
        highest = LARGEST_UNUSED if unused else bound - 1
        value = fields.require(row, field, place)
        values.append(fields.integer(value, f"{place}.{field}", 0, highest))
    return np.array(values, np.int32)


def _bodies(state: Mapping[str, Any], group: str, count: int, where: str) -> dict[str, np.ndarray]:
    rows = _rows(state, group, count, where)
    arrays = _columns(rows, group, BODY_FIELDS, where)
    arrays[f"{group}_shape_roles"] = _integers(rows, group, "role", 4, where)
    arrays[f"{group}_densities"] = _columns(rows, group, ["density"], where)[f"{group}/density"]
    arrays[f"{group}_highlighted"] = np.zeros(count, np.bool_)
    return arrays


def _joints(state: Mapping[str, Any], static: StaticParams, where: str) -> dict[str, np.ndarray]:
    rows = _rows(state, "joint", static.num_joints, where)
    arrays = _columns(rows, "joint", [f for f in JOINT_FIELDS if "index" not in f], where)
    bodies = static.num_polygons + static.num_circles
    for field in ("a_index", "b_index"):
        arrays[f"joint/{field}"] = _integers(rows, "joint", field, bodies, where)
    arrays["motor_bindings"] = _integers(
        rows, "joint", "motor_binding", static.num_motor_bindings, where
    )
    arrays["motor_auto"] = np.zeros(len(rows), np.bool_)
    return arrays


def _thrusters(state: Mapping[str, Any], static: StaticParams, where: str) -> dict[str, np.ndarray]:
    rows = _rows(state, "thruster", static.num_thrusters, where)
    arrays = _columns(rows, "thruster", [f for f in THRUSTER_FIELDS if "index" not in f], where)
    arrays["thruster/object_index"] = _integers(
        rows, "thruster", "object_index", static.num_polygons + static.num_circles, where
    )
    arrays["thruster_bindings"] = _integers(
        rows, "thruster", "thruster_binding", static.num_thruster_bindings, where
    )
    return arrays
