"""How long a solved episode takes, against the delay."""

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
from rtc.report.stats import mean_solve_times, paper_line


def time_to_solve_against_delay(evaluations: pd.DataFrame) -> Figure:
    """Returns one panel: steps of solved episodes at s = max(d, 1), the mean of the levels' own
    means; a method has no point where it solved nothing in one of the levels."""
    line = paper_line(evaluations, "delay")
    means = mean_solve_times(line)
    if means.empty:
        return empty_figure("no cell with s = max(d, 1) was solved in every level")
    styles = method_styles(means["method"])
    with house_style():
        figure = Figure(figsize=(5.4, 4.0))
        axes = figure.subplots()
        for method, style in styles.items():
            own = means[means["method"] == method].sort_values("delay")
            plot_line(axes, own["delay"], own["time_to_solve"], style)
        count = line["level"].nunique()
        axes.set_title(f"mean of {count} levels, s = max(d, 1)" if count > 1 else "s = max(d, 1)")
        axes.set_ylabel("steps to solve")
        axes.set_ylim(bottom=0)
        step_axis(axes, line["delay"], "inference delay d (steps)")
        method_legend(figure, styles)
    return figure
