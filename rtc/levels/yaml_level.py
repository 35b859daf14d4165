"""Levels in this project's YAML form: a packaged level with named changes, or a whole scene."""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rtc.errors import LevelError
from rtc.levels import fields
from rtc.levels.bodies import REACH, add_bodies, set_body
from rtc.levels.level import Level
from rtc.levels.links import add_joints, add_thrusters, set_joint, set_thruster
from rtc.levels.scene import SIZES, Scene, empty_scene
from rtc.levels.yaml_file import read_yaml

logger = logging.getLogger("rtc")

LEVEL_KEYS = (
    *("description", "base", "size", "gravity", "walls", "changes", "bodies", "joints"),
    *("thrusters", "frame_skip", "params"),
)


def read_level_yaml(path: Path, name: str, load_base: Callable[[str], Level]) -> Level:
    """Reads a level file; docs/add-a-level.md describes every key.

    load_base: returns the level that `base:` names: a packaged one (`l/h17_unicycle`), a JSON
        file beside this one (`slope.json`).
    Raises LevelError with the file, the key and what was expected.
    """
    keys = fields.mapping(read_yaml(path), f"{path}", LEVEL_KEYS)
    fields.text(keys.get("description", ""), f"{path}: description")
    scene = _start(keys, path, load_base)
    _set_world(scene, keys, path)
    for slot, change in fields.mapping(keys.get("changes", {}), f"{path}: changes").items():
        _change(scene, slot, change, f"{path}: changes")
    add_bodies(scene, keys.get("bodies", {}), f"{path}: bodies")
    add_joints(scene, keys.get("joints", []), f"{path}: joints")
    add_thrusters(scene, keys.get("thrusters", []), f"{path}: thrusters")
    return scene.level(name)


def _start(keys: Mapping[str, Any], path: Path, load_base: Callable[[str], Level]) -> Scene:
    if "base" in keys and "size" in keys:
        raise LevelError(f"{path}: expected either base or size; a base brings its own size")
    if "base" in keys:
        base = fields.text(keys["base"], f"{path}: base")
        try:
            return Scene.of(load_base(base))
        except LevelError as error:
            raise LevelError(f"{path}: base: {error}") from error
    size = fields.choice(keys.get("size", "l"), f"{path}: size", SIZES)
    if not keys.get("bodies"):
        raise LevelError(
            f"{path}: expected base (a packaged level, a JSON file) or bodies (a whole scene)"
        )
    return empty_scene(size)


def _set_world(scene: Scene, keys: Mapping[str, Any], path: Path) -> None:
    if "gravity" in keys:
        gravity = fields.vector(keys["gravity"], f"{path}: gravity", 2, -100.0, 100.0)
        scene.arrays["gravity"][:] = gravity
    walls = fields.mapping(keys.get("walls", {}), f"{path}: walls", ("left", "right"))
    vertices = scene.arrays["polygon/vertices"]
    if "left" in walls:  # vertices 1 and 2 of polygon 1 are its inner face
        vertices[1, 1:3, 0] = fields.number(walls["left"], f"{path}: walls.left", -4.9, REACH)
    if "right" in walls:  # vertices 0 and 3 of polygon 2 are its inner face
        vertices[2, [0, 3], 0] = fields.number(walls["right"], f"{path}: walls.right", 0.1, 9.9)
    if "frame_skip" in keys:
        skip = fields.integer(keys["frame_skip"], f"{path}: frame_skip", 1, 100)
        scene.static = dataclasses.replace(scene.static, frame_skip=skip)
    names = [field.name for field in dataclasses.fields(scene.params)]
    changes = {}
    for key, value in fields.mapping(keys.get("params", {}), f"{path}: params", names).items():
        place = f"{path}: params.{key}"
        if key == "max_timesteps":
            changes[key] = fields.integer(value, place, 1, 100_000)
        else:
            changes[key] = fields.number(value, place, 1e-6 if key == "dt" else 0.0)
    scene.params = dataclasses.replace(scene.params, **changes)
    if "frame_skip" in keys or "max_timesteps" in changes:
        steps, skip = scene.params.max_timesteps, scene.static.frame_skip
        logger.info(f"{path}: an episode has {steps} steps of {skip} substeps, as this file says")


def _change(scene: Scene, slot: str, change: Any, where: str) -> None:
    place = f"{where}.{slot[:40]}"
    found = scene.slot(slot, place)
    if found and found[0] == "joint":
        set_joint(scene, found[1], change, place)
    elif found and found[0] == "thruster":
        set_thruster(scene, found[1], change, place)
    else:
        set_body(scene, scene.body(slot, where), change, place)
