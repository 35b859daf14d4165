"""The trajectory search: its noise, its score, and that it finds what is there to be found."""

import jax
import jax.numpy as jnp
import numpy as np

from rtc.env.wrappers import Stack
from rtc.experts.search import (
    Played,
    SearchConfig,
    as_actions,
    coloured_noise,
    play_open,
    score,
    searches,
)

SMALL = SearchConfig(
    early=1.0,
    candidates=96,
    horizon=60,
    elites=16,
    kept=4,
    rounds=30,
    enough=0.5,
    solutions=3,
    trials=4,
)


def test_coloured_noise_has_variance_one_and_more_power_in_slow_parts():
    noise = np.asarray(coloured_noise(jax.random.key(0), (4000, 32, 1), 1.0))[..., 0]
    np.testing.assert_allclose(noise.var(0), 1.0, atol=0.1)
    power = np.square(np.abs(np.fft.rfft(noise, axis=1))).mean(0)
    # Power falls with the frequency: eight times less at eight times the frequency.
    assert 6 < power[1] / power[8] < 10.5


def test_white_noise_is_uncorrelated():
    noise = np.asarray(coloured_noise(jax.random.key(0), (4000, 9, 1), 0.0))[..., 0]
    np.testing.assert_allclose(np.cov(noise.T), np.eye(9), atol=0.1)


def test_score_puts_solved_first_then_early_then_close():
    played = Played(
        jnp.array([True, True, False, False, False]),
        jnp.array([50, 20, 10, 60, 60]),
        jnp.array([0.0, 0.0, 0.1, 3.0, jnp.nan]),
    )
    order = np.argsort(-np.asarray(score(played, SMALL, jnp.zeros(5))))
    assert order.tolist() == [1, 0, 2, 3, 4]


def test_pieces_are_held_and_thrusters_scaled():
    config = SearchConfig(horizon=7, hold=5)
    pieces = jnp.array([[[-1.0, -1.0], [1.0, 1.0]]])
    actions = np.asarray(as_actions(pieces, np.float32([-1, 0]), config))
    assert actions[0, :, 0].tolist() == [-1] * 5 + [1] * 2
    assert actions[0, :, 1].tolist() == [0] * 5 + [1] * 2


def test_play_counts_only_the_first_episode(cart):
    stack = Stack(cart, 0.0, 0, None)
    pieces = jnp.ones((2, 12, 2)).at[1].set(-1.0)
    played = play_open(stack, SMALL, pieces, jax.random.key(0), jnp.ones(()))
    assert played.solved.tolist() == [True, False]
    assert played.length.tolist() == [20, 10]
    np.testing.assert_allclose(played.closest, [0.0, 2.1], atol=1e-5)


def test_finds_solutions_that_stand_noise_and_are_a_function_of_the_key(cart):
    stack = Stack(cart, 0.1, 0, None)
    keys = [jax.random.key(0), jax.random.key(1), jax.random.key(0)]
    (state, first), (_, second), (_, again) = searches(stack, SMALL, keys)
    assert float(state.share) >= SMALL.enough and int(state.first) >= 1
    assert first.actions.shape == (3, 60, 2)
    assert float(first.robust[0]) == 1.0
    np.testing.assert_array_equal(first.actions, again.actions)
    assert not np.array_equal(first.actions, second.actions)
