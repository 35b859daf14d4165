"""Writes workflow/schemas/config.schema.yaml and the tables of config/README.md from the fields.

    python -m rtc.config.write

Ranges and meanings stand in `rtc.config.sections` and in the methods' own files, defaults in
config/config.yaml. The schema is for editors; a run is checked by the dataclasses themselves.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict, get_args

import msgspec
import yaml
from msgspec import Meta

from rtc.config.build import REQUIRED, Option, describe, meaning, options_of
from rtc.config.method_options import built_in
from rtc.config.sections import (
    Configuration,
    HeadConfig,
    ImportedPolicy,
    MethodConfig,
    PolicyConfig,
    Stage,
    StageResources,
)

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
README = ROOT / "config/README.md"
BEGIN, END = "<!-- keys: python -m rtc.config.write -->\n", "<!-- end of keys -->\n"


def main() -> None:
    """Writes both files."""
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    README.write_text(readme_text(README.read_text(encoding="utf-8")), encoding="utf-8")


def schema_text() -> str:
    """The JSON schema of a whole configuration, as YAML."""
    import_path = Annotated[str, Meta(pattern=":", description="package.module:Class")]
    methods = [
        _entry(name, MethodConfig, "method", Literal[name], surface.options)
        for name, surface in built_in("method").items()
    ]
    methods.append(_entry("import_path", MethodConfig, "method", import_path, {}))
    heads = [
        _entry(f"head_{name}", HeadConfig, "head", Literal[name], surface.options)
        for name, surface in built_in("head").items()
    ]
    heads.append(_entry("head_import_path", HeadConfig, "head", import_path, {}))
    later = {key: Option(o.hint, None) for key, o in options_of(PolicyConfig).items()}
    policies = [_kind("later_policy", later), _kind("imported", options_of(ImportedPolicy))]
    kinds = [Configuration, *policies, *methods, *heads]
    _, parts = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    for name, part in parts.items():
        part.pop("title", None)
        if part.get("type") == "object":
            part["additionalProperties"] = name.endswith("import_path")
    body = parts.pop("Configuration")
    _entries(body["properties"]["policies"], policies)
    _entries(body["properties"]["methods"], methods)
    _entries(body["properties"]["heads"], heads, at_least=0)
    _stages(body["properties"]["resources"])
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of a run",
    }
    text = yaml.safe_dump(_plain(head | body | {"$defs": parts}), sort_keys=False, width=100)
    return "# Written by `python -m rtc.config.write` from rtc/config/sections.py.\n" + text


def readme_text(text: str) -> str:
    """config/README.md with its tables of keys as they follow from the fields."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + _tables() + END + rest.split(END)[1]


def _kind(name: str, options: Mapping[str, Option]) -> type:
    keys = {k: o.hint if o.default is REQUIRED else NotRequired[o.hint] for k, o in options.items()}
    return TypedDict(name, keys)


def _entry(name: str, kind: type, noun: str, choice: Any, options: Mapping[str, Option]) -> type:
    """An entry whose key `noun` takes `choice`, which has these options."""
    keys = {key: o for key, o in options_of(kind).items() if key not in (noun, "options")}
    return _kind(name, {noun: Option(choice)} | keys | options)


def _entries(section: dict[str, Any], kinds: list[type], at_least: int = 1) -> None:
    references = [{"$ref": f"#/$defs/{kind.__name__}"} for kind in kinds]
    section["additionalProperties"] = {"anyOf": [*references, {"type": "null"}]}
    section["minProperties"] = at_least


def _stages(section: dict[str, Any]) -> None:
    stages = list(get_args(Stage))
    section["propertyNames"], section["required"] = {"enum": stages}, stages


def _plain(value: Any) -> Any:
    """Without defaults that only say that a key may be left out, and without shared parts."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k != "default"}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _tables() -> str:
    values = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    options = options_of(Configuration)
    entries = {"policies": PolicyConfig, "methods": MethodConfig, "heads": HeadConfig}
    entries |= {"resources": StageResources}
    kinds = {key: entries.get(key, option.hint) for key, option in options.items()}
    sections = {key: kind for key, kind in kinds.items() if dataclasses.is_dataclass(kind)}
    lines = _table({key: o for key, o in options.items() if key not in sections}, values)
    for name, kind in sections.items():
        lines += ["", f"### {name}", "", " ".join((kind.__doc__ or "").split()), ""]
        shown = next(iter(values[name].values()), {}) if name in entries else values[name]
        if name in ("methods", "heads"):
            keys = {k: o for k, o in options_of(kind).items() if k != "options"}
            lines += _table(keys | _built_in_options(name.removesuffix("s")), {})
        elif kind is PolicyConfig:
            lines += _table(options_of(kind) | _built_in_options("objective", "objective."), shown)
        else:
            lines += _table(options_of(kind), shown)
    return "\n".join(["", *lines, "", ""])


def _built_in_options(noun: str, before: str = "") -> dict[str, Option]:
    return {
        f"{before}{key} ({name})": option
        for name, surface in built_in(noun).items()
        for key, option in surface.options.items()
    }


def _table(options: Mapping[str, Option], values: Mapping[str, Any]) -> list[str]:
    lines = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for key, option in options.items():
        value = values.get(key, option.default)
        default = "" if value is REQUIRED or isinstance(value, dict) else f"`{_yaml(value)}`"
        lines.append(f"| `{key}` | {describe(option.hint)} | {default} | {meaning(option.hint)} |")
    return lines


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()


if __name__ == "__main__":
    main()
