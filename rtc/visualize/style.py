"""How the pictures of this package look: colours by meaning, one set of axes rules.

Figures are made without pyplot, so nothing global is left behind and none needs closing.
"""

import functools
from collections.abc import Callable
from typing import ParamSpec

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure

from rtc.errors import ArgumentError, shown

FigSize = tuple[float | int, float | int]

# One colour for one meaning, in every picture; methods as in the figures of the report.
NAIVE = "#4d4d4d"
REALTIME = "#0072b2"
PREVIOUS = "#D62728"
STATE = "#22223B"
VELOCITY = "#6A4C93"
CORRECTION = "#C8553D"
ERROR = "#8A5A44"
GUIDED = "#2A9D8F"
SHADE = "#ECECF1"
INK = "#333333"
# Steps of a chunk, dark is executed first; viridis without its palest part.
STEP_COLORS = matplotlib.colormaps["viridis"].resampled(256)
STEP_COLORS = LinearSegmentedColormap.from_list("steps", STEP_COLORS(np.linspace(0, 0.9, 64)))

METHOD_COLORS = {
    "naive": NAIVE,
    "realtime": REALTIME,
    "hard_masking": "#56b4e9",
    "bid": "#d55e00",
    "bid_rejection": "#e69f00",
    "te": "#009e73",
    "ttrtc": "#cc79a7",
    "diffuser_overwrite": "#8b5a2b",
}
OTHER_COLORS = ("#009e73", "#cc79a7", "#56b4e9", "#8b5a2b", "#d55e00")

RULES = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 7,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E8",
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "rtc",
}

Arguments = ParamSpec("Arguments")


def styled(plot: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Draws with the rules above and leaves matplotlib's own settings as they were."""

    @functools.wraps(plot)
    def with_rules(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
        with matplotlib.rc_context(RULES):
            return plot(*args, **kwargs)

    return with_rules


def new_figure(figsize: FigSize, title: str, subtitle: str = "") -> Figure:
    """An empty figure with a title, and a line below it that says what it shows.

    Raises ArgumentError unless figsize is width and height in inches, 0.5 to 200.
    """
    sides = np.asarray(figsize)
    numbers = sides.shape == (2,) and sides.dtype.kind in "if"
    if not numbers or not ((sides >= 0.5) & (sides <= 200)).all():
        raise ArgumentError(
            f"figsize: expected width and height, 0.5 to 200 inches, got {shown(figsize)}"
        )
    figure = Figure(figsize=figsize, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0.03, hspace=0.04)
    text = f"$\\bf{{{_math(title)}}}$"
    figure.suptitle(f"{text}\n{subtitle}" if subtitle else text, x=0.01, ha="left", fontsize=12)
    return figure


def _math(text: str) -> str:
    """`text` for mathtext's bold face, which drops plain spaces and reads _, ^, %, # and $."""
    for special in "\\{}$%#&~^":
        text = text.replace(special, "")
    return text.replace("_", "\\_").replace("-", "{-}").replace(",", "{,}").replace(" ", "\\ ")


def method_color(name: str) -> str:
    """The colour of a method; the same name gets the same one everywhere."""
    if name in METHOD_COLORS:
        return METHOD_COLORS[name]
    return OTHER_COLORS[sum(name.encode()) % len(OTHER_COLORS)]


def gradient(color: str, steps: int) -> list[tuple[float, ...]]:
    """`steps` shades of `color`, from dark (first) to light (last)."""
    scale = shades(color)
    return [scale(position) for position in np.linspace(0.0, 1.0, max(steps, 2))[:steps]]


def shades(color: str) -> Colormap:
    """A colour map from a dark shade of `color` to a light one."""
    rgb = np.array(matplotlib.colors.to_rgb(color))
    return LinearSegmentedColormap.from_list(color, [rgb * 0.45, rgb, rgb + (1 - rgb) * 0.62])


def flow_time_axis(axes: Axes, label: bool = True) -> None:
    """The x axis from noise (0) to action (1)."""
    axes.set_xlim(-0.02, 1.04)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    if label:
        axes.set_xlabel("flow time t   (0 noise, 1 action)")
