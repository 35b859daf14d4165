"""Levels: from a name or a file to plain arrays."""

from rtc.levels.level import Level, SimParams, StaticParams

__all__ = ["Level", "SimParams", "StaticParams"]
