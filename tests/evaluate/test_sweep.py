"""The compiled sweep against the readable loop, and what must not change its numbers."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rtc.config.cells import parse_cells
from rtc.config.sections import Cell
from rtc.evaluate.kicks import Kicks
from rtc.evaluate.noise import chunk_noise, draw_delays, make_streams, normal_at
from rtc.evaluate.program import CPU_SLOTS, make_plan, make_program, play_cell, slot_count
from rtc.evaluate.scene import make_scene
from rtc.evaluate.timing import seconds_per_step
from rtc.flow import sample
from rtc.methods import Stateless
from rtc.methods.bid import Bid
from rtc.methods.naive import Naive
from rtc.methods.realtime import Realtime
from rtc.methods.te import TemporalEnsemble
from tests.evaluate.plain_loop import PlainLoop, metrics_of
from tests.evaluate.toy_robot import ToyEnv, toy_policy

STREAMS = make_streams(0, "toy", 0)
KICKS = Kicks(0.1, 0.05, np.ones(1, np.float32))


def toy_scene(method, obs_dim=3, weak_policy=None, heads=(), forecaster=None, kicks=None):
    return make_scene(
        ToyEnv(), method, toy_policy(obs_dim=obs_dim), weak_policy,
        used=np.array([True, False]), action_noise=0.1, flow_steps=3,
        heads=heads, forecaster=forecaster, kicks=kicks,
    )  # fmt: skip


@dataclass(frozen=True)
class Nudged(Stateless):
    """Naive; each action is moved by a head that sees the robot, the action's place in its chunk
    and how often it has acted, which is what the carry counts."""

    step_evaluations: ClassVar[int] = 1

    def init(self, batch_size, chunk_size, action_dim, obs_dim):
        return jnp.zeros(batch_size)

    def chunk(self, policy, context, flow_steps, return_tracking):
        return sample(policy, context.obs, context.noise[0], flow_steps, return_tracking)

    def act(self, policy, heads, obs, action, index, carry):
        seen = jnp.concatenate([obs, action, index[:, None] / 8, carry[:, None] / 40], axis=1)
        return action + heads[0](seen), carry + 1


@dataclass(frozen=True)
class Foreseeing(Stateless):
    """Naive, from the forecast."""

    needs: ClassVar[tuple[str, ...]] = ("forecast",)

    def chunk(self, policy, context, flow_steps, return_tracking):
        return sample(policy, context.forecast, context.noise[0], flow_steps, return_tracking)


def toy_forecaster():
    env = ToyEnv()
    env.level = SimpleNamespace(digest="toy")
    return env


def toy_head():
    return nnx.Linear(3 + 2 + 2, 2, rngs=nnx.Rngs(0))


class Sweeper:
    """One program for a method, as the stage builds it."""

    def __init__(self, method, rollouts, slots, **scene):
        self.scene, self.policies = toy_scene(method, **scene)
        self.program = make_program(self.scene, rollouts, slots)
        self.start = self.program.start(self.policies, STREAMS)
        self.plain = PlainLoop(self.scene, self.policies, STREAMS)

    def play(self, cell):
        plan = make_plan(cell, 8)
        return play_cell(self.program, self.policies, STREAMS, plan, self.start)


@pytest.fixture(scope="module")
def realtime():
    return Sweeper(Realtime("exp", 5.0), rollouts=24, slots=8)


CELLS = [
    Cell(0, 3, 0),
    Cell(1, 1, 1),
    Cell(2, 4, 2),
    Cell(4, 4, 4),
    Cell(3, 5, 1),
    Cell({"uniform": [1, 3]}, 4, 2),
    Cell({"choices": {0: 0.5, 4: 0.5}}, 4, 2),
]


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_sweep_equals_the_readable_loop(realtime, cell):
    """With three times as many rollouts as slots, so that every slot is refilled."""
    metrics, chunks = realtime.play(cell)
    for rollout in (0, 8, 23):
        log = realtime.plain.play(make_plan(cell, 8), rollout)
        for name, value in metrics_of(log, realtime.scene.used).items():
            np.testing.assert_allclose(
                float(metrics[name][rollout]), float(value), rtol=2e-4, atol=2e-5, err_msg=name
            )
    assert chunks == np.ceil(metrics["length"] / cell.horizon).sum()


def test_a_carried_state_is_reset_with_the_episode():
    sweeper = Sweeper(TemporalEnsemble(0.1), rollouts=12, slots=4)
    cell = Cell(1, 2, 1)
    metrics, _ = sweeper.play(cell)
    for rollout in (0, 11):
        log = sweeper.plain.play(make_plan(cell, 8), rollout)
        expected = metrics_of(log, sweeper.scene.used)
        assert int(metrics["length"][rollout]) == expected["length"]
        np.testing.assert_allclose(metrics["jerk"][rollout], expected["jerk"], rtol=1e-3)


@pytest.mark.parametrize("cell", [Cell(2, 4, 2), Cell({"uniform": [1, 3]}, 4, 2)], ids=str)
def test_a_method_acts_on_every_step(cell):
    """Also where the carry begins anew with the episode, in slots that are refilled."""
    sweeper = Sweeper(Nudged(), rollouts=12, slots=4, heads=[toy_head()])
    metrics, _ = sweeper.play(cell)
    naive, _ = Sweeper(Naive(), rollouts=12, slots=4).play(cell)
    assert not np.array_equal(metrics["jerk"], naive["jerk"])
    for rollout in (0, 11):
        log = sweeper.plain.play(make_plan(cell, 8), rollout)
        for name, value in metrics_of(log, sweeper.scene.used).items():
            np.testing.assert_allclose(
                float(metrics[name][rollout]), float(value), rtol=1e-3, atol=2e-5, err_msg=name
            )


@pytest.mark.parametrize("kicks", [None, KICKS], ids=["calm", "kicked"])
@pytest.mark.parametrize("cell", [Cell(3, 4, 3), Cell(2, 4, 1), Cell(0, 2, 0)], ids=str)
def test_a_forecast_rolls_on_for_the_told_delay(cell, kicks):
    """And knows no kick: the readable loop foresees without."""
    setting = {"rollouts": 12, "slots": 4, "kicks": kicks}
    sweeper = Sweeper(Foreseeing(), forecaster=toy_forecaster(), **setting)
    metrics, _ = sweeper.play(cell)
    for rollout in (0, 11):
        log = sweeper.plain.play(make_plan(cell, 8), rollout)
        expected = metrics_of(log, sweeper.scene.used)
        assert int(metrics["length"][rollout]) == expected["length"]
        np.testing.assert_allclose(metrics["jerk"][rollout], expected["jerk"], rtol=1e-3)
    naive, _ = Sweeper(Naive(), **setting).play(cell)
    same = np.array_equal(metrics["jerk"], naive["jerk"])
    assert same == (cell.estimate == 0), "no delay: the forecast is the observation of now"


def test_all_methods_meet_the_same_kicks():
    """Where hard masking is naive by definition, so is it when it is kicked."""
    cell, setting = Cell(0, 4, 0), {"rollouts": 16, "slots": 8}
    naive, masked = (
        Sweeper(method, kicks=KICKS, **setting).play(cell)[0]
        for method in (Naive(), Realtime("zeros", 5.0))
    )
    calm, _ = Sweeper(Naive(), **setting).play(cell)
    np.testing.assert_array_equal(naive["length"], masked["length"])
    assert not np.array_equal(naive["length"], calm["length"])


def test_how_often_and_how_hard_is_kicked():
    kicks = Kicks(0.2, 0.5, np.float32([1, 0, 1]))
    rollout, time = (jnp.ravel(x) for x in jnp.meshgrid(jnp.arange(64), jnp.arange(64)))
    change = np.asarray(kicks.changes(STREAMS.action, rollout, time))
    kicked = (change != 0).any(axis=(1, 2))
    # 4096 steps: five standard deviations are 0.031, and 0.03 of each of 3300 changes.
    assert abs(kicked.mean() - 0.2) < 0.031
    assert (change[:, 1] == 0).all() and (change[kicked][:, [0, 2]] != 0).all()
    assert abs(change[kicked][:, [0, 2]].std() - 0.5) < 0.03
    again = kicks.changes(STREAMS.action, rollout[::-1], time[::-1])
    np.testing.assert_array_equal(np.asarray(again)[::-1], change)


def test_all_cells_share_one_compilation(realtime):
    for cell in parse_cells("all", 8)[::5]:
        realtime.play(cell)
    assert realtime.program.make._cache_size() == 1
    assert realtime.program.play._cache_size() == 1


def test_delays_are_drawn_anew_for_each_chunk():
    plan = make_plan(Cell({"choices": {1: 0.25, 3: 0.75}}, 4, 2), 8)
    rollout, time = jnp.repeat(jnp.arange(20), 20), jnp.tile(jnp.arange(20), 20)
    drawn = np.asarray(draw_delays(STREAMS.delay, rollout, time, plan.cumulative))
    assert set(drawn) == {1, 3}
    # 400 draws: five standard deviations are 0.11.
    assert abs(np.mean(drawn == 3) - 0.75) < 0.11
    assert 0 < np.mean(drawn[:20] == 3) < 1


def test_same_bits_whatever_the_batching():
    """Sizes that are multiples of 64 give the same rows of a matrix product on the CPU."""
    cell = Cell(2, 3, 2)
    expected, _ = Sweeper(Realtime("exp", 5.0), rollouts=150, slots=64).play(cell)
    metrics, _ = Sweeper(Realtime("exp", 5.0), rollouts=150, slots=192).play(cell)
    for name, metric in metrics.items():
        np.testing.assert_array_equal(metric, expected[name], err_msg=name)


def test_the_cpu_always_plays_as_many_side_by_side():
    assert {slot_count(n, m, "cpu") for n in (1, 300) for m in (1, 64, 2048)} == {CPU_SLOTS}
    assert slot_count(2048, 2048, "gpu") == 2048
    assert slot_count(2048, 1000, "gpu") == 1008
    assert slot_count(10, 2048, "gpu") == 16


def test_first_rollouts_do_not_depend_on_how_many_there_are():
    cell = Cell(1, 2, 1)
    few, _ = Sweeper(Naive(), rollouts=5, slots=8).play(cell)
    many, _ = Sweeper(Naive(), rollouts=40, slots=8).play(cell)
    for name, metric in few.items():
        np.testing.assert_array_equal(metric, many[name][:5], err_msg=name)


def test_methods_share_their_noise():
    """Where hard masking is naive by definition (no delay), so are all its rollouts."""
    cell = Cell(0, 4, 0)
    naive, _ = Sweeper(Naive(), rollouts=16, slots=8).play(cell)
    masked, _ = Sweeper(Realtime("zeros", 5.0), rollouts=16, slots=8).play(cell)
    one_sample, _ = Sweeper(Bid(samples=1), rollouts=16, slots=8).play(cell)
    for name in ("length", "solved", "return"):
        np.testing.assert_array_equal(naive[name], masked[name])
        np.testing.assert_array_equal(naive[name], one_sample[name])
    np.testing.assert_allclose(naive["jerk"], masked["jerk"], rtol=1e-4)


def test_full_observations_are_expanded():
    sweeper = Sweeper(Naive(), rollouts=4, slots=8, obs_dim=7)
    metrics, _ = sweeper.play(Cell(1, 2, 1))
    assert np.all(metrics["length"] > 0)
    with pytest.raises(ValueError, match="takes 5 observations, expected one of"):
        toy_scene(Naive(), obs_dim=5)


def test_a_method_that_acts_beside_a_policy_that_takes_all_entries_is_timed(monkeypatch):
    monkeypatch.setattr("rtc.evaluate.timing.SECONDS", 0.0)
    sweeper = Sweeper(Nudged(), rollouts=4, slots=8, obs_dim=7, heads=[toy_head()])
    sweep = sweeper.program.begin(sweeper.start)
    seconds = seconds_per_step(
        sweeper.scene, sweeper.policies, sweep.slots, sweeper.program.carry(sweeper.start)
    )
    assert seconds > 0


def test_weak_policy_takes_part():
    weak = toy_policy(seed=5, push=-0.5)
    cell = Cell(2, 3, 2)
    full, _ = Sweeper(Bid(4, keep=2, weak_epoch=1), 8, 8, weak_policy=weak).play(cell)
    alone, _ = Sweeper(Bid(4), 8, 8).play(cell)
    assert not np.array_equal(full["jerk"], alone["jerk"])


def test_noise_rows_do_not_depend_on_their_number():
    rollout, time = jnp.array([3, 9]), jnp.array([5, 0])
    one = chunk_noise(STREAMS.chunk, rollout, time, 1, (8, 2))
    many = chunk_noise(STREAMS.chunk, rollout, time, 6, (8, 2))
    np.testing.assert_array_equal(one[0], many[0])
    assert len(np.unique(np.asarray(many))) == many.size
    swapped = normal_at(STREAMS.action, rollout[::-1], time[::-1], (6,))
    np.testing.assert_array_equal(
        normal_at(STREAMS.action, rollout, time, (6,)), np.asarray(swapped)[::-1]
    )
    other = make_streams(0, "toy", 1)
    assert not np.array_equal(one, chunk_noise(other.chunk, rollout, time, 1, (8, 2)))


def test_methods_of_a_level_share_the_program_that_plays(realtime):
    """The text of the lowered program is what the compilation cache goes by."""
    other = Sweeper(TemporalEnsemble(0.1), rollouts=24, slots=8)
    told = Sweeper(Foreseeing(), rollouts=24, slots=8, forecaster=toy_forecaster())
    plan = make_plan(Cell(1, 2, 1), 8)

    def text(sweeper: Sweeper) -> str:
        sweep = sweeper.program.begin(sweeper.start)
        arguments = (STREAMS, plan, sweeper.start, sweep, sweeper.start.chunks[:8])
        return sweeper.program.play.lower(*arguments).as_text()

    assert text(realtime) == text(other) == text(told)


def test_what_acts_has_a_program_of_its_own():
    known = {}
    acting, policies = toy_scene(Nudged(), heads=[toy_head()])
    own = make_program(acting, 24, 8, known)
    others = [make_program(toy_scene(m)[0], 24, 8, known) for m in (Naive(), Bid(2))]
    assert others[0].play is others[1].play and others[0].act is others[1].act is None
    start = own.start(policies, STREAMS)
    given = STREAMS, make_plan(Cell(1, 2, 1), 8), start, own.begin(start), start.chunks[:8]
    text = own.act.lower(*given, policies, own.carry(start)).as_text()
    assert text != others[0].play.lower(*given).as_text()


def test_forecasts_are_shared_and_cost_nothing_where_none_is_asked_for():
    known = {}
    scenes = [toy_scene(Foreseeing(), forecaster=toy_forecaster())[0] for _ in range(2)]
    one, other = (make_program(scene, 24, 8, known) for scene in scenes)
    assert one.foresee is other.foresee
    assert make_program(toy_scene(Naive())[0], 24, 8, known).foresee(None, None) is None
