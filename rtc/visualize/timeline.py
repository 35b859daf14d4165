"""An episode as a sequence of chunks: what was executed, and which chunk each action came from."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from rtc.errors import check_whole, shown
from rtc.visualize.style import (
    PREVIOUS,
    SHADE,
    STATE,
    FigSize,
    method_color,
    new_figure,
    shades,
    styled,
)
from rtc.visualize.tracked import TrackingError, check_finite, check_index, check_indices


class ChunkTimeline(NamedTuple):
    """One episode under one method; t steps, k chunks of h actions, a action dimensions.

    actions: [t, a] as commanded, before the environment's noise. source: [t] number of the
    chunk each came from. starts: [k] step at which a chunk's inference began (its action 0 is
    meant for that step). chunks: [k, h, a]. solved: the goal was reached. used: action
    dimensions that move something, of which jumps are measured; None for all. Chunk 0 is the
    one in execution when the episode begins.
    """

    actions: np.ndarray
    source: np.ndarray
    starts: np.ndarray
    chunks: np.ndarray
    solved: bool
    used: Sequence[int] | None = None


@styled
def plot_chunk_timeline(
    timelines: Mapping[str, ChunkTimeline],
    action_dim_idx: int = 0,
    window: tuple[int, int] | None = None,
    figsize: FigSize | None = None,
    *,
    mark: int | None = None,
) -> Figure:
    """Executed actions over an episode, one panel a method, on common axes.

    Dots are executed actions, in two alternating shades, one for each chunk; thin lines are
    what a chunk had planned and was not executed; shaded is the time in which the next chunk
    is being inferred, and a vertical line is the switch to it. The red step at a switch is the
    jump. The bars below show each chunk from the start of its inference (hatched) to its end.

    timelines: method name -> episode, of episodes under the same noise.
    window: first step and the step after the last; None for the whole of the longest episode.
    mark: a step to point at, the decision that other pictures show.
    Raises ValueError naming a wrong rank or an index out of range.
    """
    if not isinstance(timelines, Mapping) or not timelines:
        kind = "empty" if isinstance(timelines, Mapping) else type(timelines).__name__
        raise TrackingError(f"timelines: {kind}, expected at least one method by its name")
    episodes = {name: _checked(t, f"timelines[{name!r}]") for name, t in timelines.items()}
    dims = min(episode.actions.shape[1] for episode in episodes.values())
    dim = check_index(action_dim_idx, dims, "action_dim_idx")
    begin, end = _window(window, max(len(episode.actions) for episode in episodes.values()))
    figure = new_figure(
        figsize or (13, 1.6 + 2.7 * len(episodes)),
        "Chunks in execution",
        f"action dimension {dim}, environment steps {begin} to {end - 1}, the same noise",
    )
    heights = [3.2, 0.7] * len(episodes)
    grid = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    for (name, episode), panel, bars in zip(episodes.items(), grid[::2], grid[1::2]):
        _actions_panel(panel, episode, dim, method_color(name), (begin, end))
        panel.set_title(_describe(name, episode))
        _bars_panel(bars, episode, method_color(name), (begin, end))
    _same_height(grid[::2])
    if mark is not None:
        check_whole("mark", mark, 0)
    if mark is not None and begin <= mark < end:
        grid[-2].annotate(
            "decision",
            (mark, 0),
            (mark, 0.16),
            xycoords=("data", "axes fraction"),
            ha="center",
            fontsize=9,
            arrowprops={"arrowstyle": "->", "color": STATE},
            bbox={"fc": "white", "ec": "none", "pad": 1.5, "alpha": 0.85},
            zorder=6,
        )
    grid[-1].xaxis.set_major_locator(MaxNLocator(14, integer=True))
    grid[-1].set_xlim(begin - 0.5, end - 0.5)
    grid[-1].set_xlabel("environment step")
    figure.legend(handles=_legend(), loc="outside lower center", ncols=5)
    return figure


def switches(timeline: ChunkTimeline) -> np.ndarray:
    """Steps at which the first action of another chunk was executed, [n]; step 0 is none."""
    return np.flatnonzero(np.diff(timeline.source)) + 1


def switch_jumps(timeline: ChunkTimeline) -> np.ndarray:
    """Euclidean distance between the actions before and at each switch, [n]; see `used`."""
    timeline = _checked(timeline, "timeline")
    at = switches(timeline)
    steps = timeline.actions[at] - timeline.actions[at - 1]
    return np.linalg.norm(steps if timeline.used is None else steps[:, timeline.used], axis=-1)


def mismatches(timeline: ChunkTimeline) -> np.ndarray:
    """How far each chunk is from the actions executed while it was inferred, [n]; see `used`.

    The mean absolute difference over those steps and the action dimensions; chunks of which
    nothing was executed, or that were there at once, do not count.
    """
    timeline = _checked(timeline, "timeline")
    apart = []
    for number in np.unique(timeline.source).tolist():
        begin, ready = int(timeline.starts[number]), int(np.argmax(timeline.source == number))
        if ready > begin:
            planned = timeline.chunks[number, : ready - begin]
            difference = np.abs(planned - timeline.actions[begin:ready])
            used = slice(None) if timeline.used is None else timeline.used
            apart.append(float(difference[:, used].mean()))
    return np.array(apart)


def _checked(timeline: ChunkTimeline, name: str) -> ChunkTimeline:
    """The arrays as numpy, once it is sure that they fit each other. Raises TrackingError."""
    if not isinstance(timeline, ChunkTimeline):
        raise TrackingError(f"{name}: expected a ChunkTimeline, got {type(timeline).__name__}")
    arrays = {}
    for field, rank in (("actions", 2), ("source", 1), ("starts", 1), ("chunks", 3)):
        array = np.asarray(getattr(timeline, field))
        if array.ndim != rank:
            raise TrackingError(f"{name}.{field}: expected rank {rank}, got rank {array.ndim}")
        check_finite(array, f"{name}.{field}")
        arrays[field] = array
    actions, source, starts, chunks = arrays.values()
    for left, right in (("actions", "source"), ("starts", "chunks")):
        if len(arrays[left]) != len(arrays[right]):
            raise TrackingError(
                f"{name}.{right}: expected {len(arrays[left])} entries like {left}, "
                f"got {len(arrays[right])}"
            )
    if len(actions) == 0:
        raise TrackingError(f"{name}.actions: empty, expected at least one step")
    if chunks.shape[2] != actions.shape[1]:
        raise TrackingError(
            f"{name}.chunks: expected {actions.shape[1]} action dimensions like actions, "
            f"got {chunks.shape[2]}"
        )
    for field in ("source", "starts"):
        if arrays[field].dtype.kind not in "iu":
            given = arrays[field].dtype
            raise TrackingError(f"{name}.{field}: expected whole numbers, got {given}")
    for chunk in (int(source.min()), int(source.max())):
        if not 0 <= chunk < len(chunks):
            raise TrackingError(
                f"{name}.source: chunk {chunk} is out of range, expected 0 to {len(chunks) - 1}"
            )
    # Chunks after the end of an episode may be there, but none can be executed before its start.
    early = np.flatnonzero(starts[source] > np.arange(len(source)))
    if len(early):
        step, chunk = int(early[0]), int(source[early[0]])
        raise TrackingError(
            f"{name}.starts: expected chunk {chunk} to begin by step {step}, at which it is "
            f"executed, got {starts[chunk]}"
        )
    if timeline.used is not None:
        check_indices(timeline.used, actions.shape[1], f"{name}.used")
    return timeline._replace(**arrays)


def _window(window: tuple[int, int] | None, steps: int) -> tuple[int, int]:
    if window is None:
        return 0, steps
    if len(window) != 2 or not all(isinstance(step, Integral) for step in window):
        raise TrackingError(f"window: expected two whole numbers, got {shown(window)}")
    begin, end = window
    if not 0 <= begin < steps or begin >= end:
        raise TrackingError(
            f"window: ({begin}, {end}) is out of range, "
            f"expected a first step of 0 to {steps - 1} and a later end"
        )
    return begin, min(end, steps)


def _actions_panel(
    axes: Axes, episode: ChunkTimeline, dim: int, color: str, window: tuple[int, int]
) -> None:
    shown = np.arange(window[0], min(window[1], len(episode.actions)))
    values = episode.actions[:, dim]
    tones = shades(color)
    axes.plot(shown, values[shown], "-", color=color, lw=1, alpha=0.6, zorder=3)
    for number in np.unique(episode.source[shown]).tolist():
        steps = shown[episode.source[shown] == number]
        tone = tones(0.25 if number % 2 else 0.6)
        axes.plot(steps, values[steps], "o-", color=tone, lw=2, zorder=4)
        _planned_only(axes, episode, number, dim, steps)
    for step in switches(episode):
        number = episode.source[step]
        begin = episode.starts[number]
        if step > begin:
            axes.axvspan(begin - 0.5, step - 0.5, color=SHADE, lw=0, zorder=0)
        axes.axvline(step - 0.5, color="#9A9AA5", lw=0.8, zorder=1)
        if step in shown:
            axes.plot([step - 1, step], values[[step - 1, step]], color=PREVIOUS, lw=2, zorder=3.5)
    if len(episode.actions) < window[1]:
        axes.axvline(len(episode.actions) - 0.5, color=STATE, lw=1.5)
    axes.set_ylabel("action")


def _planned_only(
    axes: Axes, episode: ChunkTimeline, number: int, dim: int, executed: np.ndarray
) -> None:
    """The rest of a chunk: what it had meant for steps that another chunk governed."""
    chunk, start = episode.chunks[number, :, dim], int(episode.starts[number])
    steps = start + np.arange(len(chunk))
    for rest in (steps <= executed[0], steps >= executed[-1]):
        if np.sum(rest) > 1:
            axes.plot(steps[rest], chunk[rest], color="#8A8A94", lw=0.9, alpha=0.7, zorder=2)


def _bars_panel(axes: Axes, episode: ChunkTimeline, color: str, window: tuple[int, int]) -> None:
    """Each chunk as a bar on one of two rows, hatched while it is inferred."""
    tones = shades(color)
    for number in np.unique(episode.source).tolist():
        steps = np.flatnonzero(episode.source == number)
        if steps[-1] < window[0] or steps[0] >= window[1]:
            continue
        row, start = number % 2, min(int(episode.starts[number]), steps[0])
        tone = tones(0.25 if number % 2 else 0.6)
        axes.barh(row, len(steps), left=steps[0] - 0.5, height=0.8, color=tone, lw=0)
        axes.barh(
            row,
            steps[0] - start,
            left=start - 0.5,
            height=0.8,
            facecolor=SHADE,
            edgecolor="#A9A9B3",
            hatch="/////",
            lw=0,
        )
        middle = steps[0] + len(steps) / 2 - 0.5
        if window[1] - window[0] <= 90 and window[0] <= middle < window[1]:
            axes.text(middle, row, number, ha="center", va="center", fontsize=7, color="white")
    axes.set_ylim(-0.6, 1.6)
    axes.invert_yaxis()
    axes.set_yticks([])
    axes.set_ylabel("chunk", rotation=0, ha="right", va="center", fontsize=9)
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)


def _describe(name: str, episode: ChunkTimeline) -> str:
    """Outcome; how far a new chunk is from the old one while both run; the jump between them."""
    text = f"{name}: {'solved' if episode.solved else 'not solved'}, {len(episode.actions)} steps"
    apart, jumps = mismatches(episode), switch_jumps(episode)
    if len(apart):
        text += f"; new and old chunk differ by {apart.mean():.2f} during inference"
    return text + (f", jump at a switch {jumps.mean():.2f}" if len(jumps) else "")


def _same_height(panels: np.ndarray) -> None:
    low = min(axes.get_ylim()[0] for axes in panels)
    high = max(axes.get_ylim()[1] for axes in panels)
    for axes in panels:
        axes.set_ylim(low, high)


def _legend() -> list:
    return [
        Line2D([], [], color="#555555", marker="o", label="executed, shade changes with the chunk"),
        Line2D([], [], color="#8A8A94", lw=0.9, label="planned, not executed"),
        Line2D([], [], color=PREVIOUS, lw=2, label="jump at a switch"),
        Line2D([], [], color="#9A9AA5", lw=0.8, label="switch"),
        Patch(facecolor=SHADE, edgecolor="#A9A9B3", hatch="/////", lw=0, label="inference runs"),
    ]
