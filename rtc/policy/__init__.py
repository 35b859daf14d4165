"""The velocity network of the flow policy."""

from rtc.policy.layers import PRECISIONS
from rtc.policy.network import ModelConfig, Modulations, VelocityNetwork
from rtc.policy.parameters import count_parameters, named_parameters, with_parameters

__all__ = [
    "PRECISIONS",
    "ModelConfig",
    "Modulations",
    "VelocityNetwork",
    "count_parameters",
    "named_parameters",
    "with_parameters",
]
