"""Videos: labelled frames, side by side, written as H.264."""

import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from rtc.errors import ArgumentError, ArtifactError, check_number
from rtc.storage.io import atomic_path

Frame = UInt8[np.ndarray, "_ _ 3"]  # height, width, RGB
LABEL_HEIGHT = 26  # pixels of one line of text above a frame


def write_video(path: str | Path, frames: Iterable[Frame], fps: int | float = 30.0) -> int:
    """Writes frames as an mp4 (H.264, yuv420p), whole or not at all; returns how many.

    frames: [h, w, 3] uint8 RGB, all of one size; they are taken one at a time.
    fps: frames a second; a Kinetix step of two substeps lasts 1/30 s.
    Raises ArgumentError if there is no frame or one is no such array, ArtifactError if the
    encoder fails (a full disk, for instance).
    """
    check_number("fps", fps, 1e-3)
    import imageio_ffmpeg

    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        raise ArgumentError("frames: expected at least one, got none")
    with atomic_path(path) as temporary, tempfile.TemporaryFile() as messages:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), *_options(first, fps), str(temporary)]
        encoder = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=messages)
        try:
            count = _feed(encoder, first, stream)
        except BaseException:
            encoder.kill()
            encoder.communicate()
            raise
        encoder.communicate()
        if encoder.returncode:
            messages.seek(0)
            lines = messages.read().decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"exit status {encoder.returncode}"
            raise ArtifactError(f"{path}: the video could not be written ({reason})")
    return count


def _options(frame: Frame, fps: int | float) -> list[str]:
    height, width = frame.shape[:2]
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {fps:g} -i -"
    # An odd side gets one more row or column: yuv420p halves both.
    even = "-vf pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white"
    codec = "-c:v libx264 -preset medium -crf 20 -pix_fmt yuv420p -movflags +faststart"
    # Without encoder versions and dates, equal frames give equal files.
    plain = "-map_metadata -1 -fflags +bitexact -flags:v +bitexact -an -threads 2"
    return f"-y -loglevel error {source} {even} {codec} {plain}".split()


def _feed(encoder: subprocess.Popen, first: Frame, rest: Iterator[Frame]) -> int:
    """Sends all frames; stops early if the encoder has died, which its exit status tells."""
    count = 0
    frame: Frame | None = first
    while frame is not None:
        if frame.shape != (*first.shape[:2], 3) or frame.dtype != np.uint8:
            height, width = first.shape[:2]
            raise ArgumentError(
                f"frames[{count}]: expected uint8 [{height}, {width}, 3], "
                f"got {frame.dtype} {list(frame.shape)}"
            )
        try:
            encoder.stdin.write(np.ascontiguousarray(frame).tobytes())
        except BrokenPipeError:
            break
        count += 1
        frame = next(rest, None)
    return count


def label(frame: Frame, text: str, colour: tuple[int, int, int] = (0, 0, 0)) -> Frame:
    """The frame with one line of text in a white strip above it, cut at the frame's width."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = frame.shape[:2]
    picture = Image.new("RGB", (width, height + LABEL_HEIGHT), "white")
    picture.paste(Image.fromarray(np.ascontiguousarray(frame)), (0, LABEL_HEIGHT))
    font = ImageFont.load_default(size=LABEL_HEIGHT * 0.6)
    ImageDraw.Draw(picture).text((6, 4), text, fill=colour, font=font)
    return np.asarray(picture)


def outline(frame: Frame, colour: tuple[int, int, int], width: int = 4) -> Frame:
    """The frame with a coloured border drawn over its edge, to mark a moment."""
    marked = frame.copy()
    for edge in (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:]):
        marked[edge] = colour
    return marked


def side_by_side(frames: Sequence[Frame], gap: int = 8) -> Frame:
    """Frames of one height in a row, with a light grey gap between them.

    Raises ArgumentError if there is none or the heights differ.
    """
    if len({frame.shape[0] for frame in frames}) != 1:
        raise ArgumentError("frames: expected at least one, all of one height")
    height = frames[0].shape[0]
    bar = np.full((height, gap, 3), 220, np.uint8)
    parts = [part for frame in frames for part in (bar, frame)][1:]
    return np.concatenate(parts, axis=1)
