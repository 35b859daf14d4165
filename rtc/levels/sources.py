"""From a name or a path to a level: the benchmark's levels, Kinetix's own, the user's files."""

import importlib.util
import re
from functools import cache
from pathlib import Path

from rtc.errors import LevelError, did_you_mean
from rtc.levels.check import check_level
from rtc.levels.fields import show
from rtc.levels.kinetix_json import read_kinetix_json
from rtc.levels.level import Level
from rtc.levels.yaml_level import read_level_yaml

PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
PACKAGED_NAME = re.compile(r"([sml])[/-]([A-Za-z0-9_]{1,100})")
SUFFIXES = (".yaml", ".yml", ".json")


def load_level(name: str | Path) -> Level:
    """Loads a level.

    name: one of
      - the name of a file `config/levels/<name>.yaml`, looked for below the working directory
        first and then beside the installed package (`h17_unicycle`);
      - the path of a level that kinetix carries, by size (`l/mjc_hopper`, `m/h0_unicycle`);
        its safe name (`l-mjc_hopper`) is understood too;
      - the path of a YAML or Kinetix JSON file of one's own (`my/slope.yaml`).
    Raises LevelError naming the file, the key and what was expected.
    """
    return _read(level_file(name), safe_name(name))


def level_file(name: str | Path) -> Path:
    """The file a level's name stands for, found as `load_level` does. Raises LevelError."""
    text = str(name)
    if text.endswith(SUFFIXES):
        if not _exists(Path(text)):
            stem = Path(text).stem[:100]
            raise LevelError(
                f"{show(text)}: no such level file{did_you_mean(stem, available_levels())}"
            )
        return Path(text)
    packaged = PACKAGED_NAME.fullmatch(text)
    if packaged and (path := packaged_levels().get(f"{packaged[1]}/{packaged[2]}")):
        return path
    if PLAIN_NAME.fullmatch(text):
        for folder in level_folders():
            if (folder / f"{text}.yaml").is_file():
                return folder / f"{text}.yaml"
    raise LevelError(f"level {show(text)}: unknown{did_you_mean(text[:100], available_levels())}")


def available_levels() -> list[str]:
    """Every name `load_level` knows without a path: `config/levels` first, then kinetix's own."""
    own = {path.stem for folder in level_folders() for path in folder.glob("*.yaml")}
    return sorted(own) + sorted(packaged_levels())


def safe_name(name: str | Path) -> str:
    """How files and figures call a level: `l/mjc_hopper` becomes `l-mjc_hopper`, a path its stem.

    Raises LevelError if the stem has other characters than letters, digits, `_`, `-` and `.`.
    """
    text = str(name)
    if text.endswith(SUFFIXES):
        text = Path(text).stem
    elif PACKAGED_NAME.fullmatch(text):
        text = text.replace("/", "-")
    if not PLAIN_NAME.fullmatch(text):
        raise LevelError(
            f"level {show(str(name))}: expected a name of letters, digits, '_', '-' and '.', "
            f"a packaged level such as l/mjc_hopper, or a path to a .yaml or .json file"
        )
    return text


def level_folders() -> list[Path]:
    """Where named levels lie: below the working directory, then in the package's repository."""
    beside_package = Path(__file__).resolve().parents[2] / "config" / "levels"
    return [Path("config") / "levels", beside_package]


@cache
def packaged_levels() -> dict[str, Path]:
    """{"l/mjc_hopper": file, ...} of the installed kinetix package, which is not imported."""
    spec = importlib.util.find_spec("kinetix")
    if spec is None or not spec.submodule_search_locations:
        return {}
    root = Path(next(iter(spec.submodule_search_locations))) / "levels"
    return {f"{path.parent.name}/{path.stem}": path for path in root.glob("[sml]/*.json")}


def _read(path: Path, name: str) -> Level:
    if path.suffix == ".json":
        level = read_kinetix_json(path, name)
    else:
        level = read_level_yaml(path, name, _load_packaged)
    check_level(level, f"{path}")
    return level


def _load_packaged(name: str) -> Level:
    packaged = packaged_levels()
    if name not in packaged:
        raise LevelError(f"unknown packaged level {name[:100]!r}{did_you_mean(name, packaged)}")
    return read_kinetix_json(packaged[name], name)


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for the file system
        return False
