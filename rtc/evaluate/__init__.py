"""Evaluation of chunking methods under inference delay, fairly: one sweep, common noise."""

from rtc.evaluate.run import evaluate_method

__all__ = ["evaluate_method"]
