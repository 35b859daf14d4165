"""Recorded episodes."""

import jax
import numpy as np
import pytest

from rtc.config.sections import Cell
from rtc.evaluate.program import make_plan, make_program, play_cell
from rtc.traces.episode import Player, outcomes, timeline
from rtc.traces.scenes import scene_of
from rtc.visualize import mismatches, switch_jumps
from tests.traces.point_robot import ROLLOUTS

USED = np.arange(6) >= 4


def test_rollouts_are_those_of_the_evaluation(played, guidance):
    program = make_program(played.scene, ROLLOUTS, ROLLOUTS)
    start = program.start(played.policies, played.streams)
    plan = make_plan(Cell(guidance.delay, guidance.horizon, guidance.delay), 8)
    metrics, _ = play_cell(program, played.policies, played.streams, plan, start)
    ended = outcomes(played.pieces)
    np.testing.assert_array_equal(ended.length, metrics["length"])
    np.testing.assert_array_equal(ended.solved, metrics["solved"])
    np.testing.assert_array_equal(ended.value, metrics["return"])
    jumps = [
        switch_jumps(timeline(played.pieces, i, guidance.delay, USED)).mean()
        for i in range(ROLLOUTS)
    ]
    np.testing.assert_allclose(jumps, metrics["jump_mean"], rtol=1e-3)
    for rollout in range(ROLLOUTS):
        episode = timeline(played.pieces, rollout, guidance.delay, USED)
        if ended.length[rollout] % guidance.horizon in (0, 4):
            # Else the last chunk was still being inferred, which only the evaluation counts.
            apart = mismatches(episode).mean()
            np.testing.assert_allclose(apart, metrics["mismatch"][rollout], rtol=1e-3)


def test_playing_again_gives_the_same_bits(played):
    again = list(played.player.pieces(played.policies, played.player.start(played.policies)[0]))
    for one, other in zip(played.pieces, again, strict=True):
        for name in ("obs", "noise", "chunk", "actions", "reward", "done"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_every_action_is_of_the_chunk_that_it_is_said_to_be(played, guidance):
    for rollout in range(ROLLOUTS):
        episode = timeline(played.pieces, rollout, guidance.delay, USED)
        for step, number in enumerate(episode.source):
            planned = episode.chunks[number, step - episode.starts[number]]
            np.testing.assert_array_equal(episode.actions[step], planned)


def test_the_previous_chunk_is_the_last_one_shifted(played, guidance):
    for last, now in zip(played.pieces, played.pieces[1:]):
        size = 8 - guidance.horizon
        np.testing.assert_array_equal(now.previous[:, :size], last.chunk[:, guidance.horizon :])
        assert not now.previous[:, size:].any()


@pytest.mark.parametrize(("delay", "horizon"), [(0, 3), (4, 4), (3, 6)])
def test_delay_and_horizon(delay, horizon, trained, guidance, played):
    scene, policies = scene_of(trained, "naive", guidance)
    player = Player(scene, played.streams, delay, horizon, rollouts=1, draw=False)
    pieces = player.pieces(policies, player.start(policies)[0])
    first, second = next(pieces), next(pieces)
    executed = np.concatenate([first.actions, second.actions])[:, 0]
    expected = np.concatenate(
        [
            first.previous[0, :delay],
            first.chunk[0, delay:horizon],
            np.concatenate([first.chunk[0, horizon:], np.zeros((horizon, 6))])[:delay],
            second.chunk[0, delay:horizon],
        ]
    )
    np.testing.assert_array_equal(executed, expected)


def test_a_drawn_rollout_is_the_same_rollout_with_states(played, guidance):
    player = Player(
        played.scene, played.streams, guidance.delay, guidance.horizon, rollouts=2, draw=True
    )
    seen = []
    for shown in (0, 1):
        play, start = player.start(played.policies, shown)
        assert all(leaf.ndim == np.ndim(other) - 1 for leaf, other in _pairs(start, play, played))
        pieces = list(player.pieces(played.policies, play, shown))
        seen.append(pieces)
        place = np.concatenate([piece.states.polygon.position[:, 8, 0] for piece in pieces])
        at_inference = np.array([piece.obs[shown, 0] for piece in pieces[1:]])
        start_place = float(start.polygon.position[8, 0])
        ends = place[guidance.horizon - 1 :: guidance.horizon][: len(at_inference)]
        np.testing.assert_allclose(ends - start_place, at_inference, atol=1e-5)
    for one, other in zip(*seen):
        np.testing.assert_array_equal(one.actions, other.actions)


def _pairs(start, play, played):
    return zip(jax.tree.leaves(start), jax.tree.leaves(played.scene.env.to_kinetix(play.env)))
