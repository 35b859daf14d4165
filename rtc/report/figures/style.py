"""How figures look: one style file, and one colour and marker for each method everywhere.

Colours are those of Okabe and Ito (2008), which stay apart for colour-blind readers, without
their yellow, which does not show on white; shapes differ as well, for print without colour.
"""

import contextlib
import textwrap
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from rtc.report.order import in_order
from rtc.report.privileged import MARK, is_privileged
from rtc.storage.io import atomic_path

STYLE = Path(__file__).with_name("rtc.mplstyle")


class MethodStyle(NamedTuple):
    """Colour, marker and dash pattern of a method's lines; a line without a marker is thin."""

    color: str
    marker: str
    dash: str


# Methods of the shipped configurations; what works alike shares a hue, or nearly so.
KNOWN = {
    "naive": MethodStyle("#4d4d4d", "o", "-"),
    "realtime": MethodStyle("#0072b2", "s", "-"),
    "hard_masking": MethodStyle("#56b4e9", "^", "-"),
    "bid": MethodStyle("#d55e00", "D", "-"),
    "bid_rejection": MethodStyle("#e69f00", "v", "-"),
    "te": MethodStyle("#009e73", "P", "-"),
    "te_median": MethodStyle("#009e73", "p", "--"),
    "blend_0.3": MethodStyle("#7fcbb0", "<", "-"),
    "blend_0.5": MethodStyle("#7fcbb0", "d", "--"),
    "blend_0.7": MethodStyle("#7fcbb0", ">", "-."),
    "ttrtc": MethodStyle("#cc79a7", "X", "-"),
    "soft": MethodStyle("#8f3b6a", "h", "-"),
    "realtime_identity": MethodStyle("#0072b2", "<", "--"),
    "diffuser_overwrite": MethodStyle("#8b5a2b", ">", "-"),
    "paint": MethodStyle("#c9a27c", "s", "-"),
    "paint_onestep": MethodStyle("#c9a27c", "^", "--"),
    "paint_midpoint": MethodStyle("#c9a27c", "D", "-."),
    "paint_warm": MethodStyle("#c9a27c", "P", ":"),
    "vlash": MethodStyle("#3d2170", "v", "-"),
    "vlash_heavy": MethodStyle("#3d2170", "^", "--"),
    "requery": MethodStyle("#8878c3", "8", "-"),
    "requery_heavy": MethodStyle("#8878c3", "d", "--"),
    "a2c2": MethodStyle("#000000", "*", "-"),
    "dream_chunk": MethodStyle("#7a7a2e", "H", "-"),
}
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8b5a2b", "#4d4d4d")
# For methods that are not known: Tol's muted colours, none of which is a known method's.
OTHER_COLORS = ("#332288", "#882255", "#999933", "#aa4499", "#661100")
OTHER_MARKERS = ("h", "p", "*", "d", "8", "H")
OTHER_DASHES = ("-", "--", "-.")
THIN = 0.9


def method_styles(methods: Iterable[str]) -> dict[str, MethodStyle]:
    """Returns a style for each method, in the one order of `rtc.report.order`.

    A known method always has its own, a thin line where it is privileged. Another takes the place
    that its name hashes to, so it looks the same in every figure; where two names meet, the later
    in the alphabet moves on.
    """
    methods = set(methods)
    known = {name: KNOWN.get(name.removesuffix(MARK)) for name in methods}
    styles = {name: style for name, style in known.items() if style is not None}
    others = [
        MethodStyle(color, marker, dash)
        for dash in OTHER_DASHES
        for marker in OTHER_MARKERS
        for color in OTHER_COLORS
    ]
    taken: list[MethodStyle] = []
    for name in sorted(methods - set(styles)):
        place = zlib.crc32(name.encode()) % len(others)
        around = others[place:] + others[:place]
        used = {style.color for style in taken}
        new_color = [style for style in around if style.color not in used]
        free = new_color or [style for style in around if style not in taken] or around
        taken.append(free[0])
        styles[name] = free[0]
    return {name: _shown(name, styles[name]) for name in in_order(methods)}


