"""Objectives by name."""

from collections.abc import Mapping
from typing import Any

from rtc.config.plug_ins import load_class, make, split_objective
from rtc.training.objectives.delayed_prefix import DelayedPrefix
from rtc.training.objectives.flow import FlowMatching
from rtc.training.objectives.interface import Objective
from rtc.training.objectives.shifted_window import ShiftedWindow
from rtc.training.objectives.soft_prefix import SoftPrefix

OBJECTIVES: dict[str, type] = {
    "flow": FlowMatching,
    "delayed_prefix": DelayedPrefix,
    "soft_prefix": SoftPrefix,
    "shifted_window": ShiftedWindow,
}

OFFERED = ("extra_steps", "draw", "windows", "loss", "count")


def make_objective(section: str | Mapping[str, Any], where: str = "policies") -> Objective:
    """The objective of one policy, with its options.

    section: a key of OBJECTIVES, "package.module:Class" for one of your own, or a mapping that
    names it so under `objective` and has its options beside.
    where: path of the policy's entry, for messages. Raises ConfigError on an unknown objective or
    option.
    """
    name, options = split_objective(section, where)
    kind = load_class(name, OBJECTIVES, OFFERED, "objective", where)
    return make(kind, options, f"{where}.objective")
