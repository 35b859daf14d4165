"""Intervals and paired tests against numbers worked out by hand or by another route."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, binomtest

from rtc.report.stats import (
    compare,
    mcnemar_exact,
    mean_solve_times,
    pair,
    paired_table,
    paper_line,
    pool,
    wilson_interval,
)
from tests.synthetic_tables import make_evaluations, make_rollouts


@pytest.mark.parametrize(
    ("solved", "rollouts"), [(0, 10), (1, 10), (7, 10), (10, 10), (1500, 2048)]
)
def test_wilson_equals_scipys(solved, rollouts):
    low, high = wilson_interval(solved, rollouts)
    expected = binomtest(solved, rollouts).proportion_ci(method="wilson")
    assert low == pytest.approx(expected.low, abs=1e-12)
    assert high == pytest.approx(expected.high, abs=1e-12)


def test_wilson_bounds_solve_the_score_equation():
    low, high = wilson_interval(37, 120)
    for bound in (float(low), float(high)):
        z = abs(37 / 120 - bound) / math.sqrt(bound * (1 - bound) / 120)
        assert z == pytest.approx(1.959964, abs=1e-5)


def test_wilson_of_nothing_and_of_nonsense():
    low, high = wilson_interval([0, 3], [0, 4])
    assert (low[0], high[0]) == (0, 1)
    with pytest.raises(ValueError, match="between 0 and rollouts"):
        wilson_interval(5, 4)


def _cells(*rows):
    return pd.DataFrame(rows, columns=["level", "seed", "method", "rollouts", "solved"])


def test_pooled_counts_add_up_over_levels_and_seeds():
    table = pool(
        _cells(("a", 0, "m", 100, 90), ("a", 1, "m", 100, 80), ("b", 0, "m", 200, 20)), ["method"]
    )
    row = table.iloc[0]
    assert (row.levels, row.rollouts, row.solved) == (2, 400, 190)
    assert row.solve_rate == pytest.approx(190 / 400)
    assert (row.low, row.high) == tuple(map(float, wilson_interval(190, 400)))


def test_stratified_weighs_levels_equally_and_forgets_their_spread():
    cells = _cells(("a", 0, "m", 200, 180), ("b", 0, "m", 200, 20))
    pooled = pool(cells, ["method"]).iloc[0]
    stratified = pool(cells, ["method"], how="stratified").iloc[0]
    assert stratified.solve_rate == pytest.approx(0.5)
    assert stratified.high - stratified.low < pooled.high - pooled.low
    uneven = _cells(("a", 0, "m", 1000, 1000), ("b", 0, "m", 10, 0))
    assert pool(uneven, ["method"], how="stratified").iloc[0].solve_rate == pytest.approx(0.5)


def test_stratified_with_one_level_is_wilson():
    row = pool(_cells(("a", 0, "m", 50, 31)), ["method"], how="stratified").iloc[0]
    assert (row.low, row.high) == pytest.approx(tuple(map(float, wilson_interval(31, 50))))


def test_stratified_interval_covers_the_mean_rate():
    rng = np.random.default_rng(1)
    rates = np.array([0.95, 0.7, 0.4, 0.1])
    hits = 0
    for _ in range(400):
        solved = rng.binomial(60, rates)
        cells = _cells(*[(str(i), 0, "m", 60, int(k)) for i, k in enumerate(solved)])
        row = pool(cells, ["method"], how="stratified").iloc[0]
        hits += row.low <= rates.mean() <= row.high
    assert 0.92 <= hits / 400 <= 0.98


def test_time_to_solve_is_the_mean_of_levels_and_only_where_all_were_solved():
    made = make_rollouts(levels=("a", "b"), methods=("naive", "te"), seeds=(0, 1), cells="paper")
    hard = (made.method == "te") & (made.level == "b") & (made.delay == 4)
    made.loc[hard, "solved"] = False
    found = mean_solve_times(paper_line(make_evaluations(made), "delay"))
    found = found.set_index(["method", "delay"])["time_to_solve"]
    assert ("te", 4) not in found.index and len(found) == 9
    own = made[(made.method == "naive") & (made.delay == 2) & (made.horizon == 2) & made.solved]
    assert found["naive", 2] == pytest.approx(own.groupby("level")["length"].mean().mean())


def test_the_papers_lines():
    table = make_evaluations(make_rollouts(levels=("a",), methods=("naive",), rollouts=2))
    over_delay = paper_line(table, over="delay")
    assert list(zip(over_delay.delay, over_delay.horizon)) == [
        (0, 1), (1, 1), (2, 2), (3, 3), (4, 4)
    ]  # fmt: skip
    assert list(paper_line(table, over="horizon").horizon) == [1, 2, 3, 4, 5, 6, 7]
    wrong = table.assign(estimate=table.delay + 1)
    assert paper_line(wrong, over="delay").empty


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 0), (8, 2), (3, 3), (60, 30)])
def test_mcnemar_is_the_two_sided_binomial_test(gained, lost):
    n = gained + lost
    tail = binom.cdf(min(gained, lost), n, 0.5)
    assert mcnemar_exact(gained, lost) == pytest.approx(min(1.0, 2 * tail))


def _pairs(ours, theirs, level="a", seed=0):
    rollouts = []
    for method, solved in (("x", ours), ("y", theirs)):
        rollouts.append(
            pd.DataFrame(
                {
                    "level": level,
                    "seed": seed,
                    "method": method,
                    "delay": 1,
                    "horizon": 1,
                    "estimate": 1,
                    "delay_distribution": None,
                    "rollout": np.arange(len(solved)),
                    "solved": np.asarray(solved, bool),
                }
            )
        )
    return pd.concat(rollouts)


def test_pairs_are_matched_by_rollout_not_by_order():
    table = _pairs([1, 1, 0, 1], [0, 1, 1, 0])
    shuffled = table.sample(frac=1, random_state=3)
    result = compare(pair(shuffled, "x", "y"))
    assert (result["pairs"], result["gained"], result["lost"]) == (4, 2, 1)
    assert result["difference"] == pytest.approx(0.25)


def test_bootstrap_of_one_cell_agrees_with_the_normal_interval():
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(800) < 0.7, rng.random(800) < 0.6
    result = compare(pair(_pairs(ours, theirs), "x", "y"))
    difference = ours.astype(int) - theirs.astype(int)
    half = 1.96 * difference.std() / math.sqrt(800)
    assert result["low"] == pytest.approx(difference.mean() - half, abs=0.01)
    assert result["high"] == pytest.approx(difference.mean() + half, abs=0.01)


def test_bootstrap_draws_levels_too():
    """Levels that disagree make the interval as wide as their disagreement."""
    alike, apart = [], []
    for number in range(6):
        gain = np.arange(200) < 100
        alike.append(_pairs(gain, np.zeros(200), level=f"l{number}"))
        gain = np.arange(200) < (200 if number < 3 else 0)
        apart.append(_pairs(gain, np.zeros(200), level=f"l{number}"))
    narrow = compare(pair(pd.concat(alike), "x", "y"))
    wide = compare(pair(pd.concat(apart), "x", "y"))
    assert narrow["difference"] == wide["difference"] == pytest.approx(0.5)
    assert narrow["high"] - narrow["low"] < 0.07
    # The mean of 6 coin flips: standard deviation 0.5/sqrt(6) = 0.204.
    assert 0.6 < wide["high"] - wide["low"] <= 1.0


def test_comparison_is_the_same_every_time():
    pairs = pair(make_rollouts(rollouts=32), "realtime", "naive")
    assert compare(pairs) == compare(pairs)


def test_paired_table_has_every_baseline_delay_and_the_late_delays_together():
    table = paired_table(make_rollouts(methods=("naive", "realtime", "bid")), draws=200)
    assert set(zip(table.baseline, table.method)) == {
        ("naive", "realtime"), ("naive", "bid"), ("realtime", "naive"), ("realtime", "bid")
    }  # fmt: skip
    against = table[(table.baseline == "naive") & (table.method == "realtime")]
    assert list(against.delay.dropna()) == [0, 1, 2, 3, 4]
    late = against[against.delay.isna()].iloc[0]
    assert late.pairs == against[against.delay >= 2].pairs.sum()
    assert late.low > 0 and late.p < 1e-6
    mirrored = table[(table.baseline == "realtime") & (table.method == "naive")]
    np.testing.assert_allclose(mirrored.difference, -against.difference.to_numpy())


def test_paired_table_without_a_baseline_is_empty():
    table = paired_table(make_rollouts(methods=("bid",), cells="paper"))
    assert table.empty and "difference" in table.columns
