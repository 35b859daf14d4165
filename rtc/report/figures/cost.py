"""Solve rate against what a chunk costs on this device."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from rtc.report.figures.style import (
    empty_figure,
    house_style,
    method_legend,
    method_styles,
    rate_axis,
)
from rtc.report.stats import paper_line, pool


def solve_rate_against_time(evaluations: pd.DataFrame, timings: pd.DataFrame) -> Figure:
    """Returns a panel for each delay of a step or more, at s = d: a point for each method.

    timings: rows of `timing.csv`; the median over levels and seeds of the time for one robot
    (batch 1) is the x axis. Vertical bars are 95 % Wilson intervals of the pooled counts.
    """
    line = paper_line(evaluations, "delay")
    line = line[line["delay"] >= 1]
    alone = timings[timings["batch"] == 1]
    seconds = alone.groupby("method")["seconds_per_chunk"].median()
    rates = pool(line[line["method"].isin(seconds.index)], ["method", "delay"])
    if rates.empty:
        return empty_figure("no delay of a step or more was evaluated and timed")
    delays = sorted(rates["delay"].unique())
    styles = method_styles(evaluations["method"])
    styles = {name: style for name, style in styles.items() if name in set(rates["method"])}
    # By hand: matplotlib's margins of one time, or of equal ones, are as thin as rounding.
    drawn = 1000 * seconds[seconds.index.isin(rates["method"])]
    ratio = drawn.max() / drawn.min()
    beside = max(ratio**0.15, (8 / ratio) ** 0.5)  # 8 at least hold two ticks of 1, 2, 5
    limits = drawn.min() / beside, drawn.max() * beside
    with house_style():
        figure = Figure(figsize=(max(4.6, 2.4 * len(delays)), 3.6))
        panels = figure.subplots(1, len(delays), sharex=True, sharey=True, squeeze=False)[0]
        for axes, delay in zip(panels, delays):
            for row in rates[rates["delay"] == delay].itertuples():
                style = styles[row.method]
                below, above = row.solve_rate - row.low, row.high - row.solve_rate
                axes.errorbar(
                    1000 * seconds[row.method], row.solve_rate, [[below], [above]],
                    color=style.color, marker=style.marker or "_", markersize=7,
                    markeredgecolor="white", clip_on=False, zorder=3,
                )  # fmt: skip
            axes.set_title(f"d = {int(delay)}")
            axes.set_xlabel("time per chunk (ms)")
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlim(*limits)
            rate_axis(axes)
        panels[0].set_ylabel("solve rate")
        method_legend(figure, styles)
    return figure
