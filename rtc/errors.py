"""Errors meant for the person at the terminal: one line, naming the culprit and the fix."""

import difflib
from collections.abc import Iterable


class RtcError(Exception):
    """A problem the user can mend. The message is one line and says how."""


class ConfigError(RtcError):
    """A key of the configuration is unknown, missing, of the wrong type or impossible."""


class LevelError(RtcError):
    """A level file cannot be read, or describes a scene the engine cannot build."""


class ArtifactError(RtcError):
    """A file the pipeline wrote earlier is missing, damaged or does not fit its neighbours."""


class DivergenceError(RtcError):
    """A training run produced NaN and was stopped."""


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Returns `"; did you mean 'x'?"` for the nearest option, else a list of the options."""
    options = sorted(str(option) for option in options)
    near = difflib.get_close_matches(str(name), options, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    shown = ", ".join(options[:12]) + (", ..." if len(options) > 12 else "")
    return f"; valid: {shown}" if options else ""


def check_choice(name: str, value: object, options: Iterable[str]) -> None:
    """Raises ConfigError, naming the nearest option, unless `value` is one of `options`."""
    if value not in options:
        hint = did_you_mean(str(value), options)
        raise ConfigError(f"{name}: unknown value {value!r}{hint}")
