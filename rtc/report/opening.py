"""The opening page of the report and `summary.md`: the answer, figure 5, tables, what was run.

Reads tables, never jax. Text that came from the configuration is escaped.
"""

import base64
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from rtc.report.order import in_order
from rtc.report.privileged import mark_privileged, privileged_note
from rtc.report.stats import mean_solve_times, paired_table, paper_line, pool
from rtc.report.summary import summary_sentences
from rtc.storage.io import write_text
from rtc.storage.tables import read_evaluations, read_rollouts, read_timings

ALT = "Solve rate against inference delay and execution horizon: the paper's figure 5"
TITLE = (
    "Solve rate in % with its 95 % Wilson interval, execution horizon max(d, 1); "
    "the best of each delay in bold"
)
TIMES = (
    "Time to solve: steps of solved episodes, the mean of the levels' means; empty where a method "
    "solved nothing in one of the levels"
)
COSTS = (
    "Cost: passes through a network, and milliseconds for a robot, of {batches} robots at once, "
    "on this device"
)


def write_opening(
    evaluations: str | Path,
    timings: str | Path,
    rollouts: list[str | Path],
    facts: Mapping[str, str],
    *,
    figure: str | Path,
    markdown: str | Path,
    rst: str | Path,
) -> None:
    """Writes the opening page, as Markdown for reading and as reStructuredText for the report.

    evaluations, timings: the joined tables. rollouts: the parquets of single rollouts.
    facts: what was run, label -> text, in order. figure: the PNG of figure 5, which the report
    carries inside, since it is one file, and the Markdown names.
    """
    tables = read_timings(timings), read_rollouts(rollouts, columns=["solved"])
    table, times, single = mark_privileged(read_evaluations(evaluations), *tables)
    devices = sorted(times["device"].unique())
    facts = {**facts, "Device": ", ".join(devices)}
    answer = summary_sentences(table, paired_table(single)) + privileged_note(table["method"])
    shown = [(TITLE, _rates(table)), (TIMES, _solve_times(table)), _costs(times)]
    shown = [(title, rows) for title, rows in shown if len(rows) > 1]
    place = Path(os.path.relpath(figure, Path(markdown).parent)).as_posix()
    write_text(markdown, _markdown(facts, answer, shown, place))
    write_text(rst, _rst(facts, answer, shown, Path(figure).read_bytes()))


class Cell(NamedTuple):
    """One entry of a table. best: the text stands out, no other in its column is higher.
    rest: what follows the text."""

    text: str
    best: bool = False
    rest: str = ""


Table = tuple[str, list[list[Cell]]]  # its title, and its rows under a row of names


def _rates(table: pd.DataFrame) -> list[list[Cell]]:
    """Rows method x delay of the solve rate along s = max(d, 1), headed by a row of names."""
    line = paper_line(table, over="delay")
    if line.empty:
        return []
    pooled = pool(line, ["method", "delay"]).set_index(["method", "delay"])
    delays = sorted(line["delay"].unique())
    best = pooled.groupby("delay")["solve_rate"].max()
    rows = [[Cell("method"), *(Cell(f"d = {int(d)}") for d in delays)]]
    for method in in_order(line["method"]):
        rows.append([Cell(method), *(_rate_cell(pooled, (method, d), best[d]) for d in delays)])
    return rows


def _rate_cell(pooled: pd.DataFrame, place: tuple[str, Any], best: Any) -> Cell:
    if place not in pooled.index:
        return Cell("")
    row = pooled.loc[place]
    interval = f"({100 * row['low']:.1f} to {100 * row['high']:.1f})"
    # Where all methods are equal, as where there is one alone, none is the best.
    rates = pooled.xs(place[1], level="delay")["solve_rate"]
    return Cell(
        f"{100 * row['solve_rate']:.1f}", row["solve_rate"] == best > rates.min(), f" {interval}"
    )


