"""Methods by name, and from a config entry to a method."""

import dataclasses
import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

from rtc.config.sections import MethodConfig, build
from rtc.errors import ArgumentError, ConfigError, did_you_mean, shown
from rtc.methods.bid import Bid
from rtc.methods.blend import Blend
from rtc.methods.diffuser_overwrite import DiffuserOverwrite
from rtc.methods.interface import Method
from rtc.methods.naive import Naive
from rtc.methods.paint import Paint
from rtc.methods.realtime import Realtime
from rtc.methods.te import TemporalEnsemble
from rtc.methods.ttrtc import TrainingTimeRealtime

METHODS: dict[str, type] = {
    "naive": Naive,
    "realtime": Realtime,
    "bid": Bid,
    "te": TemporalEnsemble,
    "ttrtc": TrainingTimeRealtime,
    "diffuser_overwrite": DiffuserOverwrite,
    "paint": Paint,
    "blend": Blend,
}

OFFERED = ("samples", "keeps_prefix", "init", "network_evaluations", "__call__")


def make_method(config: MethodConfig, label: str | None = None) -> Method:
    """The method of one config entry, with its options as hyper-parameters.

    config.method: a key of METHODS, or "package.module:Class" for one of your own.
    label: key of the entry under `methods`, for messages.
    Raises ConfigError on an unknown method, an option that is unknown, missing or of the wrong
    type, and a value that the method refuses.
    """
    if not isinstance(config, MethodConfig):
        example = "MethodConfig(method='naive', policy='flow', options={})"
        raise ArgumentError(f"config: expected one such as {example}, got {shown(config)}")
    where = f"methods.{label or config.method}"
    kind = method_class(config.method, where)
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(kind)
        if field.default is not dataclasses.MISSING
    }
    try:
        return build(kind, defaults | dict(config.options), where)
    except ConfigError as error:
        message = str(error)
        raise ConfigError(message if message.startswith(where) else f"{where}.{message}") from None


def method_class(name: str, where: str = "methods") -> type:
    """The class behind a registry name or an import path. Raises ConfigError with the nearest."""
    if ":" not in name:
        if name not in METHODS:
            hint = did_you_mean(name, METHODS)
            raise ConfigError(f"{where}.method: unknown method {name!r}{hint}")
        return METHODS[name]
    module_name, class_name = name.split(":", 1)
    module = _import(module_name, f"{where}.method")
    kind = getattr(module, class_name, None)
    if not inspect.isclass(kind):
        classes = [n for n, value in vars(module).items() if inspect.isclass(value)]
        hint = did_you_mean(class_name, classes)
        raise ConfigError(f"{where}.method: no class {class_name!r} in {module_name}{hint}")
    if not dataclasses.is_dataclass(kind):
        raise ConfigError(f"{where}.method: {name} must be a dataclass of its hyper-parameters")
    offered = {field.name for field in dataclasses.fields(kind)}.union(*map(vars, kind.__mro__))
    missing = [part for part in OFFERED if part not in offered]
    if missing:
        raise ConfigError(f"{where}.method: {name} lacks {', '.join(missing)}")
    return kind


def _import(name: str, where: str) -> Any:
    """Imports a module from the environment or, failing that, from the working directory."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"{where}: cannot import {name!r}: {error}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {name!r} is no module name: {error}") from error
