"""A chunk as it forms, flow step by flow step, as a short film."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rtc.errors import check_whole
from rtc.storage.io import atomic_path
from rtc.storage.video import write_video
from rtc.visualize.comparison import WITH, WITHOUT
from rtc.visualize.style import (
    INK,
    NAIVE,
    PREVIOUS,
    REALTIME,
    RULES,
    SHADE,
    FigSize,
    new_figure,
)
from rtc.visualize.tracked import (
    TrackingError,
    check_index,
    check_indices,
    prefix_weights,
    read_pair,
    read_tracked,
    with_end,
)

Arrays = Mapping[str, np.ndarray]
HOLD_START, HOLD_END = 0.6, 1.8  # seconds that noise and the finished chunk stand still
FILM_DPI = 100


def animate_chunk_formation(
    tracked_steps: Mapping[str, Any],
    output_path: str | Path,
    no_rtc_tracked: Mapping[str, Any] | None = None,
    batch_idx: int = 0,
    action_dim_indices: Sequence[int] | None = (0, 1, 2),
    fps: int = 8,
    figsize: FigSize | None = None,
) -> str:
    """Writes a film of the chunk forming over the flow steps; returns its path.

    A solid line is x_t over the steps of the chunk, a dashed one where the flow would end from
    there (x_1_pred), red the previous chunk where the new one is held to it; the shade is as
    dark as the weight.

    output_path: ends in .mp4 or .gif. no_rtc_tracked: a run without guidance from the same
    noise, shown beside. fps: flow steps a second.
    Raises ValueError naming a missing key, a wrong rank, an index out of range or the suffix.
    """
    path = _film_path(output_path)
    check_whole("fps", fps, 1, 60)
    if no_rtc_tracked is None:
        rtc = read_tracked(tracked_steps)
        runs = [(WITH if "correction" in rtc else WITHOUT, rtc)]
    else:
        rtc, plain = read_pair(tracked_steps, no_rtc_tracked)
        runs = [(WITHOUT, plain), (WITH, rtc)]
    _, batches, _, dims = rtc["x_t"].shape
    batch = check_index(batch_idx, batches, "batch_idx")
    rows = check_indices(action_dim_indices, dims, "action_dim_indices")
    write_film(path, _frames(runs, rtc, batch, rows, fps, figsize), fps)
    return str(path)


def write_film(path: str | Path, frames: Iterable[np.ndarray], fps: int) -> None:
    """Writes frames [height, width, 3] uint8 as .mp4 (H.264) or .gif, whole or not at all.

    Frames are taken one at a time; a .gif keeps a picture that stands still once, for longer.
    """
    check_whole("fps", fps, 1, 100)
    if _film_path(path).suffix != ".gif":
        write_video(path, frames, float(fps))
        return
    from PIL import Image

    pictures = (_picture(frame).convert("P", palette=Image.ADAPTIVE) for frame in frames)
    first = next(pictures, None)
    if first is None:
        raise TrackingError("frames: expected at least one, got none")
    with atomic_path(path) as temporary:
        first.save(temporary, save_all=True, append_images=pictures, duration=1000 // fps, loop=0)


def _film_path(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix not in (".mp4", ".gif"):
        raise TrackingError(f"output_path: expected a name ending in .mp4 or .gif, got {path.name}")
    return path


def _picture(frame: np.ndarray) -> Any:
    from PIL import Image

    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        given = f"{frame.dtype} {list(frame.shape)}"
        raise TrackingError(f"frames: expected uint8 [height, width, 3], got {given}")
    return Image.fromarray(frame)


def _frames(
    runs: Sequence[tuple[str, Arrays]],
    rtc: Arrays,
    batch: int,
    rows: Sequence[int],
    fps: int,
    figsize: FigSize | None,
) -> Iterator[np.ndarray]:
    """The pictures of the film, the first and the last several times."""
    with matplotlib.rc_context(RULES):
        size = figsize or (1 + 5.5 * len(runs), 1.6 + 1.9 * len(rows))
        about = "shaded: steps held to the previous chunk, darker with more weight"
        figure = new_figure(size, "A chunk forms", about if prefix_weights(rtc).any() else "")
        canvas = FigureCanvasAgg(figure)
        grid = figure.subplots(len(rows), len(runs), sharex=True, sharey="row", squeeze=False)
        moving = [
            (_panel(axes, arrays, rtc, batch, dim, color), arrays, dim)
            for row, dim in zip(grid, rows)
            for axes, (name, arrays) in zip(row, runs)
            for color in [REALTIME if name == WITH else NAIVE]
        ]
        for axes, (name, _) in zip(grid[0], runs):
            axes.set_title(name)
        clock = _decorate(figure, grid, rows)
        times = np.append(rtc["time"], 1.0)
        for number, time in enumerate(times):
            for (state, ahead), arrays, dim in moving:
                state.set_ydata(with_end(arrays)[number, batch, :, dim])
                if ahead is not None:
                    ahead.set_ydata(with_end(arrays, "x_1_pred")[number, batch, :, dim])
            clock.set_text(f"flow time {time:.2f}   (0 noise, 1 action)")
            canvas.draw()
            figure.set_layout_engine("none")
            hold = {0: HOLD_START, len(times) - 1: HOLD_END}.get(number, 0.0)
            frame = np.asarray(canvas.buffer_rgba())[..., :3].copy()
            for _ in range(1 + round(hold * fps)):
                yield frame


def _panel(axes: Axes, arrays: Arrays, rtc: Arrays, batch: int, dim: int, color: str) -> Any:
    """Draws what stands still; returns the two lines that move."""
    weights = prefix_weights(rtc)
    steps = np.arange(len(weights))
    for step, weight in enumerate(weights):
        if weight > 0:
            axes.axvspan(step - 0.5, step + 0.5, color=SHADE, alpha=float(weight), lw=0)
    held = np.flatnonzero(weights > 0)
    if held.size and "prev_action_chunk" in rtc:
        target = rtc["prev_action_chunk"][batch, held, dim]
        axes.plot(held, target, "s--", color=PREVIOUS, ms=4, label="previous chunk")
    (state,) = axes.plot(steps, steps * 0.0, "o-", color=color, lw=2.4, ms=5, label="x_t")
    ahead = None
    if "x_1_pred" in arrays:
        (ahead,) = axes.plot(steps, steps * 0.0, "--", color=color, lw=1.2, label="x_1_pred")
    seen = [arrays["x_t"][:, batch, :, dim], arrays["x_1"][batch, :, dim]]
    low, high = min(values.min() for values in seen), max(values.max() for values in seen)
    bottom, top = axes.get_ylim() if held.size else (low, high)
    margin = 0.06 * max(high - low, 1e-3)
    axes.set_ylim(min(low, bottom) - margin, max(high, top) + margin)
    axes.set_xlim(-0.5, len(steps) - 0.5)
    axes.set_xticks(steps)
    return state, ahead


def _decorate(figure: Figure, grid: np.ndarray, rows: Sequence[int]) -> Any:
    """Labels and legend; returns the text that tells the time."""
    for row, dim in zip(grid, rows):
        row[0].set_ylabel(f"dimension {dim}", fontweight="bold")
    for axes in grid[-1]:
        axes.set_xlabel("step of the chunk")
    handles, labels = grid[0, -1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure.text(0.985, 0.985, "", ha="right", va="top", fontsize=11, color=INK)
