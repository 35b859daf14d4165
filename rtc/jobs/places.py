"""Where Snakemake finds the workflow and may write, wherever the command was given. No Snakemake.

From any folder, the workflow and its configurations are those of the checkout; on machines
without a usable home directory, caches lie in the working directory.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rtc.errors import RtcError, did_you_mean

ROOT = Path(__file__).resolve().parents[2]
SNAKEFILES = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")
# Options whose values may name files of the checkout by their place in it.
CONFIGURED = ("--configfile", "--configfiles", "--profile", "--workflow-profile")


def name_the_workflow(arguments: Sequence[str]) -> list[str]:
    """The arguments, made to mean the same outside the checkout as in it.

    Configurations and profiles that are not here are those of the checkout; so is the Snakefile
    where the working directory has none. Raises RtcError for a configuration that is nowhere.
    """
    option, found = "", []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("-"):
            option = name
            value = _in_checkout(value, option) if value else value
            found.append(f"{name}{equals}{value}")
        else:
            found.append(_in_checkout(argument, option))
    named = any(a.startswith(("-s", "--snakefile")) for a in arguments)
    if not named and not any(Path(name).exists() for name in SNAKEFILES):
        found = ["--snakefile", str(ROOT / "Snakefile"), *found]
    return found


def provide_folders(working_directory: Path, say: Callable[[str], None]) -> None:
    """Makes XDG_CACHE_HOME and TMPDIR folders that can be written, if they are not.

    Raises RtcError if there is no place for temporary files at all.
    """
    try:
        temporary = tempfile.gettempdir()  # tries to write: $TMPDIR, /tmp, ..., here
    except FileNotFoundError as error:
        raise RtcError(
            "no folder for temporary files: $TMPDIR, /tmp and this folder are full or read-only; "
            "set TMPDIR to one that has space"
        ) from error
    asked = os.environ.get("TMPDIR")
    if asked and Path(asked).absolute() != Path(temporary):
        say(f"TMPDIR={asked} cannot be written; temporary files go to {temporary}")
        os.environ["TMPDIR"] = temporary
    # As platformdirs has it, which Snakemake asks; "~" stays where nobody knows a home directory.
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not _can_write(Path(cache)):
        instead = working_directory / ".snakemake" / "cache"
        say(f"{cache} cannot be written; caches go to {instead}")
        os.environ["XDG_CACHE_HOME"] = str(instead)


def _in_checkout(name: str, option: str) -> str:
    there = ROOT / name
    if option not in CONFIGURED or Path(name).exists():
        return name
    # What a run in the checkout has made is a target of this one, given in the wrong place.
    found = there.exists() and not name.startswith("results/")
    if option.startswith("--configfile") and not found:
        known = (f"config/{path.name}" for path in ROOT.glob("config/*.yaml"))
        raise RtcError(
            f"{option}: no file {name!r} here or in {ROOT}{did_you_mean(name, known)} "
            f"(what is to be made stands before {option})"
        )
    return str(there) if found else name


def _can_write(folder: Path) -> bool:
    if not folder.is_absolute():
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
    except OSError:
        return False
    return True
