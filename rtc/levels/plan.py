"""A configuration together with the files it names: levels, and policies trained elsewhere.

What the Snakefile and `rtc check` both do first, so that they refuse the same in the same words.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rtc.config.checks import trained_delay
from rtc.config.run import Artifact, FindArtifact, RunConfig, load_run_config
from rtc.config.sections import ImportedPolicy
from rtc.errors import ConfigError
from rtc.levels.sources import level_file, safe_name
from rtc.storage.pretrained import find_source


class Plan(NamedTuple):
    """levels: file name of each level -> the name or path that the user gave. files: file name of
    each level -> where it is read from."""

    run: RunConfig
    levels: dict[str, str]
    files: dict[str, Path]


def plan_run(config: Mapping[str, Any], find: FindArtifact | None = None) -> Plan:
    """Checks a merged configuration and finds the files it names.

    find: says what is known of imported policies; None is `find_artifact`.
    Raises ConfigError or LevelError: one line that names the key or the file.
    """
    run = load_run_config(config, find or find_artifact)
    levels: dict[str, str] = {}
    for level in run.levels:
        name = safe_name(level)
        if name in levels:
            raise ConfigError(
                f"levels: {levels[name]!r} and {level!r} share the file name {name!r}; "
                f"rename a file"
            )
        levels[name] = level
    files = {name: level_file(level) for name, level in levels.items()}
    for path in files.values():
        if set("{}") & set(str(path)):
            raise ConfigError(f"{path}: {{ and }} are patterns to Snakemake; rename it")
    return Plan(run, levels, files)


def find_artifact(name: str, policy: ImportedPolicy, levels: Sequence[str]) -> Artifact | None:
    """What the `policy.json` of an imported policy says: at its source, or as it was imported.

    None if no level has one; pickles of the reference say it when they are imported.
    """
    for level in map(safe_name, levels):
        source = find_source(policy.source.replace("{level}", level))
        imported = Path("results/policies", level, name, "seed_0")
        for path in (source / "policy.json", imported / "policy.json"):
            if path.is_file():
                return _read(path)
    return None


def _read(path: Path) -> Artifact | None:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        trained = trained_delay(info.get("config") or {})
        epochs = tuple(map(int, info.get("kept_epochs") or ()))
        return Artifact(path, int(info["model"]["action_chunk_size"]), trained, epochs)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # The job that reads it says what is wrong with it.
