"""Intervals and comparisons for solve rates. Reads tables, never jax.

- A rate's interval is Wilson's (E. B. Wilson, JASA 1927).
- Over levels and policy seeds, rates are either *pooled* (all rollouts of all levels counted
  together; the interval says how well these levels' rate is known) or *stratified* (the mean of
  the levels' own rates, each level's Wilson interval combined by the square-and-add rule of
  Newcombe, Stat. Med. 1998, and Zou and Donner, Stat. Med. 2008). With equally many rollouts
  in each level both have the same centre; the stratified interval is the narrower, since
  differences between levels do not widen it.
- Two methods are compared rollout by rollout, since both saw the same noise: the difference of
  solve rates, the exact McNemar test (Biometrika 1947; two-sided binomial test of the rollouts
  that only one of them solved), and a bootstrap interval that draws levels, then policy seeds,
  then rollouts anew, so that it speaks about further levels and seeds, too.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from rtc.report.order import in_order
from rtc.storage.tables import wilson_interval

PAIR = ["level", "seed", "delay", "horizon", "estimate", "delay_distribution", "rollout"]
PAIRED_COLUMNS = (
    *("baseline", "method", "delay", "pairs", "gained", "lost"),
    *("difference", "low", "high", "p"),
)


def pool(
    evaluations: pd.DataFrame, by: Sequence[str], how: str = "pooled", confidence: float = 0.95
) -> pd.DataFrame:
    """Returns one row for each value of `by`: levels, rollouts, solved, solve_rate, low, high.

    evaluations: rows of `evaluations.csv`. how: "pooled" counts or "stratified" over levels
    (see the head of this module). Rows with an empty key (drawn delays) are left out.
    Raises ValueError for another `how`.
    """
    if how not in ("pooled", "stratified"):
        raise ValueError(f"how: expected pooled or stratified, got {how!r}")
    keys = list(dict.fromkeys([*by, "level"]))
    per_level = evaluations.groupby(keys, as_index=False)[["rollouts", "solved"]].sum()
    rows = []
    for values, group in per_level.groupby(list(by)):
        row = dict(zip(by, values if isinstance(values, tuple) else (values,)))
        n, k = group["rollouts"].to_numpy(), group["solved"].to_numpy()
        row |= {"levels": len(group), "rollouts": int(n.sum()), "solved": int(k.sum())}
        rate, low, high = _pooled(k, n, confidence) if how == "pooled" else _mover(k, n, confidence)
        rows.append(row | {"solve_rate": rate, "low": low, "high": high})
    columns = [*by, "levels", "rollouts", "solved", "solve_rate", "low", "high"]
    return pd.DataFrame(rows, columns=list(dict.fromkeys(columns)))


def _pooled(solved: np.ndarray, rollouts: np.ndarray, confidence: float) -> tuple[float, ...]:
    low, high = wilson_interval(solved.sum(), rollouts.sum(), confidence)
    return float(solved.sum() / rollouts.sum()), float(low), float(high)


def _mover(solved: np.ndarray, rollouts: np.ndarray, confidence: float) -> tuple[float, ...]:
    rates = solved / rollouts
    lows, highs = wilson_interval(solved, rollouts, confidence)
    count = len(rates)
    down = np.sqrt(np.sum((rates - lows) ** 2)) / count
    up = np.sqrt(np.sum((highs - rates) ** 2)) / count
    mean = rates.mean()
    return float(mean), float(mean - down), float(mean + up)


def paper_line(table: pd.DataFrame, over: str) -> pd.DataFrame:
    """Returns the rows of one line of the paper's figure 5.

    over: "delay" keeps s = max(d, 1); "horizon" keeps d = 1. Only fixed delays that the
    method was told rightly belong to it.
    """
    told = table["delay"].notna() & (table["delay"] == table["estimate"])
    if over == "delay":
        return table[told & (table["horizon"] == np.maximum(table["delay"], 1))]
    if over == "horizon":
        return table[told & (table["delay"] == 1)]
    raise ValueError(f"over: expected delay or horizon, got {over!r}")


def mean_solve_times(line: pd.DataFrame) -> pd.DataFrame:
    """Returns method, delay, time_to_solve: the mean over levels of the mean length of each
    level's solved episodes, all policy seeds together.

    line: rows of `evaluations.csv`. A level that is solved seldom counts as much as another; a
    method and delay with a level in which nothing was solved is left out, for the mean of the
    others would be of other tasks.
    """
    keys = ["method", "delay"]
    steps = (line["time_to_solve"] * line["solved"]).fillna(0.0)
    sums = line.assign(steps=steps).groupby([*keys, "level"], as_index=False)
    sums = sums[["steps", "solved"]].sum()
    complete = sums.groupby(keys)["solved"].transform("min") > 0
    sums = sums.assign(time_to_solve=sums["steps"] / sums["solved"].where(complete))
    return sums[complete].groupby(keys, as_index=False)["time_to_solve"].mean()


def mcnemar_exact(gained: int, lost: int) -> float:
    """Returns the exact two-sided p of McNemar's test; 1 if no rollout differs."""
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def pair(rollouts: pd.DataFrame, method: str, baseline: str) -> pd.DataFrame:
    """Returns the rollouts that both methods ran, with columns `ours` and `theirs` (solved)."""
    columns = [*PAIR, "solved"]
    ours = rollouts.loc[rollouts["method"] == method, columns]
    theirs = rollouts.loc[rollouts["method"] == baseline, columns]
    pairs = ours.merge(theirs, on=PAIR, suffixes=("_ours", "_theirs"))
    return pairs.rename(columns={"solved_ours": "ours", "solved_theirs": "theirs"})


