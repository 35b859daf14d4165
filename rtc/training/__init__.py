"""Behaviour cloning of flow policies."""

from rtc.training.train import train_policies

__all__ = ["train_policies"]
