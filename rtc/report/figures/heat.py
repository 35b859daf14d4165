"""Solve rate over all cells, a map for each method."""

import math

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from rtc.report.figures.style import empty_figure, house_style, method_styles, readable
from rtc.report.stats import pool


def solve_rate_map(evaluations: pd.DataFrame) -> Figure:
    """Returns a map over delay and horizon for each method, in % of the pooled rollouts."""
    told = evaluations["delay"].notna() & (evaluations["delay"] == evaluations["estimate"])
    rates = pool(evaluations[told], ["method", "delay", "horizon"])
    if rates.empty:
        return empty_figure("no cell with a fixed delay was evaluated")
    methods = list(method_styles(rates["method"]))
    delays, horizons = (
        range(int(rates[k].min()), int(rates[k].max()) + 1) for k in ("delay", "horizon")
    )
    columns = min(3, len(methods))
    rows = math.ceil(len(methods) / columns)
    width, height = 0.42 * len(horizons) + 0.5, 0.42 * len(delays) + 0.7
    with house_style():
        figure = Figure(figsize=(columns * width + 1.1, rows * height + 0.2))
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        image = None
        for number, (axes, method) in enumerate(zip(panels.ravel(), methods)):
            own = rates[rates["method"] == method]
            grid = own.pivot(index="delay", columns="horizon", values="solve_rate")
            grid = grid.reindex(index=delays, columns=horizons).to_numpy()
            extent = (horizons[0] - 0.5, horizons[-1] + 0.5, delays[0] - 0.5, delays[-1] + 0.5)
            image = axes.imshow(grid, origin="lower", vmin=0, vmax=1, extent=extent, aspect="auto")
            _write_numbers(axes, own)
            axes.grid(False)
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0)
            axes.set_xticks(list(horizons))
            axes.set_yticks(list(delays))
            axes.set_title(readable(method))
            axes.tick_params(labelbottom=number + columns >= len(methods))
        for axes in panels.ravel()[len(methods) :]:
            axes.set_axis_off()
        bar = figure.colorbar(image, ax=panels, shrink=0.85 / rows, aspect=14, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=0))
        bar.set_label("solve rate")
        figure.supxlabel("execution horizon s (steps)", fontsize=9, color="#333333")
        figure.supylabel("inference delay d (steps)", fontsize=9, color="#333333")
    return figure


def _write_numbers(axes: matplotlib.axes.Axes, rates: pd.DataFrame) -> None:
    """The rate in %, dark on light cells and light on dark ones."""
    for row in rates.itertuples():
        shade = matplotlib.colormaps["viridis"](row.solve_rate)
        bright = 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2]
        color = "#111111" if bright > 0.5 else "white"
        axes.text(
            row.horizon, row.delay, f"{100 * row.solve_rate:.0f}",
            ha="center", va="center", fontsize=7.5, color=color,
        )  # fmt: skip
