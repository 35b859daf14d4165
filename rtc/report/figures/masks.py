"""The paper's figure 8: how strongly each action of a new chunk is held to the previous one."""

import numpy as np
from matplotlib.figure import Figure

from rtc.errors import did_you_mean
from rtc.report.figures.style import house_style, legend_below

SCHEDULES = {
    "exp": ("#0072b2", "s", "soft (exp)"),
    "linear": ("#e69f00", "D", "linear"),
    "ones": ("#009e73", "P", "ones"),
    "zeros": ("#56b4e9", "^", "hard (zeros)"),
}


def mask_weights(delay: int, horizon: int, chunk_size: int, schedule: str) -> np.ndarray:
    """Returns [h] weights W of arXiv 2506.07339, equation 5, and of its alternatives.

    1 for i < d, 0 for i >= H - s. Between, with c = (H - s - i) / (H - s - d + 1): "linear" is
    c, "exp" is c (e^c - 1) / (e - 1), "ones" is 1 and "zeros" is 0.
    Raises ValueError on another schedule.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule: unknown {schedule!r}{did_you_mean(schedule, SCHEDULES)}")
    index, end = np.arange(chunk_size), chunk_size - horizon
    decay = np.clip((end - index) / (end - delay + 1), 0.0, 1.0)
    between = {
        "linear": decay,
        "exp": decay * np.expm1(decay) / np.expm1(1.0),
        "ones": np.ones(chunk_size),
        "zeros": np.zeros(chunk_size),
    }[schedule]
    return np.where(index < delay, 1.0, np.where(index >= end, 0.0, between))


def paper_figure_8(delay: int = 2, horizon: int = 3, chunk_size: int = 8) -> Figure:
    """Returns the weights of all schedules for one delay, horizon and chunk size."""
    end, index = chunk_size - horizon, np.arange(chunk_size)
    regions = (
        (0, delay, "#d9d9d9", "executed while\nthe chunk is made"),
        (delay, end, "#efefef", "previous chunk\nreaches this far"),
        (end, chunk_size, "white", "free"),
    )
    with house_style():
        figure = Figure(figsize=(6.4, 3.6))
        axes = figure.subplots()
        for begin, stop, color, text in regions:
            if stop > begin:
                axes.axvspan(begin - 0.5, stop - 0.5, color=color, linewidth=0)
                middle = (begin + stop - 1) / 2
                axes.text(middle, 1.2, text, ha="center", va="center", fontsize=8, color="#444444")
        for name, (color, marker, label) in SCHEDULES.items():
            weights = mask_weights(delay, horizon, chunk_size, name)
            axes.plot(index, weights, color=color, marker=marker, markeredgecolor="white",
                      label=label, clip_on=False)  # fmt: skip
        axes.grid(False)
        axes.set_xlim(-0.5, chunk_size - 0.5)
        axes.set_ylim(-0.04, 1.32)
        axes.set_xticks(index)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        axes.set_xlabel("index i in the chunk")
        axes.set_ylabel("weight $W_i$")
        axes.set_title(f"H = {chunk_size}, d = {delay}, s = {horizon}")
        legend_below(figure, axes.get_lines())
    return figure
