"""With and without guidance, from the same noise: what real-time chunking changes in a chunk.

`rtc_tracked` comes from `realtime_action(..., return_tracking=True)`, `no_rtc_tracked` from
`action(..., return_tracking=True)` with the same observation and the same `noise=`. A pair from
different noise is refused, because it would differ without guidance too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from rtc.errors import did_you_mean
from rtc.visualize.style import (
    CORRECTION,
    NAIVE,
    PREVIOUS,
    REALTIME,
    SHADE,
    STEP_COLORS,
    FigSize,
    flow_time_axis,
    gradient,
    new_figure,
    styled,
)
from rtc.visualize.tracked import (
    PER_STEP,
    TrackingError,
    check_index,
    check_indices,
    prefix_weights,
    read_pair,
    with_end,
)

Arrays = Mapping[str, np.ndarray]
WITHOUT, WITH = "without guidance (naive)", "with guidance (real-time chunking)"
TITLES = {
    "x_t": "x_t, state",
    "v_t": "v_t, velocity of the network",
    "x_1_pred": "x_1_pred, where the flow would end",
    "correction": "correction added to the velocity",
    "error": "error to the previous chunk, weighted",
}


@styled
def plot_rtc_comparison(
    rtc_tracked: Mapping[str, Any],
    no_rtc_tracked: Mapping[str, Any],
    batch_idx: int = 0,
    action_dim_idx: int = 0,
    horizon_idx: int = 0,
    figsize: FigSize = (12, 7),
) -> Figure:
    """One number of the chunk over the flow, both ways: state, prediction, velocity, correction.

    Raises ValueError naming a missing key, a wrong rank, an index out of range, or that the two
    runs began from different noise.
    """
    rtc, plain = read_pair(rtc_tracked, no_rtc_tracked)
    _, batches, horizon, dims = rtc["x_t"].shape
    batch = check_index(batch_idx, batches, "batch_idx")
    dim = check_index(action_dim_idx, dims, "action_dim_idx")
    step = check_index(horizon_idx, horizon, "horizon_idx")
    at = (slice(None), batch, step, dim)
    weight = float(prefix_weights(rtc)[step])
    figure = new_figure(
        figsize,
        "The same noise, with and without guidance",
        f"action dimension {dim}, step {step} of the chunk (weight {weight:.2f}), "
        f"batch element {batch}",
    )
    (state, predicted), (velocity, correction) = figure.subplots(2, 2, sharex=True)
    _both(state, rtc, plain, "x_t", at)
    _both(predicted, rtc, plain, "x_1_pred", at)
    _both(velocity, rtc, plain, "v_t", at)
    for axes in (state, predicted):
        _previous_line(axes, rtc, at, weight)
    if "correction" in rtc:
        correction.axhline(0, color="#AAAAAA", lw=0.8)
        correction.vlines(rtc["time"], 0, rtc["correction"][at], color=CORRECTION, alpha=0.45, lw=2)
        correction.plot(rtc["time"], rtc["correction"][at], "o", color=CORRECTION)
    correction.set_title(TITLES["correction"])
    for axes in (state, predicted, velocity, correction):
        flow_time_axis(axes, label=axes in (velocity, correction))
    handles, labels = state.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


@styled
def plot_rtc_comparison_grid(
    rtc_tracked: Mapping[str, Any],
    no_rtc_tracked: Mapping[str, Any],
    batch_idx: int = 0,
    action_dim_indices: Sequence[int] | None = (0, 1, 2),
    horizon_idx: int = 0,
    figsize: FigSize | None = None,
) -> Figure:
    """State, prediction and velocity both ways, one row for each action dimension.

    action_dim_indices: None for all. figsize: None for a height that grows with the rows.
    Raises ValueError as `plot_rtc_comparison`.
    """
    rtc, plain = read_pair(rtc_tracked, no_rtc_tracked)
    _, batches, horizon, dims = rtc["x_t"].shape
    batch = check_index(batch_idx, batches, "batch_idx")
    step = check_index(horizon_idx, horizon, "horizon_idx")
    rows = check_indices(action_dim_indices, dims, "action_dim_indices")
    weight = float(prefix_weights(rtc)[step])
    figure = new_figure(
        figsize or (12, 1.6 + 2.1 * len(rows)),
        "The same noise, with and without guidance",
        f"step {step} of the chunk (weight {weight:.2f}), batch element {batch}",
    )
    keys = [key for key in ("x_t", "x_1_pred", "v_t") if key in rtc and key in plain]
    grid = figure.subplots(len(rows), len(keys), sharex=True, squeeze=False)
    for row, dim in zip(grid, rows):
        at = (slice(None), batch, step, dim)
        for axes, key in zip(row, keys):
            _both(axes, rtc, plain, key, at)
            if axes not in grid[0]:
                axes.set_title("")
            if key != "v_t":
                _previous_line(axes, rtc, at, weight)
            flow_time_axis(axes, label=axes in grid[-1])
        row[0].set_ylabel(f"dimension {dim}", fontweight="bold")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _both(axes: Axes, rtc: Arrays, plain: Arrays, key: str, at: tuple[Any, ...]) -> None:
    """One quantity of both runs over the flow time; states are drawn to their end."""
    axes.set_title(TITLES[key])
    if key not in rtc or key not in plain:
        axes.text(0.5, 0.5, f"no {key} in both runs", ha="center", transform=axes.transAxes)
        return
    for arrays, color, label in ((plain, NAIVE, WITHOUT), (rtc, REALTIME, WITH)):
        time, values = arrays["time"], arrays[key]
        if key in ("x_t", "x_1_pred"):
            time, values = np.append(time, 1.0), with_end(arrays, key)
        axes.plot(time, values[at], "o-", ms=3.5, color=color, label=label)


def _previous_line(axes: Axes, rtc: Arrays, at: tuple[Any, ...], weight: float) -> None:
    if weight > 0 and "prev_action_chunk" in rtc:
        target = rtc["prev_action_chunk"][at[1:]]
        axes.axhline(target, color=PREVIOUS, ls="--", lw=1.6, label="previous chunk")


@styled
def plot_trajectory_comparison(
    rtc_tracked: Mapping[str, Any],
    no_rtc_tracked: Mapping[str, Any],
    variable_name: str = "x_t",
    batch_idx: int = 0,
    action_dim_indices: Sequence[int] | None = None,
    figsize: FigSize | None = None,
) -> Figure:
    """All steps of the chunk over the flow: without guidance on the left, with it on the right.

    One line for each step of the chunk, from dark (executed first) to light; where a step is
    held to the previous chunk, that chunk's action is a red dashed line, fainter with less
    weight, with a dot in the colour of the step. One row for each action dimension.

    variable_name: "x_t", "v_t" or "x_1_pred". action_dim_indices: None for all.
    Raises ValueError as `plot_rtc_comparison`, and for an unknown variable.
    """
    rtc, plain = read_pair(rtc_tracked, no_rtc_tracked)
    if variable_name not in PER_STEP:
        raise TrackingError(
            f"variable_name: unknown {variable_name!r}{did_you_mean(variable_name, PER_STEP)}"
        )
    for name, arrays in (("rtc_tracked", rtc), ("no_rtc_tracked", plain)):
        if variable_name not in arrays:
            raise TrackingError(f"{name}: no key {variable_name!r}")
    _, batches, horizon, dims = rtc["x_t"].shape
    batch = check_index(batch_idx, batches, "batch_idx")
    rows = check_indices(action_dim_indices, dims, "action_dim_indices")
    figure = new_figure(
        figsize or (12, 1.6 + 2.2 * len(rows)),
        "All steps of the chunk, without and with guidance",
        f"{TITLES[variable_name]}; the same noise; batch element {batch}",
    )
    grid = figure.subplots(len(rows), 2, sharex=True, sharey="row", squeeze=False)
    colors = [STEP_COLORS(value) for value in np.linspace(0, 1, horizon)]
    for row, dim in zip(grid, rows):
        for axes, arrays in zip(row, (plain, rtc)):
            _all_steps(axes, arrays, variable_name, batch, dim, colors)
            if variable_name in ("x_t", "x_1_pred"):
                _previous_lines(axes, rtc, batch, dim, colors)
            flow_time_axis(axes, label=axes in grid[-1])
        row[0].set_ylabel(f"dimension {dim}", fontweight="bold")
    grid[0, 0].set_title(WITHOUT)
    grid[0, 1].set_title(WITH)
    _step_bar(figure, grid, horizon)
    handles, labels = grid[0, 1].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center")
    return figure


def _all_steps(
    axes: Axes, arrays: Arrays, key: str, batch: int, dim: int, colors: Sequence[Any], **style: Any
) -> None:
    ended = key in ("x_t", "x_1_pred")
    time = np.append(arrays["time"], 1.0) if ended else arrays["time"]
    values = (with_end(arrays, key) if ended else arrays[key])[:, batch, :, dim]
    for step, color in enumerate(colors):
        axes.plot(time, values[:, step], color=color, lw=1.5, **style)


def _previous_lines(axes: Axes, rtc: Arrays, batch: int, dim: int, colors: Sequence[Any]) -> None:
    """Where each held step should end, over the second half of the flow."""
    if "prev_action_chunk" not in rtc:
        return
    label = "previous chunk, for each step that is held to it"
    for step, weight in enumerate(prefix_weights(rtc)):
        if weight > 0:
            target = rtc["prev_action_chunk"][batch, step, dim]
            fading = 0.3 + 0.7 * float(weight)
            axes.plot([0.5, 1.03], [target] * 2, "--", color=PREVIOUS, lw=1.3, alpha=fading)
            axes.plot([], [], "--", color=PREVIOUS, label=label)
            axes.plot(1.03, target, "o", ms=5.5, mfc=colors[step], mec=PREVIOUS, clip_on=False)
            label = "_"


def _step_bar(figure: Figure, axes: Any, horizon: int) -> None:
    mappable = ScalarMappable(Normalize(0, max(horizon - 1, 1)), STEP_COLORS)
    bar = figure.colorbar(mappable, ax=axes, pad=0.01, aspect=40, fraction=0.03)
    bar.outline.set_visible(False)
    bar.set_label("step of the chunk")
    bar.set_ticks(range(horizon))


@styled
def plot_overlay_comparison(
    rtc_tracked: Mapping[str, Any],
    no_rtc_tracked: Mapping[str, Any],
    batch_idx: int = 0,
    action_dim_indices: Sequence[int] | None = None,
    figsize: FigSize | None = None,
) -> Figure:
    """Both runs in one picture: their flows (left) and the chunks they end in (right).

    Left: x_t of every step of the chunk, dark executed first. Right: the finished chunks over
    their steps, with the previous chunk red and dashed, and the steps of weight 1 shaded.
    One row for each action dimension; action_dim_indices: None for all.
    Raises ValueError as `plot_rtc_comparison`.
    """
    rtc, plain = read_pair(rtc_tracked, no_rtc_tracked)
    _, batches, horizon, dims = rtc["x_t"].shape
    batch = check_index(batch_idx, batches, "batch_idx")
    rows = check_indices(action_dim_indices, dims, "action_dim_indices")
    figure = new_figure(
        figsize or (12, 1.6 + 2.2 * len(rows)),
        "Two flows from the same noise, and the chunks they end in",
        f"batch element {batch}",
    )
    grid = figure.subplots(len(rows), 2, sharex="col", squeeze=False, width_ratios=[1.25, 1])
    for (flow, chunk), dim in zip(grid, rows):
        _all_steps(flow, plain, "x_t", batch, dim, gradient(NAIVE, horizon), alpha=0.8)
        _all_steps(flow, rtc, "x_t", batch, dim, gradient(REALTIME, horizon), alpha=0.8)
        flow.set_ylabel(f"dimension {dim}", fontweight="bold")
        flow_time_axis(flow, label=flow is grid[-1, 0])
        _chunks(chunk, rtc, plain, batch, dim)
    grid[0, 0].set_title("x_t of every step of the chunk, dark is executed first")
    grid[0, 1].set_title("the finished chunks; shaded: held with weight 1")
    grid[-1, 1].set_xlabel("step of the chunk")
    handles, labels = grid[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _chunks(axes: Axes, rtc: Arrays, plain: Arrays, batch: int, dim: int) -> None:
    weights = prefix_weights(rtc)
    frozen, held = int(np.sum(weights >= 1)), np.flatnonzero(weights > 0)
    if frozen:
        axes.axvspan(-0.5, frozen - 0.5, color=SHADE, lw=0)
    steps = np.arange(len(weights))
    axes.plot(steps, plain["x_1"][batch, :, dim], "o-", color=NAIVE, label=WITHOUT)
    axes.plot(steps, rtc["x_1"][batch, :, dim], "o-", color=REALTIME, label=WITH)
    if "prev_action_chunk" in rtc and held.size:
        previous = rtc["prev_action_chunk"][batch, held, dim]
        axes.plot(held, previous, "s--", color=PREVIOUS, lw=1.6, ms=3.5, label="previous chunk")
    axes.set_xlim(-0.5, len(weights) - 0.5)
    axes.set_xticks(steps)
