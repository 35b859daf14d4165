"""Our solve rates beside the published policies', level by level, as a Markdown table.

    python benchmarks/against_published.py results/evaluations.csv [--experts results/experts]

The published numbers are third-party measurements of the authors' policies
(docs/results/published.csv names the source of each). A verdict compares two rates: where the 95 %
interval of their difference (Newcombe 1998, from both Wilson intervals) holds zero they agree,
else ours is weaker or stronger.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from rtc.experts.expert import best_update, checkpoint_entry, read_expert
from rtc.storage.tables import read_evaluations, wilson_interval

PUBLISHED = Path(__file__).resolve().parents[1] / "docs/results/published.csv"
CELL = ["level", "method", "delay", "horizon"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("evaluations", type=Path, help="a run's evaluations.csv")
    parser.add_argument("--experts", type=Path, help="a run's results/experts")
    options = parser.parse_args(arguments)
    both = beside(read_evaluations(options.evaluations), pd.read_csv(PUBLISHED))
    print(level_table(both))
    print(mean_table(both))
    print(sign_table(both))
    if options.experts:
        print(expert_table(options.experts, pd.read_csv(PUBLISHED)))
    return 0


def beside(ours: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell that both have: counts pooled over policy seeds, both rates, and
    difference, low, high: ours minus theirs with its 95 % interval."""
    pooled = ours.groupby(CELL, as_index=False)[["solved", "rollouts"]].sum()
    theirs = published.rename(columns={"solve_rate": "published", "rollouts": "published_n"})
    both = theirs.merge(pooled, on=CELL).astype({"solved": float, "rollouts": float})
    both["rate"] = both["solved"] / both["rollouts"]
    low, high = wilson_interval(both["solved"], both["rollouts"])
    their_low, their_high = wilson_interval(
        both["published"] * both["published_n"], both["published_n"]
    )
    rate, their = both["rate"], both["published"]
    both["difference"] = rate - their
    both["low"] = both["difference"] - np.hypot(rate - low, their_high - their)
    both["high"] = both["difference"] + np.hypot(high - rate, their - their_low)
    return both


def verdict(row: pd.Series) -> str:
    """ "agrees", "weaker" or "stronger"."""
    if row["low"] <= 0 <= row["high"]:
        return "agrees"
    return "weaker" if row["difference"] < 0 else "stronger"


def level_table(both: pd.DataFrame) -> str:
    """Ours / published in %, and the verdict, for each level, method and cell."""
    cells = list(dict.fromkeys(zip(both["delay"], both["horizon"])))
    lines = ["| level | method | " + " | ".join(f"{d}, {s}" for d, s in cells) + " |"]
    lines.append("| --- | --- |" + " --- |" * len(cells))
    for (level, method), rows in both.groupby(["level", "method"], sort=False):
        entries = {(r.delay, r.horizon): _entry(r) for r in rows.itertuples()}
        shown = " | ".join(entries.get(cell, "") for cell in cells)
        lines.append(f"| {level} | {method} | {shown} |")
    return "\n".join(lines) + "\n"


def _entry(row: tuple) -> str:
    word = verdict(pd.Series(row._asdict()))
    mark = {"agrees": "", "weaker": " weaker", "stronger": " stronger"}[word]
    return f"{100 * row.rate:.0f} / {100 * row.published:.0f}{mark}"


def mean_table(both: pd.DataFrame) -> str:
    """Means over the levels that are there, ours / theirs of the same levels, in %."""
    count = both["level"].nunique()
    lines = [f"| mean of {count} levels: method | d, s | ours | published | difference |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for (method, d, s), rows in both.groupby(["method", "delay", "horizon"]):
        ours, theirs = 100 * rows["rate"].mean(), 100 * rows["published"].mean()
        lines.append(f"| {method} | {d}, {s} | {ours:.1f} | {theirs:.1f} | {ours - theirs:+.1f} |")
    return "\n".join(lines) + "\n"


def sign_table(both: pd.DataFrame) -> str:
    """realtime minus naive at s = d >= 2, in points, where theirs is more than five."""
    late = both[(both["delay"] >= 2) & (both["delay"] == both["horizon"])]
    wide = late.pivot(index=["level", "delay"], columns="method", values=["rate", "published"])
    lines = ["| level | d | realtime - naive, ours | published | same sign |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for (level, delay), row in wide.iterrows():
        ours = 100 * (row["rate"]["realtime"] - row["rate"]["naive"])
        theirs = 100 * (row["published"]["realtime"] - row["published"]["naive"])
        if abs(theirs) > 5:
            same = "yes" if ours * theirs > 0 else "no"
            lines.append(f"| {level} | {delay} | {ours:+.0f} | {theirs:+.0f} | {same} |")
    return "\n".join(lines) + "\n"


def expert_table(folder: Path, published: pd.DataFrame) -> str:
    """Each level's experts: best solve rates of the training intervals, steps to 0.65."""
    theirs = published[published["method"] == "expert_dataset"].set_index("level")["solve_rate"]
    lines = ["| level | best of each seed, % | published | steps to 65 % | seconds to 65 % |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for level in [name for name in theirs.index if (folder / name).is_dir()]:
        seeds = sorted((folder / level).glob("seed_*"))
        infos = [read_expert(seed) for seed in seeds if (seed / "expert.json").is_file()]
        best = [checkpoint_entry(info, best_update(info))["solve_rate"] for info in infos]
        rows = [_first_passing(seed) for seed in seeds if (seed / "progress.csv").is_file()]
        lines.append(
            f"| {level} | {', '.join(f'{100 * b:.0f}' for b in best)} | {100 * theirs[level]:.1f} "
            f"| {', '.join(r[0] for r in rows)} | {', '.join(r[1] for r in rows)} |"
        )
    return "\n".join(lines) + "\n"


def _first_passing(seed: Path) -> tuple[str, str]:
    progress = pd.read_csv(seed / "progress.csv")
    passing = progress[progress["solve_rate"] >= 0.65]
    if passing.empty:
        return "never", "never"
    first = passing.iloc[0]
    return f"{first['env_steps'] / 1e6:.2f} M", f"{first['seconds']:.0f}"


if __name__ == "__main__":
    sys.exit(main())
