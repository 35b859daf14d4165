"""Methods side by side on the median rollout."""

import imageio_ffmpeg
import numpy as np
import pytest

from rtc.errors import ConfigError
from rtc.traces import write_comparison_video
from rtc.traces.comparison_video import median_rollout, words
from rtc.traces.episode import Outcomes
from rtc.traces.film import FLASH, HEADER, MARGIN, SIDE, TITLE, Film, Half
from rtc.visualize import ChunkTimeline, switches
from tests.traces.point_robot import ENV_CONFIG


def ended(value, length):
    value = np.array(value, float)
    return Outcomes(value, np.array(length), value > 0)


def test_the_median_is_by_return_then_length_then_number():
    assert median_rollout([ended([1, -1, 0], [9, 9, 9])]) == 2
    assert median_rollout([ended([1, 1, 1], [5, 30, 20])]) == 2
    assert median_rollout([ended([0, 0, 0, 0], [9, 9, 9, 9])]) == 1
    naive, realtime = ended([-1, 1, -1], [5, 5, 5]), ended([1, 1, -1], [9, 9, 9])
    assert median_rollout([naive, realtime]) == 0


def test_outcomes_in_words():
    result = Outcomes(np.array([1, -1, 0, 0, 1]), np.array([7, 8, 9, 256, 3]), np.arange(5) == 0)
    assert [words(result, i, 256) for i in range(5)] == [
        "solved after 7 steps",
        "failed after 8 steps",
        "failed after 9 steps",
        "not solved in 256 steps",
        "goal touched and left again after 3 steps",
    ]


@pytest.fixture
def film():
    starts, source = np.array([0, 0, 5, 10]), np.repeat([0, 1, 2, 3], [3, 5, 5, 2])
    actions = np.random.default_rng(0).normal(size=(15, 6))
    episode = ChunkTimeline(actions, source, starts, np.zeros((4, 8, 6)), solved=True)
    shorter = episode._replace(actions=actions[:9], source=source[:9], solved=False)
    halves = [Half("naive", shorter, "failed"), Half("realtime", episode, "solved")]
    return Film(halves, "level", "about", 2)


def test_a_switch_is_marked_for_some_frames(film):
    scene = np.full((SIDE, SIDE, 3), 200, np.uint8)
    corner = (HEADER + TITLE + 3, MARGIN + 3)
    marked = [
        step
        for step in range(10)
        if tuple(film.frame([scene, scene], step)[corner]) == film.halves[0].color
    ]
    expected = [step + 1 + i for step in switches(film.halves[0].timeline) for i in range(FLASH)]
    assert marked == [step for step in expected if step <= 9]


def test_the_outcome_is_written_from_the_end_of_each_episode_on(film):
    scene = np.full((SIDE, SIDE, 3), 200, np.uint8)
    row = HEADER + TITLE + SIDE - 40
    for step in (8, 9, 14, 15):
        frame = film.frame([scene, scene], step)
        left, right = (tuple(frame[row, MARGIN + i * (SIDE + MARGIN) + 20]) for i in (0, 1))
        assert (left != (200, 200, 200)) == (step >= 9)
        assert (right != (200, 200, 200)) == (step >= 15)
        assert frame.shape == film.frame([scene, scene], 0).shape


def test_a_film_of_two_methods(run, level, tmp_path):
    path = tmp_path / "video.mp4"
    shown = write_comparison_video(
        level, ENV_CONFIG, run.folder, path, delay=3, horizon=5, rollouts=2, flow_steps=2, seed=0
    )
    assert shown in (0, 1)
    frames, _ = imageio_ffmpeg.count_frames_and_secs(path)
    assert 36 < frames <= 33 + 1 + 36
    assert [p.name for p in tmp_path.iterdir()] == ["video.mp4"]


def test_impossible_options_are_named(run, level, tmp_path):
    def film(**options):
        write_comparison_video(
            level,
            ENV_CONFIG,
            run.folder,
            tmp_path / "a.mp4",
            **{"delay": 1, "horizon": 2} | options,
        )

    with pytest.raises(ConfigError, match="at least one method and one rollout"):
        film(methods=())
    with pytest.raises(ConfigError, match="unknown method 'naif'; did you mean 'naive'"):
        film(methods=("naif",))
    with pytest.raises(ConfigError, match="delay: expected 0 to 2"):
        film(delay=5)
