"""Videos come whole, with the frames given, or not at all."""

import os
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from rtc.errors import ArtifactError
from rtc.storage import video


def _frames(count, height=40, width=60):
    for i in range(count):
        frame = np.full((height, width, 3), 255, np.uint8)
        frame[:, : 5 * i] = (200, 30, 30)
        yield frame


def _decode(path, height, width):
    """[t, h, w, 3] the frames of a video, and what ffmpeg says of the stream."""
    encoder = imageio_ffmpeg.get_ffmpeg_exe()
    command = [encoder, "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)
    return frames, done.stderr.decode()


def test_frames_come_back(tmp_path):
    path = tmp_path / "sub" / "a.mp4"
    assert video.write_video(path, _frames(10), fps=20) == 10
    decoded, about = _decode(path, 40, 60)
    assert len(decoded) == 10
    for part in ("h264", "yuv420p", "60x40", "20 fps"):
        assert part in about
    for found, given in zip(decoded, _frames(10)):
        assert np.abs(found.astype(int) - given).mean() < 8


def test_odd_sizes_are_padded(tmp_path):
    video.write_video(tmp_path / "a.mp4", _frames(3, 41, 61))
    assert "62x42" in _decode(tmp_path / "a.mp4", 42, 62)[1]


def test_equal_frames_give_equal_files(tmp_path):
    for name in "ab":
        video.write_video(tmp_path / f"{name}.mp4", _frames(5))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.mp4"
    video.write_video(path, _frames(2))
    before = path.read_bytes()

    def broken():
        yield from _frames(3)
        raise RuntimeError("drawing failed")

    with pytest.raises(RuntimeError, match="drawing failed"):
        video.write_video(path, broken())
    sizes = [*_frames(1), *_frames(1, width=64)]
    with pytest.raises(ValueError, match=r"frames\[1\]"):
        video.write_video(path, sizes)
    with pytest.raises(ValueError, match="at least one"):
        video.write_video(path, [])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_failing_encoder_is_an_error_of_one_line(tmp_path, monkeypatch):
    script = tmp_path / "encoder"
    script.write_text("#!/bin/sh\necho 'first' >&2\necho 'No space left on device' >&2\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(script))
    with pytest.raises(ArtifactError, match=r"a\.mp4.*No space left on device"):
        video.write_video(tmp_path / "a.mp4", _frames(500))
    assert os.listdir(tmp_path) == ["encoder"]


def test_label_outline_and_row():
    frame = next(_frames(1))
    labelled = video.label(frame, "naive", (0, 0, 0))
    assert labelled.shape == (40 + video.LABEL_HEIGHT, 60, 3)
    assert labelled[: video.LABEL_HEIGHT].min() < 100  # letters
    np.testing.assert_array_equal(labelled[video.LABEL_HEIGHT :], frame)
    marked = video.outline(frame, (1, 2, 3), width=2)
    assert marked[0, 0].tolist() == marked[-1, -1].tolist() == [1, 2, 3]
    assert marked[2, 2].tolist() == frame[2, 2].tolist()
    assert video.side_by_side([frame, marked, frame], gap=4).shape == (40, 188, 3)
    with pytest.raises(ValueError, match="one height"):
        video.side_by_side([frame, labelled])
    with pytest.raises(ValueError, match="one height"):
        video.side_by_side([])


def test_encoder_of_the_package_runs():
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-version"]
    assert b"libx264" in subprocess.run(command, capture_output=True, check=True).stdout
