"""Evaluation of chunking methods under inference delay, fairly: one sweep, common noise."""
