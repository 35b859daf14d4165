"""Methods by name, and from a config entry to a method."""

from rtc.config.plug_ins import load_class, make
from rtc.config.sections import MethodConfig
from rtc.errors import ArgumentError, shown
from rtc.methods.a2c2 import A2C2
from rtc.methods.bid import Bid
from rtc.methods.blend import Blend
from rtc.methods.diffuser_overwrite import DiffuserOverwrite
from rtc.methods.dream_chunk import DreamChunk
from rtc.methods.interface import Method
from rtc.methods.naive import Naive
from rtc.methods.paint import Paint
from rtc.methods.paint_warm import PaintWarm
from rtc.methods.realtime import Realtime
from rtc.methods.requery import Requery
from rtc.methods.soft import Soft
from rtc.methods.te import TemporalEnsemble
from rtc.methods.ttrtc import TrainingTimeRealtime
from rtc.methods.vlash import Vlash

METHODS: dict[str, type] = {
    "naive": Naive,
    "realtime": Realtime,
    "bid": Bid,
    "te": TemporalEnsemble,
    "ttrtc": TrainingTimeRealtime,
    "diffuser_overwrite": DiffuserOverwrite,
    "paint": Paint,
    "paint_warm": PaintWarm,
    "blend": Blend,
    "requery": Requery,
    "vlash": Vlash,
    "soft": Soft,
    "a2c2": A2C2,
    "dream_chunk": DreamChunk,
}

OFFERED = ("samples", "keeps_prefix", "init", "network_evaluations", "__call__")


def make_method(config: MethodConfig, label: str | None = None) -> Method:
    """The method of one config entry, with its options as hyper-parameters.

    config.method: a key of METHODS, or "package.module:Class" for one of your own.
    label: key of the entry under `methods`, for messages.
    Raises ConfigError on an unknown method, an option that is unknown, missing or of the wrong
    type, and a value that the method refuses.
    """
    if not isinstance(config, MethodConfig):
        example = "MethodConfig(method='naive', policy='flow', options={})"
        raise ArgumentError(f"config: expected one such as {example}, got {shown(config)}")
    where = f"methods.{label or config.method}"
    return make(method_class(config.method, where), config.options, where)


def method_class(name: str, where: str = "methods") -> type:
    """The class behind a registry name or an import path. Raises ConfigError with the nearest."""
    return load_class(name, METHODS, OFFERED, "method", where)
