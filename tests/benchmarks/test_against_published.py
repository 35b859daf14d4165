"""Our numbers beside the published ones: what is called agreement."""

import pandas as pd
import pytest

from benchmarks.against_published import PUBLISHED, beside, mean_table, sign_table, verdict


def tables(solved: int, rate: float) -> pd.DataFrame:
    keys = {"level": "catapult", "method": "naive", "delay": 2, "horizon": 2}
    ours = pd.DataFrame(
        [keys | {"seed": seed, "solved": solved, "rollouts": 100} for seed in (0, 1)]
    )
    theirs = pd.DataFrame([keys | {"solve_rate": rate, "rollouts": 256, "source": ""}])
    return beside(ours, theirs)


@pytest.mark.parametrize(
    ("solved", "rate", "word"), [(50, 0.55, "agrees"), (50, 0.7, "weaker"), (90, 0.6, "stronger")]
)
def test_a_verdict_is_where_zero_lies(solved, rate, word):
    both = tables(solved, rate)
    assert both["rate"].tolist() == [solved / 100]
    assert both["rollouts"].tolist() == [200]
    assert both["low"][0] < both["difference"][0] < both["high"][0]
    assert verdict(both.iloc[0]) == word


def test_the_interval_of_a_difference_is_newcombes():
    """Newcombe 1998, method 10: 56 of 70 against 48 of 80 are 0.0524 to 0.3339 apart."""
    keys = {"level": "a", "method": "naive", "delay": 0, "horizon": 1}
    ours = pd.DataFrame([keys | {"solved": 56, "rollouts": 70}])
    theirs = pd.DataFrame([keys | {"solve_rate": 48 / 80, "rollouts": 80, "source": ""}])
    row = beside(ours, theirs).iloc[0]
    assert (row["low"], row["high"]) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_the_published_table_is_whole():
    published = pd.read_csv(PUBLISHED)
    assert published["level"].nunique() == 12
    policies = published[published["method"].isin(["naive", "realtime"])]
    assert policies.groupby(["method", "delay", "horizon"]).size().eq(12).all()
    ours = policies.assign(seed=0, rollouts=1000)
    ours["solved"] = (ours["solve_rate"] * 1000).round()
    both = beside(ours, published)
    assert "| naive | 0, 1 | 91.6 | 91.6 |" in mean_table(both)
    assert " no |" not in sign_table(both)
    assert "| h17_unicycle | 4 | -10 | -10 | yes |" in sign_table(both)
