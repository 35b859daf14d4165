"""What `rtc compare` prints says what the tables say."""

import re

import pandas as pd
import pytest

from rtc.report.comparison import comparison_text, write_comparison
from rtc.storage.tables import write_rollouts
from tests.synthetic_tables import make_evaluations, make_rollouts

CELLS = [{"delay": d, "horizon": d} for d in (1, 2, 3)]


@pytest.fixture(scope="module")
def rollouts():
    return make_rollouts(methods=("ttrtc", "mine", "realtime", "naive"), cells=CELLS)


def table_after(text: str, title: str) -> dict[str, list[str]]:
    """{first column: the others} of the table that follows a line beginning with `title`."""
    lines = text[text.index(title) :].split("\n\n")[1].splitlines()
    return {row[0]: row[1:] for row in (re.split(r" {2,}", line.strip()) for line in lines[2:])}


def test_rates_by_delay_and_by_level(rollouts):
    text = comparison_text(make_evaluations(rollouts), rollouts, "mine")
    rates = table_after(text, "Solve rate in %, mean of 2 levels")
    assert list(rates) == ["naive", "realtime", "ttrtc", "mine"]
    share = 100 * rollouts[rollouts.method == "mine"].groupby("delay").solved.mean()
    for delay, cell in zip((1, 2, 3), rates["mine"]):
        assert cell.startswith(f"{share[delay]:.1f}")
    best = 100 * rollouts[rollouts.delay == 3].groupby("method").solved.mean()
    assert [name for name, row in rates.items() if "*" in row[2]] == [best.idxmax()]
    levels = table_after(text, "Solve rate in % by level, d >= 2")
    late = rollouts[(rollouts.delay >= 2) & (rollouts.level == "h17_unicycle")]
    share = 100 * late.groupby("method").solved.mean()
    assert list(levels) == ["cartpole_thrust", "h17_unicycle"]
    assert levels["h17_unicycle"][0].rstrip("* ") == f"{share['naive']:.1f}"


def test_differences_are_paired(rollouts):
    text = comparison_text(make_evaluations(rollouts), rollouts, "mine")
    lines = text[text.index("mine against") :].splitlines()
    row = next(re.split(r" {2,}", line.strip()) for line in lines if line.startswith("naive"))
    wide = rollouts[rollouts.delay == 1].pivot(
        index=["level", "rollout"], columns="method", values="solved"
    )
    gained, lost = (wide.mine & ~wide.naive).sum(), (~wide.mine & wide.naive).sum()
    assert row[:2] == ["naive", "1"]
    assert row[2] == f"{100 * (gained - lost) / len(wide):+.1f}"
    assert row[4:6] == [str(gained), str(lost)]
    assert [line.split()[0] for line in lines if "2 and more" in line] == [
        *("naive", "realtime", "ttrtc"),
    ]


def test_text_and_figure_are_kept_by_the_method_s_name(rollouts, tmp_path):
    (tmp_path / "results/figures").mkdir(parents=True)
    (tmp_path / "results/figures/figure_5.png").write_bytes(b"a picture")
    make_evaluations(rollouts).to_csv(tmp_path / "results/evaluations.csv", index=False)
    for method, group in rollouts.groupby("method"):
        write_rollouts(tmp_path / f"{method}.parquet", pd.DataFrame(group), {})
    told = write_comparison(tmp_path, "mine", sorted(tmp_path.glob("*.parquet")))
    assert (tmp_path / "mine.png").read_bytes() == b"a picture"
    assert told.startswith((tmp_path / "mine.txt").read_text())
    assert str(tmp_path / "mine.png") in told
