"""What pictures say when they are given what they cannot draw: name, expected and given."""

import numpy as np
import pytest
from made_up import made_up_episode, made_up_run

from rtc import visualize as v
from rtc.errors import ArgumentError

RUN, EPISODE = made_up_run(True), made_up_episode()
FRAME = np.zeros((4, 4, 3), np.uint8)
GAP = RUN["error"].copy()
GAP[3, 0, 1, 2] = np.nan


def timeline(**change):
    return v.plot_chunk_timeline({"naive": EPISODE._replace(**change)})


CASES = {
    "NaN": (
        lambda tmp: v.plot_error_over_steps(RUN | {"error": GAP}),
        "tracked_steps['error']: expected finite numbers, got nan or inf at [3, 0, 1, 2]",
    ),
    "text": (
        lambda tmp: v.plot_flow_matching_steps(RUN | {"x_t": RUN["x_t"].astype(str)}),
        "tracked_steps['x_t']: expected numbers, got <U32",
    ),
    "one index": (
        lambda tmp: v.plot_comparison_grid(RUN, action_dim_indices=2),
        "action_dim_indices: expected several indices, as in [2], got 2",
    ),
    "no size": (
        lambda tmp: v.plot_flow_matching_steps(RUN, figsize=(0, float("nan"))),
        "figsize: expected width and height, 0.5 to 200 inches, got (0, nan)",
    ),
    "one side": (
        lambda tmp: v.plot_flow_matching_steps(RUN, figsize=5),
        "figsize: expected width and height, 0.5 to 200 inches, got 5",
    ),
    "half a frame a second": (
        lambda tmp: v.animate_chunk_formation(RUN, tmp / "a.gif", fps=0.5),
        "fps: expected a whole number from 1 to 60, got 0.5",
    ),
    "no frames": (
        lambda tmp: v.write_film(tmp / "a.gif", [], 8),
        "frames: expected at least one, got none",
    ),
    "frames of floats": (
        lambda tmp: v.write_film(tmp / "a.gif", [FRAME / 2], 8),
        "frames: expected uint8 [height, width, 3], got float64 [4, 4, 3]",
    ),
    "a film of floats": (
        lambda tmp: v.write_film(tmp / "a.mp4", [FRAME / 2], 8),
        "frames[0]: expected uint8 [4, 4, 3], got float64 [4, 4, 3]",
    ),
    "no figure": (
        lambda tmp: v.save_figure(None, tmp / "a.png"),
        "figure: expected a matplotlib Figure, got NoneType",
    ),
    "chunks of five numbers": (
        lambda tmp: timeline(chunks=EPISODE.chunks[..., :5]),
        "timelines['naive'].chunks: expected 6 action dimensions like actions, got 5",
    ),
    "a chunk before the first": (
        lambda tmp: timeline(source=EPISODE.source - 1),
        "timelines['naive'].source: chunk -1 is out of range, expected 0 to 8",
    ),
    "numbers of chunks as floats": (
        lambda tmp: timeline(source=EPISODE.source + 0.5),
        "timelines['naive'].source: expected whole numbers, got float64",
    ),
    "chunks executed before they begin": (
        lambda tmp: timeline(starts=EPISODE.starts + 9),
        "timelines['naive'].starts: expected chunk 0 to begin by step 0, at which it is "
        "executed, got 9",
    ),
    "no timeline": (
        lambda tmp: v.plot_chunk_timeline({"naive": 3}),
        "timelines['naive']: expected a ChunkTimeline, got int",
    ),
    "no names": (
        lambda tmp: v.plot_chunk_timeline([EPISODE]),
        "timelines: list, expected at least one method by its name",
    ),
    "half a window": (
        lambda tmp: v.plot_chunk_timeline({"naive": EPISODE}, window=(0.5, 9)),
        "window: expected two whole numbers, got (0.5, 9)",
    ),
    "jumps of what does not fit": (
        lambda tmp: v.switch_jumps(EPISODE._replace(source=EPISODE.source[:-3])),
        "timeline.source: expected 40 entries like actions, got 37",
    ),
    "mismatches of no such dimension": (
        lambda tmp: v.mismatches(EPISODE._replace(used=[9])),
        "timeline.used: 9 is out of range, expected 0 to 5",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_name_expected_and_given_in_one_line(case, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    call, message = CASES[case]
    with pytest.raises(ArgumentError) as caught:
        call(tmp_path)
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


def test_a_suffix_that_cannot_be_written_is_named(tmp_path):
    figure = v.plot_comparison_grid(RUN)
    for name in ("figure", "figure.xyz"):
        with pytest.raises(ArgumentError, match=r"path: expected a name ending in \.png, \.svg or"):
            v.save_figure(figure, tmp_path / name)
    v.save_figure(figure, tmp_path / "figure.PNG")
    assert (tmp_path / "figure.PNG").stat().st_size > 10_000