def compare(pairs: pd.DataFrame, *, draws: int = 4000, seed: int = 0) -> dict[str, float | int]:
    """Returns the paired difference of solve rates and how sure it is.

    pairs: from `pair`. Result: pairs, gained (only ours solved), lost (only theirs did),
    difference (the mean of the levels' own differences), low and high (95 % bootstrap), p.
    The p-value counts every pair as independent, exact for a single cell; over several cells,
    where the same rollout comes again, read the bootstrap interval.
    """
    gained = int((pairs["ours"] & ~pairs["theirs"]).sum())
    lost = int((~pairs["ours"] & pairs["theirs"]).sum())
    units = _units(pairs)
    centre = np.mean([np.mean([unit.mean() for unit in seeds]) for seeds in units])
    low, high = _bootstrap(units, draws, np.random.default_rng(seed))
    counts = {"pairs": len(pairs), "gained": gained, "lost": lost}
    return counts | {
        "difference": float(centre),
        "low": low,
        "high": high,
        "p": mcnemar_exact(gained, lost),
    }


def _units(pairs: pd.DataFrame) -> list[list[np.ndarray]]:
    """Differences by level and policy seed; the cells of one rollout are averaged, for it is
    the rollout that is drawn."""
    difference = pairs["ours"].astype(np.int8) - pairs["theirs"].astype(np.int8)
    table = pairs[["level", "seed", "rollout"]].assign(difference=difference)
    means = table.groupby(["level", "seed", "rollout"])["difference"].mean()
    return [
        [group.to_numpy() for _, group in of_level.groupby("seed")]
        for _, of_level in means.groupby("level")
    ]


def _bootstrap(
    units: list[list[np.ndarray]], draws: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Percentile interval from redrawing levels, then seeds, then rollouts."""
    levels = len(units)
    chosen = rng.integers(levels, size=(draws, levels))
    total = np.zeros(draws)
    for number, seeds in enumerate(units):
        times = (chosen == number).sum(axis=1)
        # One redrawn mean of this level for each time that it was chosen.
        owner = np.repeat(np.arange(draws), times)
        picks = rng.integers(len(seeds), size=(len(owner), len(seeds)))
        means = np.zeros(len(owner))
        for which, values in enumerate(seeds):
            uses = (picks == which).sum(axis=1)
            redrawn = _redrawn_means(values, int(uses.sum()), rng)
            means += np.bincount(np.repeat(np.arange(len(owner)), uses), redrawn, len(owner))
        total += np.bincount(owner, means / len(seeds), draws)
    low, high = np.quantile(total / levels, [0.025, 0.975])
    return float(low), float(high)


def _redrawn_means(values: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    distinct, counts = np.unique(values, return_counts=True)
    drawn = rng.multinomial(len(values), counts / len(values), size=size)
    return drawn @ distinct / len(values)


def paired_table(
    rollouts: pd.DataFrame, baselines: Iterable[str] = ("naive", "realtime"), draws: int = 4000
) -> pd.DataFrame:
    """Compares every method with every baseline along the line s = max(d, 1).

    rollouts: single rollouts (`rtc.storage.tables.read_rollouts`). One row for each baseline,
    method and delay, and one, with an empty delay, over all delays of two steps and more.
    """
    line = paper_line(rollouts, over="delay")
    methods = in_order(line["method"])
    rows: list[dict[str, Any]] = []
    for baseline in [name for name in baselines if name in methods]:
        for method in [name for name in methods if name != baseline]:
            pairs = pair(line, method, baseline)
            late = pairs[pairs["delay"] >= 2]
            groups = [(int(delay), group) for delay, group in pairs.groupby("delay")]
            groups += [(None, late)] if late["delay"].nunique() > 1 else []
            head = {"baseline": baseline, "method": method}
            rows += [head | {"delay": d} | compare(g, draws=draws) for d, g in groups]
    columns = [
        "baseline",
        "method",
        "delay",
        "pairs",
        "gained",
        "lost",
        "difference",
        "low",
        "high",
        "p",
    ]
    table = pd.DataFrame(rows, columns=columns)
    table["delay"] = table["delay"].astype("Int64")
    return table
