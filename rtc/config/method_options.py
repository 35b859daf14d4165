"""The options of a method, an objective or a head, read from the source of its dataclass.

A method's fields are its options, and its file is the only place that names them. That file
imports jax, which takes seconds, and the workflow reads its configuration in each of its jobs. So
the source is parsed: the registry, the class and its bases, through imports. What the source alone
does not say (a class made by a call, an unknown decorator) is imported after all.
"""

import ast
import contextlib
import dataclasses
import importlib
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from rtc.config.build import REQUIRED, Option, options_of
from rtc.config.plug_ins import import_class
from rtc.config.source_code import (
    Module,
    Undecided,
    assigned,
    class_of,
    find_class,
    locate,
    read,
)
from rtc.config.text import one_line, short
from rtc.errors import ConfigError, did_you_mean

# What a class is, which is the key that names it -> its registry, and the table in there.
REGISTRIES = {
    "method": ("rtc.methods.registry", "METHODS"),
    "objective": ("rtc.training.objectives.registry", "OBJECTIVES"),
    "head": ("rtc.flow.heads.registry", "HEADS"),
}
# What annotations may name; any other one is taken as any type.
KNOWN_MODULES = ("typing", "typing_extensions", "msgspec", "collections.abc")
BUILTINS = {kind.__name__: kind for kind in (bool, int, float, str, tuple, list, dict)}
HARMLESS = ("final", "runtime_checkable", "total_ordering")


class Surface(NamedTuple):
    """What a class shows: its options, all names that it or its bases define, whether it is a
    dataclass, and which keys its entry must have."""

    options: dict[str, Option]
    names: set[str]
    is_dataclass: bool
    needs: tuple[str, ...] = ()


@cache
def built_in(noun: str) -> Mapping[str, Surface]:
    """The built-in classes by name, as the registry lists them. noun: a key of REGISTRIES."""
    module = _registry(noun)
    entries = assigned(module, REGISTRIES[noun][1])
    return {
        key.value: _surface(*class_of(module, value))
        for key, value in zip(entries.keys, entries.values)
    }


def class_surface(noun: str, name: str, where: str) -> Surface:
    """What a built-in method, objective or head shows, or `package.module:Class`.

    noun: which of the three. where: the entry's path, for messages. Raises ConfigError if there
    is no such class.
    """
    try:
        if ":" in name:
            return _imported(noun, name)
        known = built_in(noun)
        if name not in known:
            raise ConfigError(f"unknown {noun} {short(name)!r}{did_you_mean(name, known)}")
        return known[name]
    except ConfigError as error:
        raise ConfigError(one_line(f"{where}.{noun}: {error}")) from None


def _imported(noun: str, name: str) -> Surface:
    module, _, kind = name.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), kind]):
        raise ConfigError(f"{short(name)!r} is no import path such as package.module:Class")
    try:
        surface = _surface(*find_class(locate(module), kind))
    except Undecided:
        surface = _from_import(module, kind)
    if not surface.is_dataclass:
        raise ConfigError(f"{name} must be a dataclass of its hyper-parameters")
    offered = ast.literal_eval(assigned(_registry(noun), "OFFERED"))
    if missing := [part for part in offered if part not in surface.names]:
        raise ConfigError(f"{name} lacks {', '.join(missing)}")
    return surface


def _registry(noun: str) -> Module:
    module = REGISTRIES[noun][0]
    path = Path(__file__).parents[2].joinpath(*module.split(".")).with_suffix(".py")
    return read(module, path, module.rpartition(".")[0])


def _from_import(module_name: str, class_name: str) -> Surface:
    kind = import_class(module_name, class_name)
    names = set().union(*map(vars, kind.__mro__))
    if not dataclasses.is_dataclass(kind):
        return Surface({}, names, False)
    options = options_of(kind)
    return Surface(options, names | set(options), True, getattr(kind, "needs", ()))


def _surface(module: Module, node: ast.ClassDef, depth: int = 0) -> Surface:
    """The surface of a class as its source states it. Raises Undecided where it does not."""
    if depth > 20:
        raise Undecided
    surface = Surface({}, set(), _is_dataclass(node))
    for base in reversed(node.bases):
        found = class_of(module, base.value if isinstance(base, ast.Subscript) else base)
        if found is None:
            continue
        inherited = _surface(*found, depth + 1)
        surface = Surface(
            surface.options | inherited.options,
            surface.names | inherited.names,
            surface.is_dataclass or inherited.is_dataclass,
            surface.needs + inherited.needs,
        )
    for statement in node.body:
        surface.names.update(_names(statement))
        if "needs" in _names(statement) and (value := getattr(statement, "value", None)):
            with contextlib.suppress(ValueError):
                surface = surface._replace(needs=tuple(ast.literal_eval(value)))
        if _is_dataclass(node) and isinstance(statement, ast.AnnAssign):
            surface.options.update(_option(module, statement))
    return surface


def _is_dataclass(node: ast.ClassDef) -> bool:
    found = False
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = ast.unparse(called).split(".")[-1]
        if name != "dataclass" and name not in HARMLESS:
            raise Undecided
        found = found or name == "dataclass"
    return found


def _names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _option(module: Module, statement: ast.AnnAssign) -> dict[str, Option]:
    hint, default = _hint(module, statement.annotation), REQUIRED
    text = ast.unparse(statement.annotation)
    if hint is ClassVar or typing.get_origin(hint) is ClassVar or "ClassVar" in text:
        return {}
    if "KW_ONLY" in text:
        return {}
    if "InitVar" in text or not isinstance(statement.target, ast.Name):
        raise Undecided
    value = statement.value
    if isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] == "field":
        given = {keyword.arg: keyword.value for keyword in value.keywords}
        if "init" in given and ast.unparse(given["init"]) == "False":
            return {}
        value = given.get("default", given.get("default_factory"))
    if value is not None:
        try:
            default = ast.literal_eval(value)
        except ValueError:
            default = ast.unparse(value)
    return {statement.target.id: Option(hint, default)}


def _hint(module: Module, annotation: ast.expr) -> Any:
    """An annotation as a type, where `typing` and `msgspec` are enough to evaluate it."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        text = annotation.value
    else:
        text = ast.unparse(annotation)
    try:
        return eval(text, _namespace(module))
    except Exception:  # Whatever is wrong with it: it is taken as any type.
        return Any


@cache
def _namespace(module: Module) -> dict[str, Any]:
    """What annotations of a module may name, under the names that the module gives them."""
    names: dict[str, Any] = {"__builtins__": {}, **BUILTINS}
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and node.module in KNOWN_MODULES and not node.level:
            source = importlib.import_module(node.module)
            names |= {a.asname or a.name: getattr(source, a.name, Any) for a in node.names}
        elif isinstance(node, ast.Import):
            known = [alias for alias in node.names if alias.name in KNOWN_MODULES]
            names |= {a.asname or a.name: importlib.import_module(a.name) for a in known}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
            # An alias, such as Schedule = Literal["exp", "linear"].
            with contextlib.suppress(Exception):
                value = eval(ast.unparse(node.value), dict(names))
                names |= dict.fromkeys(_names(node), value)
    return names
