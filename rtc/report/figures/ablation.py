"""How a hyper-parameter acts: the paper's figure 7 for beta, and the like for flow steps."""

import json
from collections.abc import Mapping
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rtc.report.figures.style import (
    MethodStyle,
    empty_figure,
    house_style,
    legend_below,
    plot_line,
    rate_axis,
)
from rtc.report.stats import paper_line, pool

NAMES = {"beta": "largest guidance weight β", "flow_steps": "flow steps n"}
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def paper_figure_7(evaluations: pd.DataFrame) -> Figure:
    """Returns solve rate and largest acceleration against beta, a line for each delay."""
    return solve_rate_against_option(evaluations, "beta")


def solve_rate_against_option(
    evaluations: pd.DataFrame, option: str, kind: str = "realtime"
) -> Figure:
    """Returns solve rate and largest acceleration against an option of a method.

    Draws the largest family of entries of method `kind` that differ in `option` alone, along
    s = max(d, 1) for the delays of a step or more. Says so where there is no such family.
    """
    line = paper_line(evaluations, "delay")
    line = line[line["delay"] >= 1]
    values = family(line, option, kind)
    if len(values) < 2:
        return empty_figure(f"no two entries of {kind} differ in {option} alone")
    line = line[line["method"].isin(values)]
    line = line.assign(value=line["method"].map(values))
    rates = pool(line, ["delay", "value"])
    bends = line.groupby(["delay", "value"], as_index=False)["acceleration_max"].mean()
    delays = sorted(int(delay) for delay in rates["delay"].unique())
    with house_style():
        figure = Figure(figsize=(8.0, 3.6))
        left, right = figure.subplots(1, 2)
        handles = []
        for number, delay in enumerate(delays):
            shade = matplotlib.colormaps["viridis"](0.05 + 0.8 * number / max(1, len(delays) - 1))
            style = MethodStyle(matplotlib.colors.to_hex(shade), MARKERS[number % 7], "-")
            own = rates[rates["delay"] == delay]
            plot_line(left, own["value"], own["solve_rate"], style, own["low"], own["high"])
            own = bends[bends["delay"] == delay]
            plot_line(right, own["value"], own["acceleration_max"], style)
            handles += left.plot(
                [], [], color=style.color, marker=style.marker, label=f"d = {delay}"
            )
        rate_axis(left)
        left.set_ylabel("solve rate")
        right.set_ylabel("largest second difference of actions")
        right.set_ylim(0, 1.08 * bends["acceleration_max"].max())
        for axes in (left, right):
            _value_axis(axes, sorted(set(values.values())), NAMES.get(option, option))
        legend_below(figure, handles)
    return figure


def family(evaluations: pd.DataFrame, option: str, kind: str) -> dict[str, float]:
    """Returns method -> value for the largest set of entries that differ in `option` alone."""
    families: dict[str, dict[str, float]] = {}
    entries = evaluations[evaluations["kind"] == kind].drop_duplicates("method")
    for row in entries.sort_values("method").itertuples():
        options: Mapping[str, Any] = json.loads(row.options)
        value = options.get(option)
        if isinstance(value, int | float) and not isinstance(value, bool):
            rest = {k: v for k, v in options.items() if k != option}
            rest |= {"policy": row.policy}
            families.setdefault(json.dumps(rest, sort_keys=True), {})[row.method] = float(value)
    return max(families.values(), key=len, default={})


def _value_axis(axes: Axes, values: list[float], label: str) -> None:
    """Logarithmic where the values span more than a factor of eight."""
    if values[0] > 0 and values[-1] > 8 * values[0]:
        axes.set_xscale("log")
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()
    axes.set_xlabel(label)
