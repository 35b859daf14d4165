"""Configuration as text: YAML files laid over one another, values given on the command line.

What a few lines can stand for is bounded here, before anything walks through it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rtc.errors import ConfigError

MOST_ENTRIES = 300_000
DEEPEST = 20
LONGEST_MESSAGE = 600

# ValueError: a date such as 2001-99-99, a number of 5000 digits; RecursionError: "[[[[...".
UNREADABLE = (OSError, ValueError, RecursionError, yaml.YAMLError)


def read_files(paths: Sequence[Path]) -> dict[str, Any]:
    """The files as one mapping, later ones over earlier ones as Snakemake lays them.

    Raises ConfigError naming the file that is not readable YAML or no mapping.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except UNREADABLE as error:
            raise ConfigError(one_line(f"{path}: not a readable YAML file ({error})")) from error
        if not isinstance(content, Mapping):
            raise ConfigError(f"{path}: expected a mapping of sections")
        if odd := [key for key in content if not isinstance(key, str)]:
            raise ConfigError(one_line(f"{path}: expected the name of a section, got {odd[0]!r}"))
        check_size(content)
        merged = lay_over(merged, content)
    return merged


def from_text(value: Any, where: str) -> Any:
    """`snakemake --config experts={seeds: 3}` delivers text: the YAML that it is.

    where: the key's path, for messages.
    """
    if not isinstance(value, str):
        return value
    try:
        value = yaml.safe_load(value)
    except UNREADABLE as error:
        raise ConfigError(one_line(f"{where}: not valid YAML: {value!r}")) from error
    check_size(value)
    return value


def check_size(document: Any) -> None:
    """Refuses what no run needs: a few lines of YAML aliases can stand for billions of entries."""
    waiting, entries = [(document, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        entries += 1
        if entries > MOST_ENTRIES or depth > DEEPEST:
            raise ConfigError(
                f"config: more than {MOST_ENTRIES} entries, or nested more than {DEEPEST} deep; "
                f"an alias (*name) that repeats itself?"
            )
        if isinstance(value, Mapping):
            waiting.extend((inner, depth + 1) for inner in value.values())
        elif isinstance(value, list | tuple | set):
            waiting.extend((inner, depth + 1) for inner in value)


def short(value: Any) -> str:
    """A value as messages show it, without quotes around text, on one line; blanks stay."""
    try:
        text = repr(value)[1:-1] if isinstance(value, str) else " ".join(repr(value).split())
    except ValueError:
        # Python refuses to write out enormous integers.
        text = "an enormous number"
    return text if len(text) <= 80 else text[:77] + "..."


def one_line(text: str) -> str:
    """A message without line breaks, its middle left out where a value makes it too long."""
    text = " ".join(text.split())
    if len(text) <= LONGEST_MESSAGE:
        return text
    return f"{text[: LONGEST_MESSAGE - 200]} ... {text[-190:]}"


def lay_over(base: Mapping[Any, Any], over: Mapping[Any, Any]) -> dict[Any, Any]:
    """`base` with `over` laid over it as Snakemake does: mappings key by key, the rest whole."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            value = lay_over(merged[key], value)
        merged[key] = value
    return merged
