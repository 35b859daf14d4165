"""Heads: small networks trained on top of a frozen policy, asked at every executed step."""

from rtc.flow.heads.correction import Correction, CorrectionNetwork
from rtc.flow.heads.interface import Head, HeadRows, Sizes
from rtc.flow.heads.loading import LoadedHead, load_head
from rtc.flow.heads.registry import HEADS, make_head
from rtc.flow.heads.world_model import WorldModel, WorldModelNetwork

__all__ = [
    "HEADS",
    "Correction",
    "CorrectionNetwork",
    "Head",
    "HeadRows",
    "LoadedHead",
    "Sizes",
    "WorldModel",
    "WorldModelNetwork",
    "load_head",
    "make_head",
]
