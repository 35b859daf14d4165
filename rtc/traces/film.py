"""Frames of a film: methods side by side, their chunks and switches marked, outcomes written."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from rtc.visualize import ChunkTimeline, switches
from rtc.visualize.style import RULES, SHADE, method_color, shades

SIDE = 500  # pixels of a picture of the scene
MARGIN, HEADER, TITLE, STRIP, FOOTER = 12, 62, 34, 110, 26
FLASH = 3  # frames that a switch stays marked
INK, GREY, WHITE = (51, 51, 51), (120, 120, 128), (255, 255, 255)
SOLVED, FAILED = (24, 122, 76), (176, 42, 42)
FOOTNOTE = (
    "coloured frame and vertical lines: switch to a new chunk     "
    "shaded: the next chunk is being inferred"
)


class Half(NamedTuple):
    """One method's part of the film. timeline: its episode. outcome: in words."""

    name: str
    timeline: ChunkTimeline
    outcome: str

    @property
    def steps(self) -> int:
        """Length of the episode."""
        return len(self.timeline.actions)

    @property
    def color(self) -> tuple[int, int, int]:
        """The method's colour."""
        red, green, blue = matplotlib.colors.to_rgb(method_color(self.name))
        return round(255 * red), round(255 * green), round(255 * blue)


class Film:
    """Draws frames; everything that stands still is drawn once.

    halves: methods from left to right. heading, subheading: two lines of text. dimension: of
    the action, whose course is drawn below the scene.
    """

    def __init__(
        self, halves: Sequence[Half], heading: str, subheading: str, dimension: int
    ) -> None:
        self.halves = halves
        self.length = max(half.steps for half in halves)
        self._marked = [np.asarray(switches(half.timeline)) for half in halves]
        self._ground = self._still(heading, subheading)
        span = _span(halves, dimension)
        self._strips = [draw_strip(half, dimension, self.length, span) for half in halves]

    def frame(self, pictures: Sequence[np.ndarray], step: int) -> np.ndarray:
        """The frame after `step` steps, [height, width, 3] uint8.

        pictures: of each method's scene, [SIDE, SIDE, 3].
        """
        image = self._ground.copy()
        pen = ImageDraw.Draw(image)
        for number, (half, picture) in enumerate(zip(self.halves, pictures)):
            left, now = self._left(number), min(step, half.steps)
            top = HEADER + TITLE
            image.paste(Image.fromarray(np.ascontiguousarray(picture)), (left, top))
            self._title(pen, half, left, now)
            ago = now - 1 - self._marked[number]
            if step <= half.steps and np.any((ago >= 0) & (ago < FLASH)):
                edge = (left, top, left + SIDE - 1, top + SIDE - 1)
                pen.rectangle(edge, outline=half.color, width=8)
            if step >= half.steps:
                _banner(pen, half, left, top + SIDE)
            self._strip(image, number, left, now)
        return np.asarray(image)

    def _left(self, number: int) -> int:
        return MARGIN + number * (SIDE + MARGIN)

    def _still(self, heading: str, subheading: str) -> Image.Image:
        width = self._left(len(self.halves))
        height = HEADER + TITLE + SIDE + STRIP + FOOTER
        image = Image.new("RGB", (width, height), WHITE)
        pen = ImageDraw.Draw(image)
        pen.text((MARGIN, 8), heading, fill=INK, font=font(20, bold=True))
        pen.text((MARGIN, 36), subheading, fill=INK, font=font(14))
        pen.text((MARGIN, height - FOOTER + 5), FOOTNOTE, fill=GREY, font=font(12))
        return image

    def _title(self, pen: Any, half: Half, left: int, now: int) -> None:
        pen.text((left, HEADER + 7), half.name, fill=half.color, font=font(17, bold=True))
        chunk = int(half.timeline.source[max(now - 1, 0)])
        text = f"step {now}   chunk {chunk}"
        pen.text((left + SIDE, HEADER + 9), text, fill=INK, font=font(14), anchor="ra")

    def _strip(self, image: Image.Image, number: int, left: int, now: int) -> None:
        """The course of the action up to now; what is to come is faint."""
        strip = self._strips[number].copy()
        seen = round(now / self.length * SIDE)
        strip[:, seen:] = (strip[:, seen:].astype(np.uint16) + 3 * 255) // 4
        strip[:, max(seen - 1, 0) : seen + 1] = INK
        image.paste(Image.fromarray(strip), (left, HEADER + TITLE + SIDE))


def _span(halves: Sequence[Half], dimension: int) -> tuple[float, float]:
    values = np.concatenate([half.timeline.actions[:, dimension] for half in halves])
    margin = 0.1 * max(float(np.ptp(values)), 1e-3)
    return float(values.min()) - margin, float(values.max()) + margin


def draw_strip(half: Half, dimension: int, length: int, span: tuple[float, float]) -> np.ndarray:
    """The executed action over the episode, [STRIP, SIDE, 3] uint8; a step is as wide as any."""
    timeline = half.timeline
    with matplotlib.rc_context(RULES | {"axes.grid": False}):
        figure = Figure(figsize=(SIDE / 100, STRIP / 100), dpi=100)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0.03, 1, 0.8))
        axes.set_axis_off()
        axes.set_xlim(-0.5, length - 0.5)
        axes.set_ylim(*span)
        values, tones = timeline.actions[:, dimension], shades(method_color(half.name))
        for step in switches(timeline).tolist():
            begin = int(timeline.starts[timeline.source[step]])
            axes.axvspan(begin - 0.5, step - 0.5, color=SHADE, lw=0)
            axes.axvline(step - 0.5, color="#9A9AA5", lw=0.7)
        axes.plot(np.arange(len(values)), values, color="#555555", lw=0.8)
        for number in np.unique(timeline.source).tolist():
            steps = np.flatnonzero(timeline.source == number)
            tone = tones(0.25 if number % 2 else 0.6)
            axes.plot(steps, values[steps], ".-", color=tone, lw=1.8, ms=4)
        kind = f"action dimension {dimension}"
        axes.text(0.0, 1.05, kind, transform=axes.transAxes, fontsize=8.5, color="#777777")
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _banner(pen: Any, half: Half, left: int, bottom: int) -> None:
    color = SOLVED if half.timeline.solved else FAILED
    pen.rectangle((left, bottom - 44, left + SIDE - 1, bottom - 1), fill=color)
    place = (left + SIDE // 2, bottom - 22)
    pen.text(place, half.outcome, fill=WHITE, font=font(18, bold=True), anchor="mm")


@cache
def font(size: int, bold: bool = False) -> Any:
    """A font that comes with matplotlib, so that a film looks the same everywhere."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)
