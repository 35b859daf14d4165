"""How the reference's files call levels, and how its trees become ours.

A level `worlds/l/grasp_easy.json` of the reference is `worlds_l_grasp_easy` in its file names.
The benchmark's levels have their bare name here; others keep their folder, as `l-mjc_hopper`, or
`c-toss_bin` of a fork's own folder `worlds/c`.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rtc.errors import ArtifactError, LevelError
from rtc.levels import Level, level_file, load_level
from rtc.physics.observation import observation_spec

PREFIX = "worlds_"


def reference_name(level_name: str) -> str:
    """`grasp_easy` -> `worlds_l_grasp_easy`, `l-mjc_hopper` -> `worlds_l_mjc_hopper`."""
    lettered = len(level_name) > 2 and level_name[0].isalpha() and level_name[1] == "-"
    return PREFIX + (level_name.replace("-", "_", 1) if lettered else f"l_{level_name}")


def exported_name(info: Mapping[str, Any], level_name: str) -> str:
    """What the reference calls the level of an artifact: as it came in, if it came from there."""
    name = info.get("reference_name", "")
    return name if name.startswith(PREFIX) else reference_name(level_name)


def load_reference_level(stem: str) -> Level:
    """The level that a file name of the reference stands for (`worlds_l_grasp_easy`).

    Raises LevelError if there is no such level here.
    """
    folder, _, name = stem.removeprefix(PREFIX).partition("_")
    own = name if folder == "l" else f"{folder}-{name}"
    for candidate in (own, f"{folder}/{name}"):
        with contextlib.suppress(LevelError):
            level_file(candidate)
            break
    else:
        raise LevelError(
            f"{stem}: no level of that name here; give its file with "
            f"--level {name or folder}=FILE, or lay it down as config/levels/{own}.yaml"
        )
    return load_level(candidate)


def observation_info(level: Level) -> dict[str, Any]:
    """Names, indices and constants of a level's observation, as our JSON files have them."""
    spec = observation_spec(level)
    return {
        "names": list(spec.names),
        "indices": np.asarray(spec.indices).tolist(),
        "constants": np.asarray(spec.constants, np.float64).tolist(),
    }


def flatten(tree: Mapping[Any, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """{"mlp_stack/0/adaln_1/kernel": array} from nested dicts; lists count as dicts by index."""
    flat: dict[str, np.ndarray] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, list | tuple):
            value = dict(enumerate(value))
        if isinstance(value, Mapping):
            flat |= flatten(value, name + "/")
        else:
            flat[name] = np.asarray(value)
    return flat


def unflatten(flat: Mapping[str, np.ndarray]) -> dict[Any, Any]:
    """Nested dicts from names; parts that are numbers become integer keys, as in the reference."""
    root: dict[Any, Any] = {}
    for name, value in flat.items():
        parts = [int(part) if part.isdigit() else part for part in name.split("/")]
        node = root
        for part in parts[:-1]:
            node = node.setdefault(part, {})
        node[parts[-1]] = np.asarray(value)
    return root


def need(flat: Mapping[str, np.ndarray], names: tuple[str, ...], path: Path, what: str) -> None:
    """Raises ArtifactError if `path` lacks an array that every such artifact has."""
    for name in names:
        if name not in flat:
            raise ArtifactError(f"{path}: not {what} of the reference: {name} is missing")
