"""Checked reading of values from a level file; every error names the file and the key.

`where` is the place of a value as a person would write it, for instance
`config/levels/catapult.yaml: bodies[2].position`.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from rtc.errors import LevelError, did_you_mean

LIMIT = 1e6  # no length, mass, power or coefficient of a scene of 5 m comes near it


def show(value: Any) -> str:
    """A value as it may stand in an error of one line: short, without line breaks."""
    if isinstance(value, int) and value.bit_length() > 256:
        return "a whole number of many digits"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def fail(where: str, expected: str, value: Any) -> LevelError:
    """The error for a value that is not what `where` needs."""
    return LevelError(f"{where}: expected {expected}, got {show(value)}")


def mapping(value: Any, where: str, keys: Iterable[str] | None = None) -> Mapping[str, Any]:
    """A mapping whose keys are all among `keys` (any text if None)."""
    if not isinstance(value, Mapping):
        raise fail(where, "a mapping of keys to values", value)
    options = None if keys is None else list(keys)
    for key in value:
        if not isinstance(key, str):
            raise fail(where, "keys that are text", key)
        if options is not None and key not in options:
            raise LevelError(f"{where}: unknown key {show(key)}{did_you_mean(key, options)}")
    return value


def sequence(value: Any, where: str, longest: int) -> list[Any]:
    """A list of at most `longest` entries."""
    if not isinstance(value, list | tuple):
        raise fail(where, "a list", value)
    if len(value) > longest:
        raise LevelError(f"{where}: expected at most {longest} entries, got {len(value)}")
    return list(value)


def require(section: Mapping[str, Any], key: str, where: str) -> Any:
    """The value of `key`, which must be there."""
    if key not in section:
        near = did_you_mean(key, section) if section else ""
        raise LevelError(f"{where}.{key}: missing{near}")
    return section[key]


def number(value: Any, where: str, low: float = -LIMIT, high: float = LIMIT) -> float:
    """A finite number within [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fail(where, "a number", value)
    if isinstance(value, float) and not math.isfinite(value):
        raise fail(where, "a finite number", value)
    if not low <= value <= high:
        raise fail(where, f"a number from {low:g} to {high:g}", value)
    return float(value)


def integer(value: Any, where: str, low: int, high: int) -> int:
    """A whole number within [low, high]; 2.0 counts as one, as JSON writers differ."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise fail(where, "a whole number", value)
    if not low <= value <= high:
        raise fail(where, f"a whole number from {low} to {high}", value)
    return int(value)


def boolean(value: Any, where: str) -> bool:
    """True or false, nothing that merely looks like it."""
    if not isinstance(value, bool):
        raise fail(where, "true or false", value)
    return value


def text(value: Any, where: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise fail(where, "text", value)
    return value


def choice(value: Any, where: str, options: Iterable[str]) -> str:
    """One of the given words."""
    options = list(options)
    if not isinstance(value, str):
        raise fail(where, f"one of {', '.join(options)}", value)
    if value not in options:
        raise LevelError(f"{where}: unknown value {show(value)}{did_you_mean(value, options)}")
    return value


def vector(
    value: Any, where: str, size: int, low: float = -LIMIT, high: float = LIMIT
) -> list[float]:
    """`size` finite numbers, as a list or as Kinetix writes arrays, {"0": x, "1": y}."""
    if isinstance(value, Mapping):
        value = [require(value, str(i), where) for i in range(len(value))]
    if not isinstance(value, list | tuple) or len(value) != size:
        raise fail(where, f"a list of {size} numbers", value)
    return [number(entry, f"{where}[{i}]", low, high) for i, entry in enumerate(value)]
