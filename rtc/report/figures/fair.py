"""Solve rate where time counts: what takes longer for a chunk plays at the longer delay."""

import numpy as np
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
from rtc.report.stats import paper_line, pool

MEASURES = {
    "network_evaluations": "time counted in network evaluations",
    "seconds_per_chunk": "time as measured",
}


def solve_rate_at_fair_delay(
    evaluations: pd.DataFrame, timings: pd.DataFrame, measures: tuple[str, ...] = tuple(MEASURES)
) -> Figure:
    """Returns a panel for each measure of time: solve rate against the delay d that naive has,
    where a method that takes r times as long for a chunk plays at ceil(r d), s = max(delay, 1).

    timings: rows of `timing.csv`. measures: of MEASURES; one that naive lacks has no panel. A
    method's line ends where its delay was not evaluated. Bands are 95 % Wilson intervals of the
    pooled counts.
    """
    rates = fair_rates(evaluations, timings, measures)
    if rates.empty:
        return empty_figure("naive was not evaluated and timed with s = max(d, 1)")
    measures = tuple(measure for measure in measures if measure in set(rates["measure"]))
    styles = method_styles(rates["method"])
    with house_style():
        figure = Figure(figsize=(max(4.6, 3.8 * len(measures)), 3.8))
        panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
        for axes, measure in zip(panels, measures):
            own = rates[rates["measure"] == measure]
            for method, style in styles.items():
                row = own[own["method"] == method]
                plot_line(axes, row["naive"], row["solve_rate"], style, row["low"], row["high"])
            axes.set_title(MEASURES[measure])
            rate_axis(axes)
            step_axis(axes, rates["naive"], "delay d of naive (steps)")
        panels[0].set_ylabel("solve rate")
        ratios = rates.groupby(["method", "measure"])["ratio"].first()
        method_legend(figure, {_told(n, ratios[n], measures): s for n, s in styles.items()})
    return figure


def fair_rates(
    evaluations: pd.DataFrame, timings: pd.DataFrame, measures: tuple[str, ...]
) -> pd.DataFrame:
    """Returns measure, method, ratio, naive (its delay), delay, solve_rate, low, high: what the
    figure shows. ratio: a method's time for a chunk over naive's, of medians over levels and
    seeds; times are those of one robot (batch 1)."""
    line = paper_line(evaluations, "delay")
    rates = pool(line, ["method", "delay"])
    tables = []
    for measure in measures:
        source = evaluations if measure in evaluations else timings[timings["batch"] == 1]
        times = source.groupby("method")[measure].median()
        ratios = times / times.get("naive", np.nan)
        for delay in sorted(line["delay"].unique()):
            # Rounded: a ratio of 2 that was divided from times is not to be 2.0000001.
            wanted = np.ceil((ratios * delay).round(6)).rename("delay").reset_index()
            found = wanted.merge(rates, on=["method", "delay"])
            tables.append(
                found.assign(measure=measure, naive=delay, ratio=found["method"].map(ratios))
            )
    return pd.concat(tables, ignore_index=True) if tables else rates


def _told(name: str, ratios: pd.Series, measures: tuple[str, ...]) -> str:
    """The method's name with its ratios, in the order of the panels."""
    told = ", ".join(f"{ratios[measure]:.3g}" for measure in measures if measure in ratios)
    return f"{name} (r = {told})"
