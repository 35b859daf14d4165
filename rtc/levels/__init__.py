"""Levels: from a name or a file to plain arrays."""

from rtc.levels.level import Level, SimParams, StaticParams
from rtc.levels.sources import available_levels, level_file, load_level, safe_name

__all__ = [
    "Level",
    "SimParams",
    "StaticParams",
    "available_levels",
    "level_file",
    "load_level",
    "safe_name",
]
