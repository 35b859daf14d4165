"""What `rtc compare` prints: one method beside others, as text. Reads tables, never jax."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rtc.report.order import in_order
from rtc.report.privileged import MARK, mark_privileged, privileged_note
from rtc.report.stats import paired_table, paper_line, pool
from rtc.report.summary import format_p
from rtc.storage.io import atomic_path, write_text
from rtc.storage.tables import read_evaluations, read_rollouts


def write_comparison(folder: str | Path, method: str, rollouts: Sequence[str | Path]) -> str:
    """Writes `{method}.txt` and `{method}.png` into the folder of a comparison.

    rollouts: the parquets of single rollouts. Returns the text, and where both files lie.
    """
    folder = Path(folder)
    table = read_evaluations(folder / "results/evaluations.csv")
    text = comparison_text(table, read_rollouts(rollouts, columns=["solved"]), method)
    files = [folder / f"{method}{suffix}" for suffix in (".txt", ".png")]
    write_text(files[0], text)
    with atomic_path(files[1]) as temporary:
        shutil.copyfile(folder / "results/figures/figure_5.png", temporary)
    return f"{text}\n{files[0]}\n{files[1]}"


def comparison_text(evaluations: pd.DataFrame, rollouts: pd.DataFrame, method: str) -> str:
    """Returns three tables: solve rates of all methods by delay, and by level at delays of two
    and more (all delays if there is none); and what `method` solves more than each other one.

    evaluations, rollouts: as `rtc.storage.tables` reads them, of the cells at s = max(d, 1).
    """
    evaluations, rollouts = mark_privileged(evaluations, rollouts)
    if method not in set(evaluations["method"]):
        method += MARK
    line = paper_line(evaluations, over="delay")
    late = line[line["delay"] >= 2]
    where = "d >= 2" if len(late) else "all delays"
    count = line["level"].nunique()
    levels = "1 level" if count == 1 else f"mean of {count} levels"
    parts = [
        f"Solve rate in %, {levels}, s = max(d, 1), 95 % Wilson intervals (* best)",
        _by_delay(line),
        f"Solve rate in % by level, {where} (* best)",
        _by_level(late if len(late) else line),
        f"{method} against each other method, on the same noise: difference in points with its\n"
        "95 % bootstrap interval over levels and rollouts; episodes that only one of the\n"
        "two solved; exact McNemar test",
        _paired(rollouts, method),
        *privileged_note(line["method"]),
    ]
    return "\n\n".join(parts) + "\n"


def _by_delay(line: pd.DataFrame) -> str:
    rates = pool(line, ["method", "delay"]).set_index(["method", "delay"])
    delays = sorted(line["delay"].unique())
    best = rates.groupby("delay")["solve_rate"].max()
    rows = [["method", *(f"d = {int(d)}" for d in delays)]]
    for method in in_order(line["method"]):
        cells = [rates.loc[(method, delay)] for delay in delays]
        texts = [f"{_rate(c, best[d]).strip()} ({_interval(c)})" for c, d in zip(cells, delays)]
        rows.append([method, *texts])
    return _aligned(rows)


def _by_level(line: pd.DataFrame) -> str:
    rates = pool(line, ["level", "method"]).set_index(["level", "method"])
    methods = in_order(line["method"])
    best = rates.groupby("level")["solve_rate"].max()
    rows = [["level", *methods]]
    for level in sorted(line["level"].unique()):
        rows.append([level, *(_rate(rates.loc[(level, m)], best[level]) for m in methods)])
    return _aligned(rows)


def _paired(rollouts: pd.DataFrame, method: str) -> str:
    rows = [["against", "delay", "difference", "interval", "only it", "only other", "p"]]
    # The noise is the same whatever the policy, so methods on other policies are paired as well.
    for other in [name for name in in_order(rollouts["method"]) if name != method]:
        both = rollouts[rollouts["method"].isin([method, other])]
        for row in paired_table(both, baselines=[other]).itertuples():
            rows.append(
                [
                    other,
                    "2 and more" if pd.isna(row.delay) else str(row.delay),
                    f"{100 * row.difference:+.1f}",
                    f"{100 * row.low:+.1f} to {100 * row.high:+.1f}",
                    f"{row.gained:,}",
                    f"{row.lost:,}",
                    format_p(row.p).removeprefix("p ").removeprefix("= "),
                ]
            )
    return _aligned(rows)


def _rate(row: pd.Series, best: float) -> str:
    return f"{100 * row['solve_rate']:.1f}{'*' if row['solve_rate'] == best else ' '}"


def _interval(row: pd.Series) -> str:
    return f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns under one another, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
