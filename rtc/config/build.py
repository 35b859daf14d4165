"""From a section of YAML to a frozen dataclass whose fields state type, range and meaning.

A field is `Annotated[float, Meta(ge=0, le=1, description="...")]`. Every value is held to it; a
number is finite; a field without a default has to be given. Every message is one line with the
key's path, what was expected and what was given.
"""

import dataclasses
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from rtc.config.text import from_text, short
from rtc.errors import ConfigError, did_you_mean

REQUIRED = object()


@dataclass(frozen=True)
class Option:
    """A key of a section. hint: its annotation; default: REQUIRED where it has to be given."""

    hint: Any
    default: Any = REQUIRED


def options_of(kind: type) -> dict[str, Option]:
    """The keys of a dataclass's section; `metadata={"key": ...}` renames a field."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {
        field.metadata.get("key", field.name): Option(hints[field.name], _default(field))
        for field in _fields(kind)
    }


def build(kind: type, section: Any, where: str) -> Any:
    """Builds the frozen dataclass `kind` from one section of the YAML.

    where: the section's path, for messages (`experts`, `policies.flow`).
    Raises ConfigError on an unknown key, a missing key or a value of the wrong type or range.
    """
    values = read_section(options_of(kind), section, where)
    fields = {field.metadata.get("key", field.name): field.name for field in _fields(kind)}
    return kind(**{fields[key]: value for key, value in values.items()})


def read_section(options: Mapping[str, Option], section: Any, where: str) -> dict[str, Any]:
    """The values of a section, converted and held to its options. Raises ConfigError."""
    if not isinstance(section, Mapping):
        raise ConfigError(f"{where or 'config'}: expected a mapping, got {_given(section)}")
    check_keys(section, options, where)
    for key, option in options.items():
        if key not in section and option.default is REQUIRED:
            own = where.startswith(("methods.", "heads.")) or where.endswith(".objective")
            shown = "" if own else "; config/config.yaml shows its default"
            raise ConfigError(
                f"{join(where, key)}: missing; expected {describe(option.hint)}{shown}"
            )
    return {
        key: convert(section[key], option.hint, join(where, key))
        for key, option in options.items()
        if key in section
    }


def check_keys(section: Mapping, known: Iterable[str], where: str) -> None:
    """Raises ConfigError, naming the nearest known key, on any other one."""
    for key in section:
        if key not in known:
            hint = did_you_mean(short(key), known)
            raise ConfigError(f"{join(where, _name(key))}: unknown key{hint}")


def convert(value: Any, hint: Any, where: str) -> Any:
    """`value` as `hint` wants it: text read as YAML where no text is wanted, whole numbers as
    numbers, lists as tuples. Raises ConfigError if it is of another type or out of range."""
    for option in _alternatives(hint):
        kind, bounds = _split(option)
        given = from_text(value, where) if not _takes_text(hint, value) else value
        if not _fits(given, kind):
            continue
        if dataclasses.is_dataclass(kind):
            given = build(kind, given, where)
        elif kind is float:
            given = _float(given, where)
        elif kind is Any:
            check_finite(given, where)
        elif typing.get_origin(kind) in (tuple, list):
            element = (typing.get_args(kind) or (Any,))[0]
            given = tuple(convert(v, element, f"{where}.{i}") for i, v in enumerate(given))
        elif _is_mapping(kind):
            given = _mapping(given, kind, where)
        if all(_within(given, bound) for bound in bounds):
            return given
    raise ConfigError(
        f"{where}: expected {describe(hint)}, got {_given(value)}{_near(value, hint)}"
    )


def describe(hint: Any) -> str:
    """What a hint takes, in words: "a whole number from 1 to 64", "one of auto, cpu, gpu"."""
    return " or ".join(_describe(option) for option in _alternatives(hint))


def meaning(hint: Any) -> str:
    """The description that stands beside a field, or nothing."""
    found = [m.description for m in getattr(hint, "__metadata__", ()) if isinstance(m, Meta)]
    return next((text for text in reversed(found) if text), "")


def check_finite(value: Any, where: str) -> None:
    """Raises ConfigError where a number, however deep in lists and mappings, is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: expected a finite number, got {value}")
    inner = value.items() if isinstance(value, Mapping) else ()
    inner = enumerate(value) if isinstance(value, list | tuple) else inner
    for key, entry in inner:
        check_finite(entry, join(where, _name(key)))


def join(where: str, key: Any) -> str:
    """The path of a key in a section."""
    return f"{where}.{key}" if where else f"{key}"


def _fields(kind: type) -> list[dataclasses.Field]:
    return [field for field in dataclasses.fields(kind) if field.init]


def _default(field: dataclasses.Field) -> Any:
    missing = dataclasses.MISSING
    made = REQUIRED if field.default_factory is missing else field.default_factory()
    return made if field.default is missing else field.default


def _split(hint: Any) -> tuple[Any, list[Meta]]:
    """The bare type of a hint and the ranges around it."""
    if typing.get_origin(hint) is not Annotated:
        return hint, []
    kind, *notes = typing.get_args(hint)
    kind, inner = _split(kind)
    return kind, inner + [note for note in notes if isinstance(note, Meta)]


def _alternatives(hint: Any) -> list[Any]:
    """The members of a union, each with the ranges that stand around the union."""
    kind, bounds = _split(hint)
    if typing.get_origin(kind) not in (types.UnionType, typing.Union):
        return [hint]
    members = [inner for member in typing.get_args(kind) for inner in _alternatives(member)]
    return [Annotated[member, *bounds] if bounds else member for member in members]


