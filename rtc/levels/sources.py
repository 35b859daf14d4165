"""From a name or a path to a level: the benchmark's levels, Kinetix's own, the user's files."""

import importlib.util
import itertools
import logging
import re
import unicodedata
from functools import cache
from pathlib import Path

from rtc.errors import LevelError, did_you_mean
from rtc.levels.check import check_level
from rtc.levels.fields import show
from rtc.levels.kinetix_json import read_kinetix_json
from rtc.levels.level import Level
from rtc.levels.task import check_task, task_problem
from rtc.levels.yaml_file import read_yaml
from rtc.levels.yaml_level import read_level_yaml

logger = logging.getLogger("rtc")

PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
PACKAGED_NAME = re.compile(r"([sml])[/-]([A-Za-z0-9_]{1,100})")
SUFFIXES = (".yaml", ".yml", ".json")  # or in capitals


def load_level(name: str | Path, *, solvable: bool = False) -> Level:
    """Loads a level.

    name: one of
      - the name of a file `config/levels/<name>.yaml`, looked for below the working directory
        first and then beside the installed package (`h17_unicycle`);
      - the path of a level that kinetix carries, by size (`l/mjc_hopper`, `m/h0_unicycle`);
        its safe name (`l-mjc_hopper`) is understood too;
      - the path of a YAML or Kinetix JSON file of one's own (`my/slope.yaml`).
    solvable: refuse a level in which no goal can be reached or nothing be acted with; else the
        log warns of it.
    Raises LevelError naming the file, the key and what was expected.
    """
    path, safe = level_file(name), safe_name(name)
    level = _read(path, safe)
    if solvable:
        check_task(level, f"{path}")
    elif problem := task_problem(level):
        logger.warning(f"{path}: {problem}")
    if _is_file_name(str(name)) and safe != path.stem:
        logger.info(f"{show(path.name)} is called {safe}: files and figures take plain letters")
    return level


def level_file(name: str | Path) -> Path:
    """The file a level's name stands for, found as `load_level` does. Raises LevelError."""
    text = str(name)
    if not text.isprintable():
        raise LevelError(f"level {show(text)}: a character that cannot be printed; rename it")
    if _is_file_name(text):
        if not _exists(Path(text)):
            where = "" if Path(text).is_absolute() else f" in {Path.cwd()}"
            near = did_you_mean(Path(text).stem[:100], available_levels())
            raise LevelError(f"{show(text)}: no such level file{where}{near}")
        return Path(text)
    packaged = PACKAGED_NAME.fullmatch(text)
    if packaged and (path := packaged_levels().get(f"{packaged[1]}/{packaged[2]}")):
        return path
    if "/" not in text:
        for folder, suffix in itertools.product(level_folders(), SUFFIXES):
            if _exists(folder / f"{text}{suffix}"):
                return folder / f"{text}{suffix}"
    raise LevelError(f"level {show(text)}: unknown{did_you_mean(text[:100], available_levels())}")


def level_inputs(path: Path) -> list[Path]:
    """The file of a level and, of a YAML that has a JSON of one's own as its base, that one."""
    if path.name.lower().endswith(".json"):
        return [path]
    try:
        # Most have none; reading all YAML strictly would take seconds at a thousand levels.
        if not re.search(r"\bbase\b.*\.json", path.read_text("utf-8"), re.I):
            return [path]
        base = path.parent / read_yaml(path)["base"]
        return [path, base] if base.suffix.lower() == ".json" and _exists(base) else [path]
    except (OSError, UnicodeDecodeError, LevelError, TypeError, KeyError):
        return [path]  # The job that reads it says what is wrong with it.


def available_levels() -> list[str]:
    """Every name `load_level` knows without a path: `config/levels` first, then kinetix's own."""
    files = (path for folder in level_folders() for path in folder.glob("*"))
    own = {path.stem for path in files if path.suffix in SUFFIXES}
    return sorted(own) + sorted(packaged_levels())


def safe_name(name: str | Path) -> str:
    """How files and figures call a level: `l/mjc_hopper` becomes `l-mjc_hopper`, a path its stem.

    What is no letter, digit, `_`, `-` or `.` is left out: `my/drone (1).json` is `drone_1`.
    Raises LevelError if nothing is left, or for a path that is no level file.
    """
    text = str(name)
    if _is_file_name(text):
        text = Path(text).stem
    elif PACKAGED_NAME.fullmatch(text):
        text = text.replace("/", "-")
    if PLAIN_NAME.fullmatch(text):
        return text
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9.-]+", "_", letters).strip("_.-")[:100]
    if "/" in text or not PLAIN_NAME.fullmatch(plain):
        raise LevelError(
            f"level {show(text)}: expected a name of letters, digits, '_', '-' and '.', "
            f"a packaged level such as l/mjc_hopper, or a path to a .yaml or .json file; rename "
            f"it, to level_1 for instance"
        )
    return plain


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
    if path.name.lower().endswith(".json"):
        level = read_kinetix_json(path, name)
    else:
        level = read_level_yaml(path, name, lambda base: _load_base(base, path))
    check_level(level, f"{path}")
    return level


def _load_base(name: str, path: Path) -> Level:
    """What a YAML file begins with: a packaged level, or a JSON file beside it."""
    if name.lower().endswith(".json"):
        file = path.parent / name
        if not name.isprintable() or not _exists(file):
            raise LevelError(f"no file {show(name)} beside this one")
        return read_kinetix_json(file, name)
    packaged = packaged_levels()
    if name not in packaged:
        raise LevelError(f"unknown packaged level {name[:100]!r}{did_you_mean(name, packaged)}")
    return read_kinetix_json(packaged[name], name)


def _is_file_name(text: str) -> bool:
    return text.lower().endswith(SUFFIXES)


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for the file system
        return False
