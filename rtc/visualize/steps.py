"""One tracked run: how a chunk forms, what pulls at it, and how far it is from the previous one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rtc.storage.io import atomic_path
from rtc.visualize.style import (
    CORRECTION,
    ERROR,
    GUIDED,
    PREVIOUS,
    STATE,
    STEP_COLORS,
    VELOCITY,
    FigSize,
    flow_time_axis,
    new_figure,
    styled,
)
from rtc.visualize.tracked import (
    TrackingError,
    check_index,
    check_indices,
    prefix_weights,
    read_tracked,
    with_end,
)

DPI = 130


@styled
def plot_flow_matching_steps(
    tracked_steps: Mapping[str, Any],
    batch_idx: int = 0,
    action_dim_idx: int = 0,
    horizon_idx: int = 0,
    figsize: FigSize | None = None,
) -> Figure:
    """One number of one chunk over the flow steps: state, velocity, correction, error.

    tracked_steps: of `realtime_action` or `action` with `return_tracking=True`; without
        guidance only state and velocity are drawn.
    figsize: inches; None for (12, 7), or (12, 4) without guidance.
    Raises ValueError naming a missing key, a wrong rank or an index out of range.
    """
    arrays = read_tracked(tracked_steps)
    batch, dim, step = _pick(arrays, batch_idx, action_dim_idx, horizon_idx)
    at = (slice(None), batch, step, dim)
    guided = "correction" in arrays
    weight = float(prefix_weights(arrays)[step])
    about = f"action dimension {dim}, step {step} of the chunk, batch element {batch}"
    if guided:
        about += f"; held to the previous chunk with weight {weight:.2f}"
    figure = new_figure(figsize or (12, 7 if guided else 4), "How one action forms", about)
    grid = figure.subplots(2 if guided else 1, 2, sharex=True, squeeze=False)
    time = arrays["time"]
    _state_panel(grid[0, 0], arrays, at, weight)
    _velocity_panel(grid[0, 1], arrays, at)
    if guided:
        _stems(grid[1, 0], time, arrays["correction"][at], CORRECTION)
        grid[1, 0].set_title("correction: what guidance adds to the velocity")
        if "guidance_weight" in arrays:
            _guidance_weight_line(grid[1, 0], arrays)
    if guided and "error" in arrays:
        _stems(grid[1, 1], time, arrays["error"][at], ERROR)
        grid[1, 1].set_title("error: weight x (previous chunk - predicted action)")
    elif guided:
        grid[1, 1].set_visible(False)
    for axes in grid.flat:
        flow_time_axis(axes, label=axes in grid[-1])
    return figure


def _pick(
    arrays: Mapping[str, np.ndarray], batch: int, dim: int, step: int
) -> tuple[int, int, int]:
    _, batches, horizon, dims = arrays["x_t"].shape
    return (
        check_index(batch, batches, "batch_idx"),
        check_index(dim, dims, "action_dim_idx"),
        check_index(step, horizon, "horizon_idx"),
    )


def _state_panel(
    axes: Axes, arrays: Mapping[str, np.ndarray], at: tuple[Any, ...], weight: float
) -> None:
    time = np.append(arrays["time"], 1.0)
    if "x_1_pred" in arrays:
        ends = with_end(arrays, "x_1_pred")[at]
        axes.plot(time, ends, "--", color=GUIDED, lw=1.4, label="x_1_pred, where it would end")
    axes.plot(time, with_end(arrays)[at], "o-", color=STATE, label="x_t")
    if weight > 0 and "prev_action_chunk" in arrays:
        target = arrays["prev_action_chunk"][at[1:]]
        axes.axhline(target, color=PREVIOUS, ls="--", lw=1.6, label="previous chunk")
    axes.set_title("x_t: from noise to action")
    axes.legend(loc="best")


def _velocity_panel(axes: Axes, arrays: Mapping[str, np.ndarray], at: tuple[Any, ...]) -> None:
    velocity, time = arrays["v_t"][at], arrays["time"]
    axes.axhline(0, color="#AAAAAA", lw=0.8)
    axes.plot(time, velocity, "o-", color=VELOCITY, label="v_t of the network")
    if "correction" in arrays:
        followed = velocity + arrays["correction"][at]
        axes.plot(time, followed, "-", color=CORRECTION, lw=1.4, label="v_t + correction, followed")
        axes.fill_between(time, velocity, followed, color=CORRECTION, alpha=0.15, lw=0)
    axes.set_title("v_t: the way the flow moves")
    axes.legend(loc="best")


def _stems(axes: Axes, time: np.ndarray, values: np.ndarray, color: str) -> None:
    axes.axhline(0, color="#AAAAAA", lw=0.8)
    axes.vlines(time, 0, values, color=color, lw=2, alpha=0.45)
    axes.plot(time, values, "o", color=color)


def _guidance_weight_line(axes: Axes, arrays: Mapping[str, np.ndarray]) -> None:
    other = axes.twinx()
    other.plot(arrays["time"], arrays["guidance_weight"], ":", color="#777777", lw=1.3)
    other.set_ylabel("guidance weight (dotted)", color="#777777", fontsize=9)
    other.set_ylim(0, None)
    other.grid(False)
    other.tick_params(colors="#777777", labelsize=8)


@styled
def plot_error_over_steps(
    tracked_steps: Mapping[str, Any],
    batch_idx: int = 0,
    figsize: FigSize = (12, 4.6),
    *,
    action_dim_indices: Sequence[int] | None = None,
) -> Figure:
    """Size of the error over the flow: for the chunk as a whole, and for each of its steps.

    The size is the Euclidean norm over the action dimensions (left, one line a step and the
    norm of all), so a healthy run ends near 0. action_dim_indices: None for all of them.
    Raises ValueError naming a missing key, a wrong rank or an index out of range.
    """
    arrays = read_tracked(tracked_steps, needed=("error",))
    batch = check_index(batch_idx, arrays["x_t"].shape[1], "batch_idx")
    dims = check_indices(action_dim_indices, arrays["x_t"].shape[-1], "action_dim_indices")
    size = np.linalg.norm(arrays["error"][:, batch][..., dims], axis=-1)
    which = "all action dimensions"
    if action_dim_indices is not None:
        which = f"action dimension{'s' * (len(dims) > 1)} {', '.join(map(str, dims))}"
    weights = prefix_weights(arrays)
    time = arrays["time"]
    figure = new_figure(
        figsize,
        "Distance to the previous chunk while the new one forms",
        f"error = weight x (previous chunk - predicted chunk), norm over {which}; "
        f"batch element {batch}",
    )
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
    held = [step for step in range(size.shape[1]) if weights[step] > 0]
    left.plot(time, np.linalg.norm(size, axis=1), color=ERROR, lw=2.6, label="whole chunk")
    for step in held:
        color = STEP_COLORS(step / max(size.shape[1] - 1, 1))
        label = f"step {step} (weight {weights[step]:.2f})"
        left.plot(time, size[:, step], "o-", color=color, lw=1.2, ms=3, label=label)
    left.set_title("error by step of the chunk")
    left.set_ylim(0, 1.35 * max(np.linalg.norm(size, axis=1).max(), 1e-6))
    left.legend(loc="upper right", fontsize=8, ncols=2)
    flow_time_axis(left)
    _error_map(figure, right, time, size, weights)
    return figure


def _error_map(
    figure: Figure, axes: Axes, time: np.ndarray, size: np.ndarray, weights: np.ndarray
) -> None:
    edges = np.append(time, 1.0)
    rows = np.arange(size.shape[1] + 1) - 0.5
    image = axes.pcolormesh(edges, rows, size.T, cmap="magma_r", vmin=0)
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=30)
    bar.outline.set_visible(False)
    bar.set_label("size of the error")
    axes.set_yticks(
        range(size.shape[1]), [f"{step}   w {weight:.2f}" for step, weight in enumerate(weights)]
    )
    axes.invert_yaxis()
    axes.grid(False)
    axes.set_ylabel("step of the chunk, its weight w")
    axes.set_title("the same as a map; steps of weight 0 are free")
    flow_time_axis(axes)
    axes.set_xlim(0, 1)


@styled
def plot_comparison_grid(
    tracked_steps: Mapping[str, Any],
    batch_idx: int = 0,
    action_dim_indices: Sequence[int] | None = (0, 1, 2),
    horizon_idx: int = 0,
    figsize: FigSize | None = None,
) -> Figure:
    """State, velocity and correction over the flow, one row for each action dimension.

    action_dim_indices: None for all. figsize: None for a height that grows with the rows.
    Raises ValueError naming a missing key, a wrong rank or an index out of range.
    """
    arrays = read_tracked(tracked_steps)
    _, batches, horizon, dims = arrays["x_t"].shape
    batch = check_index(batch_idx, batches, "batch_idx")
    step = check_index(horizon_idx, horizon, "horizon_idx")
    rows = check_indices(action_dim_indices, dims, "action_dim_indices")
    keys = ["x_t", "v_t"] + (["correction"] if "correction" in arrays else [])
    weight = float(prefix_weights(arrays)[step])
    about = f"step {step} of the chunk (weight {weight:.2f}), batch element {batch}"
    figure = new_figure(figsize or (12, 1.2 + 2.1 * len(rows)), "Action dimensions", about)
    grid = figure.subplots(len(rows), len(keys), sharex=True, squeeze=False)
    for row, dim in zip(grid, rows):
        at = (slice(None), batch, step, dim)
        _grid_row(row, arrays, at, weight)
        row[0].set_ylabel(f"dimension {dim}", fontweight="bold")
    titles = {"x_t": "x_t, state", "v_t": "v_t, velocity", "correction": "correction"}
    for axes, key in zip(grid[0], keys):
        axes.set_title(titles[key])
    for axes in grid.flat:
        flow_time_axis(axes, label=axes in grid[-1])
    handles, labels = grid[0, 0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper right")
    return figure


def _grid_row(
    row: np.ndarray, arrays: Mapping[str, np.ndarray], at: tuple[Any, ...], weight: float
) -> None:
    time = arrays["time"]
    row[0].plot(np.append(time, 1.0), with_end(arrays)[at], "o-", color=STATE, ms=3)
    if weight > 0 and "prev_action_chunk" in arrays:
        target = arrays["prev_action_chunk"][at[1:]]
        row[0].axhline(target, color=PREVIOUS, ls="--", lw=1.6, label="previous chunk")
    row[1].axhline(0, color="#AAAAAA", lw=0.8)
    row[1].plot(time, arrays["v_t"][at], "o-", color=VELOCITY, ms=3)
    if len(row) > 2:
        _stems(row[2], time, arrays["correction"][at], CORRECTION)
    for axes in row:
        axes.yaxis.set_major_locator(MaxNLocator(5))


def save_tracking_plots(
    tracked_steps: Mapping[str, Any],
    output_dir: str | Path,
    batch_idx: int = 0,
    prefix: str = "rtc",
) -> list[str]:
    """Draws all pictures of one tracked run into `output_dir`; returns the files' paths.

    Files: `<prefix>_flow_steps_batch<i>.png`, `<prefix>_error_batch<i>.png` (guided runs only)
    and `<prefix>_comparison_grid_batch<i>.png`.
    Raises ValueError naming a missing key, a wrong rank or an index out of range.
    """
    if not prefix or Path(prefix).name != prefix:
        raise TrackingError(f"prefix: expected the beginning of a file name, got {prefix!r}")
    dims = read_tracked(tracked_steps)["x_t"].shape[-1]
    figures = {"flow_steps": plot_flow_matching_steps(tracked_steps, batch_idx=batch_idx)}
    if "error" in tracked_steps:
        figures["error"] = plot_error_over_steps(tracked_steps, batch_idx=batch_idx)
    figures["comparison_grid"] = plot_comparison_grid(
        tracked_steps, batch_idx=batch_idx, action_dim_indices=range(min(3, dims))
    )
    folder = Path(output_dir)
    paths = [folder / f"{prefix}_{kind}_batch{batch_idx}.png" for kind in figures]
    for path, figure in zip(paths, figures.values()):
        save_figure(figure, path)
    return [str(path) for path in paths]


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes `figure` in the format of the path's suffix, whole or not at all.

    Raises TrackingError for a suffix that matplotlib cannot write.
    """
    if not isinstance(figure, Figure):
        raise TrackingError(f"figure: expected a matplotlib Figure, got {type(figure).__name__}")
    known = figure.canvas.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in known:
        raise TrackingError(f"path: expected a name ending in .png, .svg or .pdf, got {path}")
    with atomic_path(path) as temporary:
        metadata = {"Software": None} if Path(path).suffix == ".png" else None
        figure.savefig(temporary, dpi=DPI, metadata=metadata)
