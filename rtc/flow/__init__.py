"""The flow policy: velocity network, samplers, guidance, losses; how one is loaded."""

from rtc.flow.flow_policy import FlowPolicy
from rtc.flow.guidance import JACOBIANS, guidance_weight, guided_sample
from rtc.flow.layers import PRECISIONS
from rtc.flow.losses import (
    delay_probabilities,
    delayed_flow_matching_loss,
    draw_delay,
    flow_matching_loss,
)
from rtc.flow.network import ModelConfig, Modulations, VelocityNetwork
from rtc.flow.parameters import count_parameters, named_parameters, with_parameters
from rtc.flow.sampling import (
    Estimate,
    FlowStep,
    flow_steps,
    initial_noise,
    integrate,
    sample,
    sample_from,
    track,
)
from rtc.flow.weights import SCHEDULES, get_prefix_weights

__all__ = [
    "JACOBIANS",
    "PRECISIONS",
    "SCHEDULES",
    "Estimate",
    "FlowPolicy",
    "FlowStep",
    "ModelConfig",
    "Modulations",
    "VelocityNetwork",
    "count_parameters",
    "delay_probabilities",
    "delayed_flow_matching_loss",
    "draw_delay",
    "flow_matching_loss",
    "flow_steps",
    "get_prefix_weights",
    "guidance_weight",
    "guided_sample",
    "initial_noise",
    "integrate",
    "named_parameters",
    "sample",
    "sample_from",
    "track",
    "with_parameters",
]
