"""Environments: one interface, two engines."""

from pathlib import Path

from rtc.env.base import Engine, Env, Step
from rtc.errors import check_choice
from rtc.levels import Level, load_level

__all__ = ["Engine", "Env", "Step", "make_env"]

ENGINES = ("specialised", "kinetix")
REWARDS = ("reference", "kinetix")


def make_env(
    level: Level | str | Path, engine: str = "specialised", reward: str = "reference"
) -> Env:
    """The environment of a level.

    level: a `Level`, or a name or path as `load_level` takes it. engine: "specialised" (written
    for the level when it is traced) or "kinetix" (the stock engine, slow). reward: the rule of
    the substeps, "reference" (the largest of them) or "kinetix" (the first that has one).
    Raises ConfigError for unknown names, LevelError for a level that the engine cannot take.
    """
    check_choice("env.engine", engine, ENGINES)
    check_choice("env.reward", reward, REWARDS)
    level = level if isinstance(level, Level) else load_level(level)
    if engine == "kinetix":
        from rtc.env.kinetix import KinetixEngine

        return Env(level, engine, KinetixEngine(level, reward))
    from rtc.env.specialised import SpecialisedEngine

    return Env(level, engine, SpecialisedEngine(level, reward))
