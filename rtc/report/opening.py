"""The opening page of the report and `summary.md`: what was run, the answer, a table.

Reads tables, never jax. Text that came from the configuration is escaped.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from rtc.report.stats import paired_table, paper_line, pool
from rtc.report.summary import summary_sentences
from rtc.storage.io import write_text
from rtc.storage.tables import read_evaluations, read_rollouts, read_timings


def write_opening(
    evaluations: str | Path,
    timings: str | Path,
    rollouts: list[str | Path],
    facts: Mapping[str, str],
    *,
    markdown: str | Path,
    rst: str | Path,
) -> None:
    """Writes the opening page, as Markdown for reading and as reStructuredText for the report.

    evaluations, timings: the joined tables. rollouts: the parquets of single rollouts.
    facts: what was run, label -> text, in order.
    """
    table = read_evaluations(evaluations)
    devices = sorted(read_timings(timings)["device"].unique())
    facts = {**facts, "Device": ", ".join(devices)}
    answer = summary_sentences(table, paired_table(read_rollouts(rollouts, columns=["solved"])))
    rates = _rates(table)
    write_text(markdown, _markdown(facts, answer, rates))
    write_text(rst, _rst(facts, answer, rates))


def _rates(table: pd.DataFrame) -> list[list[str]]:
    """Rows method x delay of the solve rate along s = max(d, 1), headed by a row of names."""
    line = paper_line(table, over="delay")
    if line.empty:
        return []
    pooled = pool(line, ["method", "delay"])
    delays = sorted(pooled["delay"].unique())
    rows = [["method", *(f"d = {int(d)}" for d in delays)]]
    for method, group in pooled.groupby("method", sort=False):
        cells = group.set_index("delay")
        rows.append([str(method), *(_percent(cells, d) for d in delays)])
    return rows


def _percent(cells: pd.DataFrame, delay: float) -> str:
    if delay not in cells.index:
        return ""
    row = cells.loc[delay]
    return f"{100 * row['solve_rate']:.1f} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


def _markdown(facts: Mapping[str, str], answer: list[str], rates: list[list[str]]) -> str:
    lines = ["# Real-Time Chunking on Kinetix", "", *answer, ""]
    if rates:
        lines += ["Solve rate in % with its 95 % Wilson interval, execution horizon max(d, 1):", ""]
        lines += [_row(rates[0]), _row(["---"] * len(rates[0])), *(map(_row, rates[1:])), ""]
    lines += ["| what was run | |", "| --- | --- |", *(_row([k, v]) for k, v in facts.items()), ""]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(re.sub(r"([\\|<>`*_\[\]])", r"\\\1", cell) for cell in cells) + " |"


def _rst(facts: Mapping[str, str], answer: list[str], rates: list[list[str]]) -> str:
    lines = [*map(_escape, answer), ""]
    if rates:
        lines += _list_table(
            "Solve rate in % with its 95 % Wilson interval, execution horizon max(d, 1)", rates
        )
    lines += _list_table("What was run", [[key, value] for key, value in facts.items()], header=0)
    return "\n".join(lines)


def _list_table(title: str, rows: list[list[str]], header: int = 1) -> list[str]:
    lines = [f".. list-table:: {title}", f"   :header-rows: {header}", ""]
    for row in rows:
        for i, cell in enumerate(row):
            lines.append(f"   {'* -' if i == 0 else '  -'} {_escape(cell)}")
    return [*lines, ""]


def _escape(text: str) -> str:
    """Text as reStructuredText that means only itself."""
    text = " ".join(text.split())
    return re.sub(r"([\\`*_|<>:\[\]{}%])", r"\\\1", text) if text else "\\ "
