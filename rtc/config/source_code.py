"""Modules and classes found in their source files, without importing them."""

import ast
import importlib.util
import pkgutil
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from rtc.errors import ConfigError, did_you_mean

COMPOUND = ast.If | ast.Try | ast.With | ast.For | ast.While


class Undecided(Exception):
    """The source alone does not say it."""


@dataclass(frozen=True, eq=False)
class Module:
    """A parsed file. package: what its relative imports start from."""

    name: str
    body: tuple[ast.stmt, ...]
    package: str


def locate(name: str) -> Module:
    """The module of that name, looked for as an import does and then in the working directory.

    Raises ConfigError if there is none, Undecided if it is no Python file.
    """
    places, full, spec = None, "", None
    for part in name.split("."):
        full = f"{full}.{part}" if full else part
        spec = _find(full, places)
        if spec is None:
            inside = pkgutil.iter_modules(places or [str(Path.cwd())])
            near = did_you_mean(part, [module.name for module in inside])
            raise ConfigError(f"cannot import {name!r}: no module {full!r}{near}")
        places = list(spec.submodule_search_locations or ["/nowhere"])
    if not str(spec.origin).endswith(".py"):
        raise Undecided
    return read(name, Path(spec.origin), spec.parent)


def read(name: str, path: Path, package: str) -> Module:
    """Parses a file. Raises ConfigError naming file and line if it is no Python."""
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except SyntaxError as error:
        raise ConfigError(f"{path}:{error.lineno}: not valid Python ({error.msg})") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    return Module(name, tuple(body), package)


def find_class(module: Module, name: str, depth: int = 0) -> tuple[Module, ast.ClassDef]:
    """Where a class that a module offers is written, imports followed.

    Raises ConfigError, naming the nearest, if there is none; Undecided if it is made otherwise.
    """
    found = _binding(module, name)
    if found is None:
        if any(isinstance(node, COMPOUND) for node in module.body) or depth > 20:
            raise Undecided
        classes = [node.name for node in module.body if isinstance(node, ast.ClassDef)]
        raise ConfigError(f"no class {name!r} in {module.name}{did_you_mean(name, classes)}")
    if isinstance(found, ast.ClassDef):
        return module, found
    if isinstance(found, ast.ImportFrom):
        original = next(a.name for a in found.names if name in (a.asname, a.name))
        return find_class(locate(absolute(module, found)), original, depth + 1)
    named = isinstance(found, ast.Assign) and isinstance(found.value, ast.Name | ast.Attribute)
    if named and (original_class := class_of(module, found.value)):
        return original_class
    raise Undecided


def class_of(module: Module, expression: ast.expr) -> tuple[Module, ast.ClassDef] | None:
    """The class that `Name` or `module.Name` stands for; None for one of the standard library.

    Raises Undecided if it is something else.
    """
    if isinstance(expression, ast.Name):
        found = _binding(module, expression.id)
        origin = absolute(module, found) if isinstance(found, ast.ImportFrom) else ""
        if expression.id == "object" or _is_standard(origin):
            return None
        if found is None:
            raise Undecided
        return find_class(module, expression.id)
    if isinstance(expression, ast.Attribute) and isinstance(expression.value, ast.Name):
        found = _binding(module, expression.value.id)
        if isinstance(found, ast.Import):
            alias = next(a for a in found.names if expression.value.id in (a.asname, a.name))
            return (
                None
                if _is_standard(alias.name)
                else find_class(locate(alias.name), expression.attr)
            )
        if isinstance(found, ast.ImportFrom):
            alias = next(a for a in found.names if expression.value.id in (a.asname, a.name))
            return find_class(locate(f"{absolute(module, found)}.{alias.name}"), expression.attr)
    raise Undecided


def assigned(module: Module, name: str) -> ast.expr:
    """The expression that a module assigns to a name. Raises ConfigError if there is none."""
    found = _binding(module, name)
    if not isinstance(found, ast.Assign | ast.AnnAssign) or found.value is None:
        raise ConfigError(f"{module.name}: no {name}")
    return found.value


def absolute(module: Module, node: ast.ImportFrom) -> str:
    """The full name of the module that `from ... import` names."""
    if not node.level:
        return node.module or ""
    parts = module.package.split(".")
    kept = parts[: len(parts) - (node.level - 1)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _binding(module: Module, name: str) -> ast.stmt | None:
    """The last statement of a module's top level that gives a name its value."""
    for node in reversed(module.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.asname or alias.name for alias in node.names]
            if "*" in names:
                raise Undecided
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names = [node.name]
        else:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        if name in names:
            return node
    return None


def _is_standard(module: str) -> bool:
    return module.split(".")[0] in (*sys.stdlib_module_names, "typing_extensions")


def _find(full: str, places: list[str] | None):
    """The spec of a module whose package lies in `places`; nothing is imported."""
    if places is not None:
        return PathFinder.find_spec(full, places)
    try:
        found = importlib.util.find_spec(full)
    except ValueError:  # a module made at run time has no spec
        raise Undecided from None
    return found or PathFinder.find_spec(full, [str(Path.cwd())])
