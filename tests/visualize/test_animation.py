"""A chunk as it forms."""

import subprocess
import sys

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from rtc.visualize import animate_chunk_formation, write_film


@pytest.mark.parametrize("suffix", ["gif", "mp4"])
def test_a_film_of_the_flow_steps(suffix, guided, plain, tmp_path):
    path = tmp_path / f"chunk.{suffix}"
    written = animate_chunk_formation(
        guided, path, plain, action_dim_indices=[0], fps=5, figsize=(6, 3)
    )
    assert written == str(path)
    still = round(0.6 * 5) + round(1.8 * 5)
    if suffix == "mp4":
        assert imageio_ffmpeg.count_frames_and_secs(path)[0] == 11 + still
    else:
        with Image.open(path) as film:
            assert film.size == (600, 300)
            assert film.n_frames == 11
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_bad_options_are_named_before_anything_is_written(guided, tmp_path):
    with pytest.raises(ValueError, match=r"expected a name ending in .mp4 or .gif, got a.avi"):
        animate_chunk_formation(guided, tmp_path / "a.avi")
    with pytest.raises(ValueError, match="fps: expected a whole number from 1 to 60, got 0"):
        animate_chunk_formation(guided, tmp_path / "a.gif", fps=0)
    with pytest.raises(ValueError, match="batch_idx: 5"):
        animate_chunk_formation(guided, tmp_path / "a.gif", batch_idx=5)
    assert list(tmp_path.iterdir()) == []


def test_a_film_that_breaks_off_leaves_no_file(tmp_path):
    def frames():
        yield np.zeros((20, 20, 3), np.uint8)
        raise RuntimeError("the renderer failed")

    with pytest.raises(RuntimeError, match="renderer"):
        write_film(tmp_path / "a.mp4", frames(), 5)
    assert list(tmp_path.iterdir()) == []


def test_no_jax_is_imported():
    code = "import rtc.visualize, sys; assert not {'jax', 'jaxlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
