"""Traces: real decisions under delay, tracked and drawn, and videos of methods side by side."""

from rtc.traces.comparison_video import write_comparison_video
from rtc.traces.decision import Decision, find_decision
from rtc.traces.locate import find_epoch, find_level, find_policy, trained_policies
from rtc.traces.pictures import PICTURES, TRACE_FILES, draw_decision, write_traces
from rtc.traces.scenes import Guidance, Trained, load_trained, short_prefix

__all__ = [
    "PICTURES",
    "TRACE_FILES",
    "Decision",
    "Guidance",
    "Trained",
    "draw_decision",
    "find_decision",
    "find_epoch",
    "find_level",
    "find_policy",
    "load_trained",
    "short_prefix",
    "trained_policies",
    "write_comparison_video",
    "write_traces",
]
