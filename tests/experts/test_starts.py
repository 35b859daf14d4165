"""Episodes begun along a solution: where they begin, and what counts as solved."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.env.wrappers import Stack
from rtc.experts.starts import (
    Curriculum,
    StartConfig,
    StartsStack,
    begin_curriculum,
    deal_starts,
    make_bank,
    move_back,
)

CONFIG = StartConfig(share=0.5, share_whole=0.5, replays=4, trials=6, least=10, edge=1.0)


@pytest.fixture(scope="module")
def task(cart):
    return StartsStack(Stack(cart, 0.1, 4, None))


@pytest.fixture(scope="module")
def bank(task, straight):
    return make_bank(task.stack, CONFIG, jnp.asarray(straight), jax.random.key(0))


def test_the_bank_holds_the_way_of_replays_that_solve(bank):
    assert bank.length.shape == (2, 4)
    assert ((bank.length[0] >= 19) & (bank.length[0] <= 22)).all()
    assert ((bank.length[1] >= 36) & (bank.length[1] <= 44)).all()
    time = bank.state.timestep.reshape(2, 4, 60)
    np.testing.assert_array_equal(time, np.broadcast_to(np.arange(60), (2, 4, 60)))
    place = bank.state.place.reshape(2, 4, 60)
    last = np.take_along_axis(np.asarray(place), np.asarray(bank.length)[..., None] - 1, 2)
    assert ((last > 1.8) & (last < 2.0)).all()


def test_starts_lie_in_the_window_of_the_seeds_own_group(task, bank):
    curriculum = Curriculum(*(jnp.array(x) for x in ([0.2, 1.0], [0.0] * 2, [0.0] * 2, [0, 1])))
    keys = jax.random.split(jax.random.key(1), 2)
    state = deal_starts(task, CONFIG, bank, curriculum, task.reset(400), keys)
    begin = state.next
    time = begin.state.timestep.reshape(2, 200)
    whole = begin.whole.reshape(2, 200)
    assert (time[whole] == 0).all()
    assert 0.4 < float(whole.mean()) < 0.6
    assert (time[0][~whole[0]] >= 15).all() and (time[0][~whole[0]] < 22).all()
    assert int(time[1][~whole[1]].min()) <= 2 and int(time[1].max()) >= 33
    # The policy sees the start's own observation in every place, and no last action.
    np.testing.assert_array_equal(begin.obs[:, 0], begin.state.place)
    np.testing.assert_array_equal(begin.obs[:, 3], begin.state.place)


def test_an_episode_begun_late_keeps_its_time_limit_and_counts_apart(task, bank):
    curriculum = begin_curriculum(CONFIG, jnp.array([0]))
    state = task.reset(32)
    still, noise = jnp.zeros((32, 2)), jnp.zeros((32, 2))
    step = jax.jit(task.step)
    for _ in range(64):
        state = deal_starts(
            task, CONFIG, bank, curriculum, state, jax.random.split(jax.random.key(3), 1)
        )
        assert not (state.inner.state.timestep > 0).all() or state.whole.all()
        state, outcome = step(state, still, noise)
    assert outcome.done.all() and outcome.whole.all()
    late = ~state.whole
    assert 0 < int(late.sum()) < 32
    begun = int(state.inner.state.timestep[late].min())
    assert (state.inner.episode_length == state.inner.state.timestep).all()
    for _ in range(64 - begun):
        state, outcome = step(state, still, noise)
        assert not (outcome.done & outcome.whole).any()
        if outcome.done.any():
            assert (outcome.episode_length[outcome.done] == 64).all()


def test_the_window_moves_back_when_enough_are_solved():
    start = begin_curriculum(CONFIG, jnp.array([0, 0, 0]))
    # Seed 0 solves enough, seed 1 too few, seed 2 has not ended enough episodes.
    moved = move_back(CONFIG, start, jnp.array([10.0, 10.0, 5.0]), jnp.array([6.0, 5.0, 5.0]))
    np.testing.assert_allclose(moved.window, [0.2, 0.1, 0.1])
    np.testing.assert_array_equal(moved.begun, [0, 0, 5])
    again = move_back(CONFIG, moved, jnp.array([0.0, 0.0, 5.0]), jnp.array([0.0, 0.0, 5.0]))
    np.testing.assert_allclose(again.window, [0.2, 0.1, 0.2])
    full = move_back(
        CONFIG, start._replace(window=jnp.ones(3)), jnp.full(3, 10.0), jnp.full(3, 10.0)
    )
    np.testing.assert_allclose(full.window, 1.0)
