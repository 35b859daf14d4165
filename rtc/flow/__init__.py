"""The flow policy: samplers, guidance, losses."""

from rtc.flow.flow_policy import FlowPolicy
from rtc.flow.guidance import JACOBIANS, guidance_weight, guided_sample
from rtc.flow.losses import (
    delay_probabilities,
    delayed_flow_matching_loss,
    draw_delay,
    flow_matching_loss,
)
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
from rtc.policy import ModelConfig

__all__ = [
    "JACOBIANS",
    "SCHEDULES",
    "Estimate",
    "FlowPolicy",
    "FlowStep",
    "ModelConfig",
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
    "sample",
    "sample_from",
    "track",
]
