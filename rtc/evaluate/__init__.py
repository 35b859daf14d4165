"""Evaluation of chunking methods under inference delay, fairly: one sweep, common noise."""

from rtc.evaluate.run import Outputs, evaluate_method, evaluate_methods

__all__ = ["Outputs", "evaluate_method", "evaluate_methods"]
