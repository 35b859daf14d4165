"""Training curves: solve rate of the experts, loss of the policies."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from rtc.report.figures.style import (
    COLORS,
    empty_figure,
    house_style,
    legend_below,
    rate_axis,
    readable,
)

# (level, seed) or (level, policy, seed) -> the run's progress.csv.
Runs = Mapping[tuple[Any, ...], pd.DataFrame]


def expert_curves(runs: Runs, threshold: float | None = None) -> Figure:
    """Returns a panel for each level: solve rate against environment steps, a line per seed.

    runs: (level, seed) -> progress.csv. threshold: what the data set asks of an expert.
    """
    levels = list(dict.fromkeys(level for level, _ in runs))
    if not levels:
        return empty_figure("no expert was trained")
    seeds = sorted({seed for _, seed in runs})
    with house_style():
        figure, panels = _grid(levels, sharey=True)
        for axes, level in zip(panels, levels):
            for seed, table in ((s, t) for (name, s), t in runs.items() if name == level):
                color = COLORS[seeds.index(seed) % len(COLORS)]
                _draw(axes, table, "env_steps", "solve_rate", color, f"seed {seed}")
            if threshold is not None:
                told = f"asked for by the data set ({threshold:.0%})"
                axes.axhline(threshold, color="#888888", lw=1, ls=":", label=told)
            rate_axis(axes)
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.set_xlim(left=0)
        _label(panels, levels, "environment steps", "solve rate")
        _legend(figure, panels)
    return figure


def policy_curves(runs: Runs) -> Figure:
    """Returns a panel for each level: loss against epochs, a colour per policy, a line per seed.

    runs: (level, policy, seed) -> progress.csv.
    """
    levels = list(dict.fromkeys(level for level, _, _ in runs))
    if not levels:
        return empty_figure("no policy was trained")
    policies = list(dict.fromkeys(policy for _, policy, _ in runs))
    with house_style():
        figure, panels = _grid(levels, sharey=False)
        for axes, level in zip(panels, levels):
            own = [(p, s, t) for (name, p, s), t in runs.items() if name == level]
            for policy, _, table in own:
                color = COLORS[policies.index(policy) % len(COLORS)]
                _draw(axes, table, "epoch", "loss", color, readable(policy))
            axes.set_ylim(bottom=0)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        _label(panels, levels, "epoch", "flow matching loss")
        _legend(figure, panels)
    return figure


def _grid(levels: Sequence[str], sharey: bool) -> tuple[Figure, list[Axes]]:
    rows = math.ceil(len(levels) / 4)
    columns = math.ceil(len(levels) / rows)
    figure = Figure(figsize=(max(4.6, 2.7 * columns), 0.8 + 2.3 * rows))
    panels = figure.subplots(rows, columns, sharey=sharey, squeeze=False).ravel()
    for axes in panels[len(levels) :]:
        axes.set_axis_off()
    return figure, list(panels)


def _draw(axes: Axes, table: pd.DataFrame, x: str, y: str, color: str, label: str) -> None:
    table = table[[x, y]].dropna()
    # A run of one row has no line to show.
    marker = "o" if len(table) == 1 else None
    axes.plot(table[x], table[y], color=color, linewidth=1.4, marker=marker, label=label)


def _label(panels: Sequence[Axes], levels: Sequence[str], x: str, y: str) -> None:
    columns = math.ceil(len(levels) / math.ceil(len(levels) / 4))
    for number, (axes, level) in enumerate(zip(panels, levels)):
        axes.set_title(readable(level))
        axes.set_xlabel(x if number + columns >= len(levels) else "")
        axes.set_ylabel(y if number % columns == 0 else "")


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels()):
            handles.setdefault(label, handle)
    legend_below(figure, list(handles.values()))
