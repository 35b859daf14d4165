"""How smoothly the executed action runs, against the delay."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rtc.report.figures.style import (
    empty_figure,
    house_style,
    method_legend,
    method_styles,
    plot_line,
    step_axis,
)
from rtc.report.stats import paper_line

MEASURES = {
    "jump_mean": "jump at the switch of chunks",
    "jerk": "squared second difference",
    "acceleration_max": "largest second difference",
    "mismatch": "mismatch over the delay",
}


def smoothness_against_delay(evaluations: pd.DataFrame) -> Figure:
    """Returns a panel for each measure, at s = max(d, 1): the mean over levels and seeds."""
    line = paper_line(evaluations, "delay")
    if line.empty:
        return empty_figure("no cell with s = max(d, 1) was evaluated")
    styles = method_styles(evaluations["method"])
    means = line.groupby(["method", "delay"], as_index=False)[list(MEASURES)].mean()
    with house_style():
        figure = Figure(figsize=(7.4, 5.6))
        for axes, (name, title) in zip(figure.subplots(2, 2).ravel(), MEASURES.items()):
            for method, style in styles.items():
                own = means[(means["method"] == method) & means[name].notna()]
                if len(own):
                    plot_line(axes, own["delay"], own[name], style)
            axes.set_title(title)
            axes.set_ylim(0, _roof(means[name]))
            step_axis(axes, line["delay"], "inference delay d (steps)")
        method_legend(figure, styles)
    return figure


def _roof(values: pd.Series) -> float:
    finite = values[np.isfinite(values)]
    return 1.08 * finite.max() if len(finite) and finite.max() > 0 else 1.0
