"""Kinds of heads by name."""

from collections.abc import Mapping
from typing import Any

from rtc.config.plug_ins import load_class, make
from rtc.flow.heads.correction import Correction
from rtc.flow.heads.interface import Head
from rtc.flow.heads.world_model import WorldModel

HEADS: dict[str, type] = {
    "correction": Correction,
    "world_model": WorldModel,
}

OFFERED = ("observation_history", "network", "loss")


def make_head(name: str, options: Mapping[str, Any], where: str = "head") -> Head:
    """A kind of head, a key of HEADS or "package.module:Class", with its options.

    where: path of the entry, for messages. Raises ConfigError on an unknown kind or option.
    """
    return make(load_class(name, HEADS, OFFERED, "head", where), options, where)
