"""The report's figures by file name: the one list to extend."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from rtc.report.figures import (
    ablation,
    cost,
    estimate,
    fair,
    heat,
    lines,
    masks,
    paired,
    smoothness,
    solve_time,
    training,
)
from rtc.report.figures.style import note_on_top, save_figure
from rtc.report.privileged import mark_privileged, privileged_note
from rtc.report.stats import paired_table
from rtc.storage.io import write_csv, write_text
from rtc.storage.tables import read_evaluations, read_rollouts, read_timings


class Material(NamedTuple):
    """What figures are drawn from: the tables of a run, and its training curves.

    evaluations, timings, paired: tables (`rtc.storage.tables`, `rtc.report.stats.paired_table`).
    experts: (level, seed) -> progress. policies: (level, policy, seed) -> progress.
    threshold: solve rate the data set asks of an expert. cell: (delay, horizon) shown in the
    picture of the masks.
    """

    evaluations: pd.DataFrame
    timings: pd.DataFrame
    paired: pd.DataFrame
    experts: training.Runs
    policies: training.Runs
    threshold: float
    cell: tuple[int, int]


GALLERY: dict[str, Callable[[Material], Figure]] = {
    "figure_5": lambda m: lines.paper_figure_5(m.evaluations),
    "figure_5_stratified": lambda m: lines.paper_figure_5(m.evaluations, how="stratified"),
    "solve_rate_against_delay": lambda m: lines.solve_rate_against_delay(m.evaluations),
    "solve_rate_against_horizon": lambda m: lines.solve_rate_against_horizon(m.evaluations),
    "solve_rate_per_level": lambda m: lines.solve_rate_per_level(m.evaluations),
    "solve_rate_map": lambda m: heat.solve_rate_map(m.evaluations),
    "paired_differences": lambda m: paired.paired_differences(m.paired),
    "smoothness": lambda m: smoothness.smoothness_against_delay(m.evaluations),
    "time_to_solve": lambda m: solve_time.time_to_solve_against_delay(m.evaluations),
    "solve_rate_against_time": lambda m: cost.solve_rate_against_time(m.evaluations, m.timings),
    "solve_rate_at_fair_delay": lambda m: fair.solve_rate_at_fair_delay(m.evaluations, m.timings),
    "figure_7": lambda m: ablation.paper_figure_7(m.evaluations),
    "figure_8": lambda m: masks.paper_figure_8(*m.cell),
    "solve_rate_against_estimate": lambda m: estimate.solve_rate_against_estimate(m.evaluations),
    "expert_curves": lambda m: training.expert_curves(m.experts, m.threshold),
    "policy_curves": lambda m: training.policy_curves(m.policies),
}

# These show nothing of the evaluation.
WITHOUT_NOTES = ("figure_8", "expert_curves", "policy_curves")


def draw_gallery(
    evaluations: str | Path,
    timings: str | Path,
    rollouts: Sequence[str | Path],
    experts: Mapping[str, str | Path],
    policies: Mapping[str, str | Path],
    output_dir: str | Path,
    *,
    names: Sequence[str],
    threshold: float,
    cell: Sequence[int],
    notes: Sequence[str] = (),
) -> None:
    """Draws figures of `GALLERY` as .svg and .png, and the table of paired differences.

    names: of the figures. experts: "level/seed" -> progress.csv. policies:
    "level/policy/seed" -> progress.csv. notes: sentences on top of the evaluation's figures.
    Other arguments: see `Material`.
    """
    folder = Path(output_dir)
    tables = read_timings(timings), read_rollouts(rollouts, columns=["solved"])
    cells, times, single = mark_privileged(read_evaluations(evaluations), *tables)
    notes = [*notes, *privileged_note(cells["method"])]
    material = Material(
        evaluations=cells,
        timings=times,
        paired=paired_table(single),
        experts=_progress(experts),
        policies=_progress(policies),
        threshold=threshold,
        cell=(cell[0], cell[1]),
    )
    for name in names:
        figure = GALLERY[name](material)
        if name not in WITHOUT_NOTES:
            note_on_top(figure, notes)
        save_figure(figure, folder / f"{name}.svg", folder / f"{name}.png")
    write_csv(folder / "paired_differences.csv", material.paired)
    write_text(folder / "paired_differences.html", paired.paired_html(material.paired))


def _progress(paths: Mapping[str, str | Path]) -> dict[tuple[Any, ...], pd.DataFrame]:
    runs = {}
    for name, path in paths.items():
        *where, seed = name.split("/")
        runs[(*where, int(seed))] = pd.read_csv(path)
    return runs