def _shown(name: str, style: MethodStyle) -> MethodStyle:
    return style._replace(marker="") if is_privileged(name) else style


@contextlib.contextmanager
def house_style() -> Iterator[None]:
    """Draws what is inside in the style of the file, whatever the user's own says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.style.use(STYLE)
        yield


def save_figure(figure: Figure, *paths: str | Path) -> None:
    """Writes the figure to each path (svg, png, pdf by suffix), whole or not at all.

    The same figure gives the same bytes: no date, no random identifiers.
    """
    with house_style():
        for path in paths:
            suffix = Path(path).suffix
            metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix, {})
            with atomic_path(path) as temporary:
                figure.savefig(temporary, metadata=metadata)


def plot_line(
    axes: Axes,
    x: pd.Series,
    y: pd.Series,
    style: MethodStyle,
    low: pd.Series | None = None,
    high: pd.Series | None = None,
) -> None:
    """A method's line with markers, and its interval as a shade of the same colour; a thin line
    alone, where the style has no marker."""
    if low is not None and style.marker:
        axes.fill_between(x, low, high, color=style.color, alpha=0.13, linewidth=0)
    axes.plot(
        x,
        y,
        color=style.color,
        linestyle=style.dash,
        linewidth=None if style.marker else THIN,
        marker=style.marker,
        markeredgecolor="white",
        clip_on=False,
        zorder=3,
    )


def method_legend(
    figure: Figure, styles: dict[str, MethodStyle], others: Sequence[Any] = ()
) -> None:
    """The methods' legend below the whole figure. others: more labelled artists."""
    handles = [
        Line2D(
            [], [], color=style.color, linestyle=style.dash, marker=style.marker,
            linewidth=None if style.marker else THIN, markeredgecolor="white",
            label=readable(name),
        )
        for name, style in styles.items()
    ]  # fmt: skip
    legend_below(figure, [*handles, *others])


def legend_below(figure: Figure, handles: Sequence[Any]) -> None:
    """A legend outside all axes, so that it covers no data, in as many lines as it needs; the
    figure grows by what it takes beyond one line. handles: labelled artists."""
    # A letter is about 0.07 inch wide, and the handle with its gaps takes 0.65.
    widest = 0.65 + 0.07 * max(len(handle.get_label()) for handle in handles)
    room = max(2, int(figure.get_figwidth() / widest))
    rows = -(-len(handles) // room)
    figure.set_figheight(figure.get_figheight() + 0.19 * (rows - 1))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=-(-len(handles) // rows),
        fontsize=7 if 2 * widest > figure.get_figwidth() else None,
    )


def readable(name: str) -> str:
    """Returns a label for people: "hard_masking" becomes "hard masking"."""
    return name.replace("_", " ")


def rate_axis(axes: Axes, low: float = 0.0) -> None:
    """Solve rates from `low` to 100 % on the y axis."""
    axes.set_ylim(low, 1.0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def step_axis(axes: Axes, steps: pd.Series, label: str) -> None:
    """Whole steps on the x axis, with a little room at both ends."""
    steps = sorted(set(steps))
    axes.set_xticks(steps)
    axes.set_xlim(steps[0] - 0.25, steps[-1] + 0.25)
    axes.set_xlabel(label)


def note_on_top(figure: Figure, notes: Sequence[str]) -> None:
    """Sentences above everything else, small, in lines that fit the figure's width."""
    letters = max(40, int(figure.get_figwidth() / 0.058))
    text = "\n".join(textwrap.fill(note, letters) for note in notes)
    if text:
        with house_style():
            figure.suptitle(text, x=0.01, ha="left", fontsize=7, color="#555555")


def empty_figure(message: str) -> Figure:
    """Returns a figure that says why there is nothing to draw."""
    with house_style():
        figure = Figure(figsize=(5.0, 1.2))
        figure.text(0.5, 0.5, message, ha="center", va="center", color="#555555")
    return figure
