"""The answer of a run in three sentences, written from its numbers."""

import pandas as pd

from rtc.report.order import in_order
from rtc.report.privileged import is_privileged
from rtc.report.stats import paper_line, pool


def summary_sentences(evaluations: pd.DataFrame, paired: pd.DataFrame | None = None) -> list[str]:
    """Returns three sentences: how often robots succeed, how sure the gain is, what else shows.

    evaluations: rows of `evaluations.csv`. paired: `rtc.report.stats.paired_table`, if at hand.
    Methods that are told the future are passed over.
    Speaks of `realtime` against `naive` where both were run, else of the best method and the
    worst. Returns fewer sentences where the numbers for one are missing.
    """
    evaluations = evaluations[~evaluations["method"].map(is_privileged).astype(bool)]
    cells, where = _late_cells(evaluations)
    rates = pool(cells, ["method"]).sort_values("solve_rate", ascending=False, kind="stable")
    if rates.empty:
        return ["No cell with a fixed delay was evaluated."]
    rates = rates.set_index("method")
    ours, baseline = _protagonists(list(rates.index))
    sentences = [_rates_sentence(rates, ours, baseline, where)]
    if paired is not None and baseline is not None:
        sentences += _gain_sentence(paired, ours, baseline, where)
    return sentences + _best_sentence(evaluations)


def _late_cells(evaluations: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    line = paper_line(evaluations, over="delay")
    late = line[line["delay"] >= 2]
    if len(late):
        return late, "At inference delays of two steps and more"
    return (line, "Over all delays") if len(line) else (evaluations, "Over all cells")


def _protagonists(ranked: list[str]) -> tuple[str, str | None]:
    ours = "realtime" if "realtime" in ranked else ranked[0]
    others = [name for name in ranked if name != ours]
    if not others:
        return ours, None
    return ours, "naive" if "naive" in others else others[-1]


def _rates_sentence(rates: pd.DataFrame, ours: str, baseline: str | None, where: str) -> str:
    def told(method: str) -> str:
        row = rates.loc[method]
        interval = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
        return (
            f"{method} solved {100 * row['solve_rate']:.1f} % of {int(row['rollouts']):,} "
            f"episodes (95 % interval {interval})"
        )

    text = f"{where}, {told(ours)}"
    if baseline is None:
        return text + "."
    apart = (
        rates.loc[ours, "low"] > rates.loc[baseline, "high"]
        or rates.loc[baseline, "low"] > rates.loc[ours, "high"]
    )
    return f"{text} and {told(baseline)}; the intervals {'are apart' if apart else 'overlap'}."


def _gain_sentence(paired: pd.DataFrame, ours: str, baseline: str, where: str) -> list[str]:
    rows = paired[(paired["method"] == ours) & (paired["baseline"] == baseline)]
    rows = rows[rows["delay"].isna()] if rows["delay"].isna().any() else rows.tail(1)
    if rows.empty:
        return []
    row = rows.iloc[0]
    scope = "" if pd.isna(row["delay"]) else f" at a delay of {int(row['delay'])}"
    more = "more" if row["difference"] >= 0 else "fewer"
    return [
        f"Compared episode by episode on the same noise{scope}, {ours} solved "
        f"{abs(100 * row['difference']):.1f} percentage points {more} than {baseline} "
        f"(95 % bootstrap interval over levels, policy seeds and rollouts "
        f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}): {int(row['gained']):,} episodes "
        f"were solved by {ours} alone and {int(row['lost']):,} by {baseline} alone "
        f"(exact McNemar {format_p(row['p'])})."
    ]


def _best_sentence(evaluations: pd.DataFrame) -> list[str]:
    line = paper_line(evaluations, over="delay")
    if line.empty or line["method"].nunique() < 2:
        return []
    longest = line[line["delay"] == line["delay"].max()]
    rates = pool(longest, ["method"]).set_index("method")["solve_rate"]
    best = in_order(rates.index[rates == rates.max()])
    if len(best) == len(rates):
        told = f"all {len(rates)} methods were equal"
    else:
        names = " and ".join(filter(None, [", ".join(best[:-1]), best[-1]]))
        told = f"{names} {'was' if len(best) == 1 else 'were'} the best of {len(rates)} methods"
    jumps = longest.groupby("method")["jump_mean"].mean().dropna()
    text = (
        f"At the longest delay, {int(longest['delay'].iloc[0])} steps, {told} with "
        f"{100 * rates.max():.1f} %"
    )
    if jumps.empty:
        return [text + "."]
    return [
        f"{text}, and {jumps.idxmin()} switched between chunks most smoothly "
        f"(mean jump of the action {jumps.min():.2f}, against {jumps.max():.2f} of "
        f"{jumps.idxmax()})."
    ]


def format_p(p: float) -> str:
    """Returns "p = 0.012" or, below one in a million, "p < 1e-6"."""
    return "p < 1e-6" if p < 1e-6 else f"p = {p:.2g}"