def _takes_text(hint: Any, value: Any) -> bool:
    if not isinstance(value, str):
        return True
    kinds = [_split(option)[0] for option in _alternatives(hint)]
    if value.lstrip()[:1] in ("{", "["):
        return all(kind is str for kind in kinds)
    literals = [text for kind in kinds for text in typing.get_args(kind) if isinstance(text, str)]
    return bool(literals) or str in kinds or Any in kinds


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a bare type, its range and what is in it aside."""
    if kind is Any:
        return True
    if kind in (None, type(None)):
        return value is None
    if typing.get_origin(kind) is Literal:
        return any(value == o and type(value) is type(o) for o in typing.get_args(kind))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if dataclasses.is_dataclass(kind) or _is_mapping(kind):
        return isinstance(value, Mapping)
    origin = typing.get_origin(kind) or kind
    if origin in (tuple, list):
        return isinstance(value, list | tuple)
    return isinstance(value, origin) if isinstance(origin, type) else True


def _float(value: int | float, where: str) -> float:
    check_finite(value, where)
    try:
        return float(value)
    except OverflowError:
        raise ConfigError(f"{where}: expected a finite number, got {short(value)}") from None


def _mapping(value: Mapping, kind: Any, where: str) -> dict[str, Any]:
    names, inner = typing.get_args(kind) or (Any, Any)
    bare = _split(names)[0]
    if typing.get_origin(bare) is Literal:
        section = {name: Option(inner) for name in typing.get_args(bare)}
        return read_section(section, value, where)
    for name in value:
        if not _fits(name, bare) or not all(_within(name, b) for b in _split(names)[1]):
            raise ConfigError(
                f"{join(where, _name(name))}: expected {describe(names)} as a name, "
                f"got {_given(name)}"
            )
    return {name: convert(v, inner, join(where, name)) for name, v in value.items()}


def _is_mapping(kind: Any) -> bool:
    origin = typing.get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _within(value: Any, bound: Meta) -> bool:
    if isinstance(value, int | float):
        return (
            (bound.ge is None or value >= bound.ge)
            and (bound.gt is None or value > bound.gt)
            and (bound.le is None or value <= bound.le)
            and (bound.lt is None or value < bound.lt)
            and (bound.multiple_of is None or value % bound.multiple_of == 0)
        )
    if isinstance(value, str | tuple | dict):
        return (
            (bound.min_length is None or len(value) >= bound.min_length)
            and (bound.max_length is None or len(value) <= bound.max_length)
            and (bound.pattern is None or re.search(bound.pattern, value) is not None)
        )
    return True


def _describe(hint: Any) -> str:
    kind, bounds = _split(hint)
    if kind in (None, type(None)):
        return "null"
    origin = typing.get_origin(kind) or kind
    if origin is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(kind)))
    if origin in (tuple, list):
        element = (typing.get_args(kind) or (Any,))[0]
        each = "" if element is Any else f", each {describe(element)}"
        return f"a list{_length(bounds, 'entries')}{each}"
    elif dataclasses.is_dataclass(kind) or _is_mapping(kind):
        words = "a mapping"
    else:
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
        words = names.get(
            kind, "see its meaning" if kind is Any else getattr(kind, "__name__", str(kind))
        )
    return words + "".join(map(_range, bounds)) + _length(bounds, "characters")


def _range(bound: Meta) -> str:
    text = ""
    if bound.ge is not None:
        text = f" of at least {bound.ge:,.12g}"
        if bound.le is not None:
            text = f" from {bound.ge:,.12g} to {bound.le:,.12g}"
    elif bound.le is not None:
        text = f" of at most {bound.le:,.12g}"
    if bound.gt is not None:
        text = f" above {bound.gt:,.12g}" + text.replace(" of ", ", ")
    if bound.lt is not None:
        text += f" below {bound.lt:,.12g}"
    if bound.multiple_of is not None:
        text += f", a multiple of {bound.multiple_of}"
    if bound.pattern is not None:
        text += f" of the form {bound.pattern}"
    return text


def _length(bounds: list[Meta], of: str) -> str:
    low = next((b.min_length for b in bounds if b.min_length is not None), 0)
    high = next((b.max_length for b in bounds if b.max_length is not None), None)
    if high is None:
        return f" of at least {low} {of}" if low else ""
    return f" of {low} to {high:,} {of}"


def _given(value: Any) -> str:
    return f"'{short(value)}'" if isinstance(value, str) else short(value)


def _name(key: Any) -> str:
    """A key in a path; in quotes where it would not be seen, or not be seen whole."""
    return key if key and key == "".join(short(key).split()) else _given(key)


def _near(value: Any, hint: Any) -> str:
    """What was probably meant."""
    if not isinstance(value, str):
        return ""
    kinds = [_split(option)[0] for option in _alternatives(hint)]
    literals = [str(text) for kind in kinds for text in typing.get_args(kind)]
    if literals and all(typing.get_origin(k) in (Literal, None) for k in kinds):
        hint = did_you_mean(value, literals)
        return hint if "did you mean" in hint else ""
    try:
        float(value)
    except ValueError:
        return ""
    return " (YAML reads 1e-3 as text; write 1.0e-3)" if {int, float} & set(kinds) else ""