def _solve_times(table: pd.DataFrame) -> list[list[Cell]]:
    """Rows method x delay of the mean steps of solved episodes along s = max(d, 1)."""
    line = paper_line(table, over="delay")
    means = mean_solve_times(line).set_index(["method", "delay"])["time_to_solve"]
    delays = sorted(line["delay"].unique())
    rows = [[Cell("method"), *(Cell(f"d = {int(d)}") for d in delays)]]
    for method in in_order(line["method"]):
        given = [means.get((method, delay)) for delay in delays]
        rows.append([Cell(method), *(Cell("" if t is None else f"{t:.0f}") for t in given)])
    return rows if len(means) else []


def _costs(times: pd.DataFrame) -> Table:
    """What each method costs per chunk and per step: medians over levels and seeds."""
    batches = sorted(times["batch"].unique())
    heads = ["passes", *(f"ms at {batch}" for batch in batches)]
    names = [f"{unit}: {what}" for unit in ("chunk", "step") for what in heads]
    rows = [[Cell("method"), *map(Cell, names)]]
    for method in in_order(times["method"]):
        own = times[times["method"] == method]
        cells = [Cell(method)]
        for unit, passes in (("chunk", "network_evaluations"), ("step", "step_evaluations")):
            seconds = own.groupby("batch")[f"seconds_per_{unit}"].median()
            cells.append(Cell(f"{own[passes].iloc[0]}"))
            cells += [Cell(f"{1000 * seconds[b]:.3g}" if b in seconds else "") for b in batches]
        rows.append(cells)
    return COSTS.format(batches=" and ".join(map(str, batches))), rows


def _markdown(facts: Mapping[str, str], answer: list[str], tables: list[Table], figure: str) -> str:
    lines = ["# Real-Time Chunking on Kinetix", "", *answer, "", f"![{ALT}]({figure})", ""]
    for title, rows in tables:
        lines += [f"{title}:", ""]
        lines += [_row(rows[0]), "| " + " | ".join(["---"] * len(rows[0])) + " |"]
        lines += [*map(_row, rows[1:]), ""]
    lines += ["| what was run | |", "| --- | --- |"]
    lines += [*(_row([Cell(k), Cell(v)]) for k, v in facts.items()), ""]
    return "\n".join(lines)


def _row(cells: list[Cell]) -> str:
    texts = [re.sub(r"([\\|<>`*_\[\]])", r"\\\1", cell.text) for cell in cells]
    marked = [f"**{text}**" if cell.best else text for cell, text in zip(cells, texts)]
    return "| " + " | ".join(text + cell.rest for text, cell in zip(marked, cells)) + " |"


def _rst(facts: Mapping[str, str], answer: list[str], tables: list[Table], picture: bytes) -> str:
    lines = [*map(_escape, answer), "", *_image(picture), ""]
    for title, rows in tables:
        lines += _list_table(title, rows)
    told = [[Cell(key), Cell(value)] for key, value in facts.items()]
    lines += _list_table("What was run", told, header=0)
    return "\n".join(lines)


def _image(picture: bytes) -> list[str]:
    """The picture inside the text; docutils refuses lines beyond 10,000 letters."""
    text = base64.b64encode(picture).decode()
    parts = [text[i : i + 4000] for i in range(0, len(text), 4000)]
    head = [".. image:: data:image/png;base64,", *(f"   {part}" for part in parts)]
    return [*head, f"   :alt: {ALT}", "   :width: 100%"]


def _list_table(title: str, rows: list[list[Cell]], header: int = 1) -> list[str]:
    # The first column holds names; where there is only one other, that takes the room.
    widths = "auto" if len(rows[0]) > 2 else "20 80"
    lines = [f".. list-table:: {title}", f"   :header-rows: {header}", f"   :widths: {widths}", ""]
    for row in rows:
        for i, cell in enumerate(row):
            text = f"**{_escape(cell.text)}**" if cell.best else _escape(cell.text)
            rest = f" {_escape(cell.rest)}" if cell.rest else ""
            lines.append(f"   {'* -' if i == 0 else '  -'} {text}{rest}")
    return [*lines, ""]


def _escape(text: str) -> str:
    """Text as reStructuredText that means only itself."""
    text = " ".join(text.split())
    return re.sub(r"([\\`*_|<>:\[\]{}%])", r"\\\1", text) if text else "\\ "
