"""Errors meant for the person at the terminal: one line, naming the culprit and the fix."""

import difflib
import math
import numbers
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


class ArgumentError(RtcError, ValueError):
    """An argument of a public function has another shape, type or range than it must have."""


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


def check_whole(name: str, value: object, low: int, high: int | None = None, of: str = "") -> None:
    """Raises ArgumentError unless `value` is a whole number from `low` to `high`.

    of: what the upper end is, for the message.
    """
    if isinstance(value, numbers.Integral) and low <= value and (high is None or value <= high):
        return
    wanted = f"of at least {low}" if high is None else f"from {low} to {high}{of and f' ({of})'}"
    raise ArgumentError(f"{name}: expected a whole number {wanted}, got {shown(value)}")


def check_key(rng: object, instead: str) -> None:
    """Raises ArgumentError where neither a key nor `instead`, what it would draw, was given."""
    if rng is None:
        raise ArgumentError(
            f"rng: expected a key such as jax.random.key(0), or {instead}=; got None"
        )


def check_number(name: str, value: object, low: float = -math.inf) -> None:
    """Raises ArgumentError unless `value` is a finite number of at least `low`."""
    if not (isinstance(value, numbers.Real) and math.isfinite(value) and value >= low):
        wanted = "a finite number" if low == -math.inf else f"a finite number of at least {low:g}"
        raise ArgumentError(f"{name}: expected {wanted}, got {shown(value)}")


def shown(value: object) -> str:
    """What messages call a value: itself where it is short, else its type."""
    text = str(value) if isinstance(value, numbers.Number) else repr(value)
    return text if len(text) <= 40 and "\n" not in text else type(value).__name__
