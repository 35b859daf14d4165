"""Figures: functions from tables to matplotlib figures. They read files, never jax.

`gallery` draws all of them; `style` has the colours and writes files.
"""

from rtc.report.figures.ablation import paper_figure_7, solve_rate_against_option
from rtc.report.figures.cost import solve_rate_against_time
from rtc.report.figures.estimate import solve_rate_against_estimate
from rtc.report.figures.fair import solve_rate_at_fair_delay
from rtc.report.figures.heat import solve_rate_map
from rtc.report.figures.lines import (
    paper_figure_5,
    solve_rate_against_delay,
    solve_rate_against_horizon,
    solve_rate_per_level,
)
from rtc.report.figures.masks import mask_weights, paper_figure_8
from rtc.report.figures.paired import paired_differences, paired_html
from rtc.report.figures.smoothness import smoothness_against_delay
from rtc.report.figures.style import method_styles, save_figure
from rtc.report.figures.training import expert_curves, policy_curves

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
    "solve_rate_at_fair_delay",
    "solve_rate_map",
    "solve_rate_per_level",
]
