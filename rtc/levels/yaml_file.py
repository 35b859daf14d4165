"""YAML read so that no file can harm, hang or surprise: safe tags, no aliases, no duplicates."""

import re
from pathlib import Path
from typing import Any

import yaml

from rtc.errors import LevelError

LARGEST_FILE = 100_000  # bytes; the benchmark's levels have 1 to 4 kB


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader, less the parts that let a small file become a large one.

    Plain words are read as YAML 1.2 has them: `on` is text, `1e-3` a number, `1:30` no time.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012 (PyYAML's own way to set them)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(None, None, "aliases (*name) are not allowed", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.value.__hash__ and key_node.value in seen:
                problem = f"the key {str(key_node.value)[:40]!r} stands twice"
                raise yaml.MarkedYAMLError(None, None, problem, key_node.start_mark)
            seen.add(key_node.value if key_node.value.__hash__ else None)
        return super().construct_mapping(node, deep)


DIGITS = list("-+.0123456789")
for _kind, _pattern, _first in (
    ("bool", "true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", "[-+]?(0|[1-9][0-9]*)", DIGITS),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", DIGITS),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", DIGITS),
):
    _tag = f"tag:yaml.org,2002:{_kind}"
    _StrictLoader.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern})$"), _first)


def read_yaml(path: Path) -> Any:
    """The document in `path` as plain dicts, lists, numbers and text.

    Raises LevelError if the file cannot be read, is too large or is not plain YAML without
    aliases and duplicate keys.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise LevelError(f"{path}: larger than {LARGEST_FILE} bytes, no level needs that")
        return yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_StrictLoader)
    except OSError as error:
        raise LevelError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise LevelError(f"{path}: cannot be read (not UTF-8 text)") from error
    except RecursionError as error:
        raise LevelError(f"{path}: nested too deeply for a level") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise LevelError(f"{path}: not valid YAML{line}: {problem[:200]}") from error
    except ValueError as error:  # a date such as 2001-99-99, a number of 5000 digits
        raise LevelError(f"{path}: a value cannot be read: {str(error)[:100]}") from error
