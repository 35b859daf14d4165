"""Chunks in execution."""

import numpy as np
import pytest

from rtc.visualize import mismatches, plot_chunk_timeline, switch_jumps, switches


def test_switches_are_where_the_source_changes(episodes):
    assert list(switches(episodes["naive"])) == [3, 8, 13, 18, 23, 28, 33, 38]


def test_jumps_are_distances_between_neighbouring_actions(episodes):
    episode = episodes["naive"]
    expected = np.linalg.norm(episode.actions[8] - episode.actions[7])
    assert switch_jumps(episode)[1] == expected
    assert switch_jumps(episode).mean() > 2 * switch_jumps(episodes["realtime"]).mean()


def test_mismatches_are_between_the_plan_and_what_was_done_meanwhile(episodes):
    episode = episodes["naive"]._replace(used=[1, 4])
    planned, done = episode.chunks[2, :3], episode.actions[5:8]
    expected = np.abs(planned - done)[:, [1, 4]].mean()
    assert np.isclose(mismatches(episode)[1], expected)
    assert len(mismatches(episode)) == 8
    np.testing.assert_allclose(mismatches(episodes["realtime"]), 0, atol=1e-12)


def test_every_method_has_a_panel_with_its_outcome(episodes):
    figure = plot_chunk_timeline(episodes, action_dim_idx=1)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0].startswith("naive: not solved, 40 steps; new and old chunk differ by 0.")
    assert titles[2].startswith("realtime: solved, 33 steps; new and old chunk differ by 0.00")
    assert figure.axes[0].get_ylim() == figure.axes[2].get_ylim()


def test_a_window_cuts_the_episode(episodes):
    figure = plot_chunk_timeline(episodes, window=(10, 25))
    assert figure.axes[0].get_xlim() == (9.5, 24.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"action_dim_idx": 6}, "action_dim_idx: 6 is out of range"),
        ({"window": (50, 60)}, r"window: \(50, 60\) is out of range"),
        ({"window": (5, 5)}, "window"),
    ],
)
def test_bad_options_are_named(options, message, episodes):
    with pytest.raises(ValueError, match=message):
        plot_chunk_timeline(episodes, **options)


def test_bad_arrays_are_named(episodes):
    naive = episodes["naive"]
    with pytest.raises(ValueError, match=r"timelines\['naive'\].actions: expected rank 2, got"):
        plot_chunk_timeline({"naive": naive._replace(actions=naive.actions[0])})
    with pytest.raises(ValueError, match="source: expected 40 entries like actions, got 39"):
        plot_chunk_timeline({"naive": naive._replace(source=naive.source[1:])})
    with pytest.raises(ValueError, match="source: chunk 11 is out of range"):
        plot_chunk_timeline({"naive": naive._replace(source=naive.source + 3)})
    with pytest.raises(ValueError, match="timelines: empty"):
        plot_chunk_timeline({})
