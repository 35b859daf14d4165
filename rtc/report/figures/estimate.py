"""Solve rate where the delay is random, or the method is told a wrong one."""

import pandas as pd
from matplotlib.figure import Figure

from rtc.report.figures.style import (
    empty_figure,
    house_style,
    method_legend,
    method_styles,
    plot_line,
    rate_axis,
    step_axis,
)
from rtc.report.stats import pool


def solve_rate_against_estimate(evaluations: pd.DataFrame) -> Figure:
    """Returns a panel for each true delay and horizon that was run with two estimates or more,
    or is drawn from a distribution."""
    table = evaluations.assign(truth=evaluations.apply(_truth, axis=1))
    asked = table.groupby("truth")["estimate"].nunique()
    drawn = set(table.loc[table["delay"].isna(), "truth"])
    truths = [truth for truth in asked.index if asked[truth] > 1 or truth in drawn]
    if not truths:
        return empty_figure("every method was told the true delay")
    rates = pool(table, ["truth", "method", "estimate"])
    styles = method_styles(evaluations["method"])
    with house_style():
        figure = Figure(figsize=(max(4.6, 2.9 * len(truths)), 3.6))
        panels = figure.subplots(1, len(truths), sharey=True, squeeze=False)[0]
        for axes, truth in zip(panels, truths):
            own = rates[rates["truth"] == truth]
            for method, style in styles.items():
                line = own[own["method"] == method].sort_values("estimate")
                if len(line):
                    values = (line["estimate"], line["solve_rate"])
                    plot_line(axes, *values, style, line["low"], line["high"])
            axes.set_title(truth)
            rate_axis(axes)
            step_axis(axes, own["estimate"], "delay that the method is told")
        panels[0].set_ylabel("solve rate")
        method_legend(figure, styles)
    return figure


def _truth(row: pd.Series) -> str:
    delay = row["delay_distribution"] if pd.isna(row["delay"]) else f"d = {int(row['delay'])}"
    return f"{delay}, s = {int(row['horizon'])}"
