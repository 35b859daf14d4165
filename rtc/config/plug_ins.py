"""Classes that a configuration names, from a registry or by import path, made with their options.

`rtc.config.method_options` reads the same options beforehand, from the source alone.
"""

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rtc.config.build import build
from rtc.errors import ConfigError, did_you_mean


def load_class(
    name: str, known: Mapping[str, type], offered: Sequence[str], noun: str, where: str
) -> type:
    """The class behind a registry name or an import path, "package.module:Class".

    known: the registry. offered: names that the class must have. noun: what it is, and the key
    that names it. where: path of the entry. Raises ConfigError with the nearest name.
    """
    if ":" not in name:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"{where}.{noun}: unknown {noun} {name!r}{hint}")
        return known[name]
    try:
        kind = import_class(*name.split(":", 1))
    except ConfigError as error:
        raise ConfigError(f"{where}.{noun}: {error}") from error
    if not dataclasses.is_dataclass(kind):
        raise ConfigError(f"{where}.{noun}: {name} must be a dataclass of its hyper-parameters")
    names = {field.name for field in dataclasses.fields(kind)}.union(*map(vars, kind.__mro__))
    missing = [part for part in offered if part not in names]
    if missing:
        raise ConfigError(f"{where}.{noun}: {name} lacks {', '.join(missing)}")
    return kind


def import_class(module_name: str, class_name: str) -> type:
    """A class of a module from the environment or, failing that, from the working directory.

    Raises ConfigError, with the nearest name.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # A module of somebody else may fail in any way.
        raise ConfigError(f"cannot import {module_name!r}: {error}") from error
    kind = getattr(module, class_name, None)
    if not inspect.isclass(kind):
        classes = [name for name, value in vars(module).items() if inspect.isclass(value)]
        raise ConfigError(
            f"no class {class_name!r} in {module_name}{did_you_mean(class_name, classes)}"
        )
    return kind


def make(kind: type, options: Mapping[str, Any], where: str) -> Any:
    """An instance with these options and its defaults for the rest. Raises ConfigError on an
    option that is unknown, missing or of the wrong type, and a value that the class refuses."""
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(kind)
        if field.default is not dataclasses.MISSING
    }
    try:
        return build(kind, defaults | dict(options), where)
    except ConfigError as error:
        message = str(error)
        raise ConfigError(message if message.startswith(where) else f"{where}.{message}") from None


def split_objective(section: str | Mapping[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """Name and options of a policy's objective: a name alone, or a mapping that has the name under
    `objective` and the options beside. where: path of the policy's entry, for messages."""
    options = {"objective": section} if isinstance(section, str) else dict(section)
    name = options.pop("objective", None)
    if not isinstance(name, str):
        raise ConfigError(
            f"{where}.objective.objective: expected the name of an objective, such as flow, or "
            f"package.module:Class"
        )
    return name, options
