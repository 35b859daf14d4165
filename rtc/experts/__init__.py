"""RPO experts: the algorithm in `ppo.py`, and the stage that trains and writes them."""

from rtc.experts.expert import Expert, load_expert, read_expert
from rtc.experts.train import train_experts

__all__ = ["Expert", "load_expert", "read_expert", "train_experts"]
