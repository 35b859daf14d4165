"""Solve rate against delay and horizon: the paper's figure 5 and its parts.

All take `evaluations.csv` as a table. how: intervals "pooled" or "stratified" over levels, as
`rtc.report.stats.pool` explains; within one level both are Wilson's.
"""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rtc.report.figures.style import (
    THIN,
    MethodStyle,
    empty_figure,
    house_style,
    method_legend,
    method_styles,
    plot_line,
    rate_axis,
    readable,
    step_axis,
)
from rtc.report.stats import paper_line, pool

AXIS = {
    "delay": "inference delay d (steps)",
    "horizon": "execution horizon s (steps)",
}
CEILING = "#888888"
RULE = {"delay": "s = max(d, 1)", "horizon": "d = 1"}


def solve_rate_against_delay(evaluations: pd.DataFrame, how: str = "pooled") -> Figure:
    """Returns the average over levels against the delay, at s = max(d, 1)."""
    return _average(evaluations, "delay", how)


def solve_rate_against_horizon(evaluations: pd.DataFrame, how: str = "pooled") -> Figure:
    """Returns the average over levels against the execution horizon, at d = 1."""
    return _average(evaluations, "horizon", how)


def solve_rate_per_level(evaluations: pd.DataFrame, over: str = "delay") -> Figure:
    """Returns a panel for each level, against "delay" or "horizon"."""
    line = paper_line(evaluations, over)
    if line.empty:
        return empty_figure(f"no cell with {RULE[over]} was evaluated")
    levels, styles = _levels(line), method_styles(evaluations["method"])
    rows = math.ceil(len(levels) / 4)
    columns = math.ceil(len(levels) / rows)
    with house_style():
        figure = Figure(figsize=(max(4.6, 2.5 * columns), 0.7 + 2.2 * rows))
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        _level_panels(panels, line, levels, over, columns, styles)
        method_legend(figure, styles)
    return figure


def paper_figure_5(evaluations: pd.DataFrame, how: str = "pooled") -> Figure:
    """Returns the paper's figure 5: a panel for each level, and the two averages beside them."""
    line = paper_line(evaluations, "delay")
    if line.empty:
        return empty_figure(f"no cell with {RULE['delay']} was evaluated")
    levels, styles = _levels(line), method_styles(evaluations["method"])
    if len(levels) == 1:
        return _one_level(evaluations, levels[0], styles)
    rows = 2 if len(levels) <= 6 else math.ceil(len(levels) / 4)
    columns = math.ceil(len(levels) / rows)
    width, height = (2.9 if columns == 1 else 2.1) * columns, max(4.4, 1.9 * rows) + 0.6
    with house_style():
        figure = Figure(figsize=(width + 4.0, height))
        left, right = figure.subfigures(1, 2, width_ratios=[width, 4.0], wspace=0.03)
        panels = left.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        _level_panels(panels, line, levels, "delay", columns, styles)
        for axes, level in zip(panels, levels):
            _draw_ceiling(axes, line[line["level"] == level])
        shown = _averages(evaluations)
        for axes, over in zip(right.subplots(len(shown), 1, squeeze=False).ravel(), shown):
            _draw_average(axes, evaluations, over, how, styles)
            _draw_ceiling(axes, line)
        method_legend(figure, styles, _ceiling_legend(line))
    return figure


def _one_level(evaluations: pd.DataFrame, level: str, styles: dict[str, MethodStyle]) -> Figure:
    """The two lines of a single level, side by side: there is nothing to average."""
    with house_style():
        figure = Figure(figsize=(8.0, 3.7))
        shown = _averages(evaluations)
        for axes, over in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown):
            _draw_average(axes, evaluations, over, "pooled", styles)
            axes.set_title(f"{readable(level)}, {RULE[over]}")
            _draw_ceiling(axes, evaluations)
        method_legend(figure, styles, _ceiling_legend(evaluations))
    return figure


def _averages(evaluations: pd.DataFrame) -> list[str]:
    """The averages that figure 5 shows: against the horizon only if there are several."""
    several = paper_line(evaluations, "horizon")["horizon"].nunique() > 1
    return ["horizon", "delay"] if several else ["delay"]


def _average(evaluations: pd.DataFrame, over: str, how: str) -> Figure:
    if paper_line(evaluations, over).empty:
        return empty_figure(f"no cell with {RULE[over]} was evaluated")
    styles = method_styles(evaluations["method"])
    with house_style():
        figure = Figure(figsize=(5.4, 4.0))
        _draw_average(figure.subplots(), evaluations, over, how, styles)
        method_legend(figure, styles)
    return figure


def _draw_average(
    axes: Axes, evaluations: pd.DataFrame, over: str, how: str, styles: dict[str, MethodStyle]
) -> None:
    line = paper_line(evaluations, over)
    count = line["level"].nunique()
    axes.set_title(f"mean of {count} levels, {RULE[over]}" if count > 1 else RULE[over])
    axes.set_ylabel("solve rate")
    rate_axis(axes)
    if len(line):
        _draw_methods(axes, pool(line, ["method", over], how), over, styles)
        step_axis(axes, line[over], AXIS[over])


def _level_panels(
    panels: Any,
    line: pd.DataFrame,
    levels: Sequence[str],
    over: str,
    columns: int,
    styles: dict[str, MethodStyle],
) -> None:
    for number, (axes, level) in enumerate(zip(panels, levels)):
        rates = pool(line[line["level"] == level], ["method", over])
        _draw_methods(axes, rates, over, styles)
        rate_axis(axes)
        step_axis(axes, line[over], AXIS[over] if number + columns >= len(levels) else "")
        # A panel above an empty place is the lowest of its column, and carries the axis.
        axes.tick_params(labelbottom=number + columns >= len(levels))
        axes.set_title(readable(level))
        axes.set_ylabel("solve rate" if number % columns == 0 else "")
    for axes in panels[len(levels) :]:
        axes.set_axis_off()


def _draw_methods(
    axes: Axes, rates: pd.DataFrame, over: str, styles: dict[str, MethodStyle]
) -> None:
    for method, style in styles.items():
        own = rates[rates["method"] == method].sort_values(over)
        if len(own):
            plot_line(axes, own[over], own["solve_rate"], style, own["low"], own["high"])


def _draw_ceiling(axes: Axes, evaluations: pd.DataFrame) -> None:
    """The rate of naive where nothing is late: a new chunk at every step, ready at once."""
    cells = evaluations[_without_delay(evaluations)]
    if len(cells):
        rate = cells["solved"].sum() / cells["rollouts"].sum()
        axes.axhline(rate, color=CEILING, linewidth=THIN, linestyle=":", zorder=1)


def _ceiling_legend(evaluations: pd.DataFrame) -> list[Line2D]:
    label = "naive at every step, no delay"
    line = Line2D([], [], color=CEILING, linewidth=THIN, linestyle=":", label=label)
    return [line] if _without_delay(evaluations).any() else []


def _without_delay(evaluations: pd.DataFrame) -> pd.Series:
    naive = (evaluations["method"] == "naive") & (evaluations["estimate"] == 0)
    return naive & (evaluations["delay"] == 0) & (evaluations["horizon"] == 1)


def _levels(table: pd.DataFrame) -> list[str]:
    return sorted(table["level"].unique())
