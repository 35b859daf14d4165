"""Axis letters and conventions, declared once, and held at the public boundary.

Axes of arrays, in shape strings such as `Float[Array, "b h a"]`:
  b  batch: environments or samples           h  action chunk (H = 8 steps)
  o  observation entries that vary            a  action dimension (6)
  f  full Kinetix observation (679)           n  flow steps of the sampler
  t  environment steps                        k  candidate samples of a method (BID)

Flow time runs from 0 (noise) to 1 (action): x_t = (1 - t) noise + t action, and the
velocity network estimates action - noise.
"""

import functools
import inspect
import operator
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import jaxtyping
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rtc.errors import ArgumentError, shown

__all__ = [
    "Array",
    "Bool",
    "Float",
    "Int",
    "Key",
    "Keys",
    "LogSink",
    "PRNGKeyArray",
    "PyTree",
    "checked",
]

Key = PRNGKeyArray
# One typed key for each row of a batch.
Keys = jaxtyping.Key[Array, "b"]
PyTree = Any
# A sink takes one flat record of numbers (a row of progress.csv); trackers are sinks too.
LogSink = Callable[[Mapping[str, Any]], None]

Function = TypeVar("Function", bound=Callable[..., Any])
Sizes = dict[Any, Any]  # axis -> length; of a variadic axis a tuple of lengths
MISSING = object()


def checked(**lengths: str) -> Callable[[Function], Function]:
    """A decorator that holds array arguments to their annotations whenever they are called or
    traced; it adds nothing to a compiled program.

    lengths: what is known of an axis beforehand, as an attribute of the first argument:
    `checked(o="obs_dim")`. Axes of the same letter have the same length in all arguments. numpy
    arrays are taken too; where the annotation also has `float`, `int` or None, so are these.
    Raises ArgumentError: name of the argument, what was expected, what was given.
    """
    known = {axis: operator.attrgetter(path) for axis, path in lengths.items()}
    return functools.partial(_with_checks, known=known)


def _with_checks(function: Function, known: Mapping[str, Callable[[Any], int]]) -> Function:
    parameters = list(inspect.signature(function).parameters.values())
    arguments = [a for i, p in enumerate(parameters) for a in _arguments(i, p)]
    first = parameters[0].name
    fixed = {n: n for a in arguments for form in a.forms for n in form.axes if type(n) is int}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        sizes = dict(fixed)
        if known and (args or first in kwargs):
            owner = args[0] if args else kwargs[first]
            for axis, length in known.items():
                sizes[axis] = length(owner)
        for argument in arguments:
            name, position = argument.parameter, argument.position
            value = args[position] if position < len(args) else kwargs.get(name, MISSING)
            if value is not MISSING:
                argument.check(value, sizes)
        return function(*args, **kwargs)

    call.checked_arguments = tuple(argument.name for argument in arguments)
    return call  # type: ignore[return-value]


@dataclass(frozen=True)
class _Form:
    """One annotation: kind ("float"), axes (letters, "*b", numbers, None for "..."), place of the
    variadic axis, names of the dtypes."""

    kind: str
    axes: tuple[str | int | None, ...]
    variadic: int | None
    dtypes: tuple[str, ...]

    def fits(self, shape: tuple[int, ...], dtype: Any, sizes: Sizes) -> bool:
        if not _same_kind(self.dtypes, dtype, not shape):
            return False
        place, extra = self.variadic, len(shape) - len(self.axes)
        if place is not None and extra >= -1:
            end = place + extra + 1
            shape = (*shape[:place], shape[place:end], *shape[end:])
        elif extra:
            return False
        for axis, length in zip(self.axes, shape):
            if axis is not None and sizes.setdefault(axis, length) != length:
                return False
        return True

    def describe(self, sizes: Sizes) -> str:
        if self.kind == "key":
            return "keys [b]" if "b" in self.axes else "a key such as jax.random.key(0)"
        shown: list[str] = []
        for place, axis in enumerate(self.axes):
            length = sizes.get(axis, axis)
            if place != self.variadic:
                shown.append(str(length))
            else:
                shown += map(str, length) if isinstance(length, tuple) else [axis or "..."]
        letters = " ".join(str(axis) for axis in self.axes if axis)
        replaced = any(axis in sizes for axis in self.axes if isinstance(axis, str))
        named = f" ({letters})" if replaced else ""
        return f"{self.kind} [{', '.join(shown)}]{named}"


@dataclass(frozen=True)
class _Argument:
    """An argument to be checked, or a field of one that is a NamedTuple."""

    parameter: str
    position: int
    field: str
    forms: tuple[_Form, ...]
    plain: tuple[type, ...]

    @property
    def name(self) -> str:
        return f"{self.parameter}.{self.field}" if self.field else self.parameter

    def check(self, value: Any, sizes: Sizes) -> None:
        value = getattr(value, self.field, value) if self.field else value
        shape = getattr(value, "shape", None)
        if isinstance(value, self.plain):
            return
        if shape is not None:
            for form in self.forms:
                if form.fits(shape, value.dtype, sizes):
                    return
        expected = " or ".join(dict.fromkeys(form.describe(sizes) for form in self.forms))
        given = f"{value.dtype} {list(shape)}" if shape is not None else shown(value)
        raise ArgumentError(f"{self.name}: expected {expected}, got {given}")


@functools.cache
def _same_kind(names: tuple[str, ...], dtype: Any, scalar: bool) -> bool:
    """Whether a dtype is among `names`; scalars may be whole numbers where floats are expected."""
    name = str(dtype)
    whole = scalar and "float32" in names and name.startswith(("int", "uint"))
    return name in names or whole or ("prng_key" in names and name.startswith("key<"))


def _arguments(position: int, parameter: inspect.Parameter) -> Iterator[_Argument]:
    """What is to be checked of a parameter; nothing where its annotation has no shapes."""
    annotation = parameter.annotation
    if hasattr(annotation, "_fields"):  # a NamedTuple
        fields = annotation.__annotations__
    else:
        fields = {"": annotation}
    for field, kind in fields.items():
        options = typing.get_args(kind) or (kind,)
        forms = dict.fromkeys(_form(option) for option in options if hasattr(option, "dim_str"))
        plain = [option for option in options if not hasattr(option, "dim_str")]
        if forms and all(option in (int, float, type(None)) for option in plain):
            whole = [int] if float in plain else []
            yield _Argument(parameter.name, position, field, tuple(forms), (*plain, *whole))


def _form(annotation: Any) -> _Form:
    words = annotation.dim_str.split()
    axes = [None if word == "..." else int(word) if word.isdigit() else word for word in words]
    variadic = next((i for i, word in enumerate(words) if word[0] in "*."), None)
    kind = annotation.__name__.split("[")[0].lower().replace("uint32", "key")
    return _Form(kind, tuple(axes), variadic, tuple(annotation.dtypes))
