"""Figures: functions from tables to matplotlib figures. They read files, never jax.

`gallery` draws all of them; `style` has the colours and writes files.
"""

from rtc.figures.ablation import paper_figure_7, solve_rate_against_option
from rtc.figures.cost import solve_rate_against_time
from rtc.figures.estimate import solve_rate_against_estimate
from rtc.figures.heat import solve_rate_map
from rtc.figures.lines import (
    paper_figure_5,
    solve_rate_against_delay,
    solve_rate_against_horizon,
    solve_rate_per_level,
)
from rtc.figures.masks import mask_weights, paper_figure_8
from rtc.figures.paired import paired_differences, paired_html
from rtc.figures.smoothness import smoothness_against_delay
from rtc.figures.style import method_styles, save_figure
from rtc.figures.training import expert_curves, policy_curves

__all__ = [
    "expert_curves",
    "mask_weights",
    "method_styles",
    "paired_differences",
    "paired_html",
    "paper_figure_5",
    "paper_figure_7",
    "paper_figure_8",
    "policy_curves",
    "save_figure",
    "smoothness_against_delay",
    "solve_rate_against_delay",
    "solve_rate_against_estimate",
    "solve_rate_against_horizon",
    "solve_rate_against_option",
    "solve_rate_against_time",
    "solve_rate_map",
    "solve_rate_per_level",
]
