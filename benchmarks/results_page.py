"""The solve rates in docs/results.md, computed from the counts in docs/results.

    python -m benchmarks.results_page            shows the rows that differ; exit code 1 if any
    python -m benchmarks.results_page --write    writes them
    python -m benchmarks.results_page --take second_seed results/evaluations.csv ...
        first takes the cells of a run's tables that are not counted yet, into
        docs/results/second_seed.csv; shipped and other_experts likewise

A table's heading and header say what it holds, a row's first columns what is counted: a new row is
written by hand with empty entries, and --write fills them. Tables of anything else stay.
"""

import argparse
import math
import re
import sys
from pathlib import Path

import pandas as pd

from benchmarks.against_published import CELL, beside, level_table, mean_table, sign_table
from rtc.errors import RtcError
from rtc.storage.io import write_csv, write_text
from rtc.storage.tables import read_evaluations

DOCS = Path(__file__).resolve().parents[1] / "docs"
COUNTS = ("shipped", "second_seed", "other_experts")
DELAYS = [(d, max(d, 1)) for d in range(5)]
# Of the other experts: trained for 10 epochs, and by hand a second seed of one level for 20.
NETWORKS = {"ours": "laptop", "ours, 20 epochs": "laptop_20", "the paper's": "paper"}
DRAWS = {"those of `pretrained/`": 0, "others": "laptop", "published": "published"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/results.md")
    parser.add_argument("--take", nargs="+", metavar=("COUNTS", "CSV"), help="add a run's cells")
    options = parser.parse_args(arguments)
    if options.take and options.take[0] not in COUNTS:
        parser.error(f"--take: {options.take[0]!r}; expected {', '.join(COUNTS)}, then tables")
    if options.take:
        try:
            take(DOCS / f"results/{options.take[0]}.csv", options.take[1:])
        except RtcError as error:  # a table that is not there or cannot be read
            parser.error(str(error))
    page = DOCS / "results.md"
    old = page.read_text(encoding="utf-8")
    new = computed(old)
    for before, after in zip(old.splitlines(), new.splitlines()):
        if before != after:
            print(f"- {before}\n+ {after}")
    if options.write:
        write_text(page, new)
    return int(old != new and not options.write)


def take(counts: Path, tables: list[str]) -> None:
    """Adds the tables' cells to the counts; those that are counted already stay as they are."""
    known = pd.read_csv(counts)
    new = pd.concat([read_evaluations(table) for table in tables])
    if new["seed"].nunique() > 1:
        sys.exit(f"{', '.join(tables)}: several policy seeds; name the tables of one")
    if "network" in known:  # of the policies; a run is of config/laptop.yaml, whose is small
        new["network"] = "laptop"
    key = [column for column in known if column not in ("solved", "rollouts")]
    both = pd.concat([known, new[list(known)]]).drop_duplicates(key).sort_values(key)
    write_csv(counts, both)
    print(f"{counts.name}: {len(both) - len(known)} cells of {len(new)} are new")


def computed(page: str) -> str:
    """The page with the entries of its tables of solve rates computed anew."""
    counts = Counts()
    blocks = re.split(r"((?:^\|.*\n)+)", page, flags=re.M)  # text, table, text, ..., text
    heading = ""
    for i in range(0, len(blocks) - 1, 2):
        heading = (re.findall(r"^#+ (.*)", blocks[i], flags=re.M) or [heading])[-1]
        blocks[i + 1] = counts.table(heading, blocks[i + 1])
    return "".join(blocks)


class Counts:
    """The solve rates of docs/results and the tables of docs/results.md that they make."""

    def __init__(self) -> None:
        shipped, second, others, published = (
            pd.read_csv(DOCS / f"results/{name}.csv") for name in (*COUNTS, "published")
        )
        networks = dict(list(others.groupby("network")))
        counts = pd.concat(
            {key: t.set_index(CELL) for key, t in {0: shipped, 1: second, **networks}.items()}
        )
        theirs = pd.concat({"published": published.set_index(CELL)})["solve_rate"]
        self.rates = (100 * pd.concat([counts["solved"] / counts["rollouts"], theirs])).to_dict()
        self.levels = list(shipped["level"].unique())
        self.others = list(networks["laptop"]["level"].unique())
        both = beside(shipped, published)
        texts = [table(both) for table in (level_table, mean_table, sign_table)]
        self.printed = {text.splitlines()[0]: text for text in texts}

    def table(self, heading: str, text: str) -> str:
        """A table of the page, its entries computed anew where they are solve rates."""
        header, rule, *rows = text.splitlines()
        if header in self.printed:
            return self.printed[header]
        entries = {
            ("All 24 cells", "method", "d"): self.horizons,
            ("All 24 cells", "method", "ours"): self.at_four,
            ("A second policy seed", "level", "method"): self.both_seeds,
            ("A second policy seed", "method", "seed"): self.one_seed,
            ("Which experts were drawn", "method", "experts"): self.one_draw,
            ("Which experts were drawn", "level", "method"): self.both_draws,
            ("Which experts were drawn", "level", "network"): self.network,
            ("Every method, side by side", "method", "d = 0"): self.some_levels,
            ("The paper's methods on twelve levels", "method", "d = 0"): self.all_levels,
            ("The paper's methods on twelve levels", "level", "method"): self.one_level,
        }.get((heading, *_cells(header)[:2]))
        if not entries:
            return text
        lines, first = [header, rule], ""
        for row in map(_cells, rows):
            first = row[0] or first  # an empty one goes on with that above
            new = entries(_cells(header), [first.removesuffix(" (oracle)"), *row[1:]])
            lines.append(f"| {row[0]} | {' | '.join([*row[1 : len(row) - len(new)], *new])} |")
        return "\n".join(lines) + "\n"

    def horizons(self, header: list[str], row: list[str]) -> list[str]:
        return [_tenth(self.mean(row[0], int(row[1]), s)) for s in range(1, len(row) - 1)]

    def at_four(self, header: list[str], row: list[str]) -> list[str]:
        return [_tenth(sum(self.mean(row[0], d, 4) for d, _ in DELAYS) / len(DELAYS)), row[2]]

    def both_seeds(self, header: list[str], row: list[str]) -> list[str]:
        level, method = row[:2]
        pairs = [[self.mean(method, *cell, [level], seed) for seed in (0, 1)] for cell in DELAYS]
        return [f"{one:.0f}, {other:.0f}" for one, other in pairs]

    def one_seed(self, header: list[str], row: list[str]) -> list[str]:
        return [_tenth(self.mean(row[0], *cell, source=int(row[1]))) for cell in DELAYS]

    def one_draw(self, header: list[str], row: list[str]) -> list[str]:
        return [_tenth(self.mean(row[0], *cell, self.others, DRAWS[row[1]])) for cell in DELAYS]

    def both_draws(self, header: list[str], row: list[str]) -> list[str]:
        level, method = row[:2]
        rates = [[self.mean(method, *cell, [level], DRAWS[d]) for d in DRAWS] for cell in DELAYS]
        theirs = [f" / {their:.0f}" if their == their else "" for *_, their in rates]
        return [f"{a:.0f}, {b:.0f}{their}" for (a, b, _), their in zip(rates, theirs)]

    def network(self, header: list[str], row: list[str]) -> list[str]:
        level, network, method = row[:3]
        source = NETWORKS[network]
        return [f"{self.mean(method, *cell, [level], source):.0f}" for cell in DELAYS]

    def some_levels(self, header: list[str], row: list[str]) -> list[str]:
        levels = [title.partition(":")[0] for title in header[6:]]
        means = [self.mean(row[0], *cell, levels) for cell in DELAYS]
        pairs = [[self.mean(row[0], d, d, [level]) for d in (2, 4)] for level in levels]
        return [*map(_tenth, means), *(", ".join(map(_tenth, pair)) for pair in pairs)]

    def all_levels(self, header: list[str], row: list[str]) -> list[str]:
        return [_tenth(self.mean(row[0], *cell)) for cell in DELAYS]

    def one_level(self, header: list[str], row: list[str]) -> list[str]:
        return [_tenth(self.mean(row[1], *cell, [row[0]])) for cell in DELAYS]

    def mean(
        self, method: str, d: int, s: int, levels: list[str] | None = None, source: int | str = 0
    ) -> float:
        """The mean over levels (None: all) in %, NaN where one has not been counted."""
        keys = [(source, level, method, d, s) for level in levels or self.levels]
        return sum(self.rates.get(key, float("nan")) for key in keys) / len(keys)


def _tenth(rate: float) -> str:
    return "" if math.isnan(rate) else f"{rate:.1f}"


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


if __name__ == "__main__":
    sys.exit(main())
