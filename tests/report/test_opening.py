"""The opening page: figure 5 inside, methods in their order, the best of each column in bold."""

import base64
import re

import pandas as pd
import pytest
from docutils.core import publish_parts

from rtc.report.opening import write_opening
from rtc.report.order import in_order
from rtc.storage.tables import TIMING_COLUMNS, write_rollouts
from tests.synthetic_tables import make_evaluations, make_rollouts

PICTURE = b"\x89PNG" + bytes(range(256)) * 100


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The evaluations, and both texts of the page."""
    folder = tmp_path_factory.mktemp("run")
    rollouts = make_rollouts(methods=("ttrtc", "realtime", "naive"), cells="paper")
    table = make_evaluations(rollouts)
    # At d = 4 two methods are equally good.
    late = (table.delay == 4) & (table.method != "naive")
    for name in ("solved", "solve_rate"):
        table.loc[late, name] = table.loc[late & (table.method == "ttrtc"), name].max()
    table.to_csv(folder / "evaluations.csv", index=False)
    write_rollouts(folder / "all.parquet", rollouts, {})
    times = dict.fromkeys(TIMING_COLUMNS, 1) | {"method": "naive", "device": "a <b> chip"}
    costs = [
        times | {"batch": b, "seconds_per_chunk": 0.002, "seconds_per_step": 0} for b in (1, 64)
    ]
    pd.DataFrame(costs).to_csv(folder / "timings.csv", index=False)
    (folder / "figures").mkdir()
    (folder / "figures/figure_5.png").write_bytes(PICTURE)
    write_opening(
        folder / "evaluations.csv",
        folder / "timings.csv",
        [folder / "all.parquet"],
        {"Levels": "a_b, c*d"},
        figure=folder / "figures/figure_5.png",
        markdown=folder / "summary.md",
        rst=folder / "summary.rst",
    )
    return table, (folder / "summary.md").read_text(), (folder / "summary.rst").read_text()


def rows(markdown, number=0):
    """The cells by method of one table: 0 solve rates, 1 time to solve, 2 costs."""
    markdown = markdown.split("| method |")[1 + number]
    lines = [line.strip("| ").split(" | ") for line in markdown.splitlines() if "|" in line]
    return {line[0]: line[1:] for line in lines if line[0] in ("naive", "realtime", "ttrtc")}


def test_methods_stand_in_their_order_and_the_best_is_bold(written):
    table, markdown, _ = written
    cells = rows(markdown)
    assert list(cells) == ["naive", "realtime", "ttrtc"]
    line = table[table.horizon == table.delay.clip(lower=1)]
    rates = line.groupby(["method", "delay"])[["solved", "rollouts"]].sum()
    rates = (rates.solved / rates.rollouts).unstack()
    for method, texts in cells.items():
        for delay, text in enumerate(texts):
            rate = f"{100 * rates.loc[method, delay]:.1f}"
            best = rates.loc[method, delay] == rates[delay].max() > rates[delay].min()
            assert text.startswith(f"**{rate}** (" if best else f"{rate} (")
    assert cells["realtime"][4].startswith("**") and cells["ttrtc"][4].startswith("**")


def test_times_to_solve_and_costs(written):
    table, markdown, _ = written
    cells, at_two = rows(markdown, 1), table[(table.delay == 2) & (table.horizon == 2)]
    for method, own in at_two.groupby("method"):
        assert cells[method][2] == f"{own.time_to_solve.mean():.0f}"
    assert rows(markdown, 2) == {"naive": ["1", "2", "2", "1", "0", "0"]}
    assert "| chunk: ms at 1 | chunk: ms at 64 |" in markdown


def test_the_figure_is_inside_the_report_and_named_in_the_markdown(written):
    _, markdown, rst = written
    assert "](figures/figure_5.png)" in markdown
    html = publish_parts(rst, writer="html")["body"]
    assert "system-message" not in html
    source = re.search(r'<img[^>]*src="data:image/png;base64,([^"]*)"', html)[1]
    assert base64.b64decode(source) == PICTURE
    assert html.count("<strong>") == markdown.count("**") / 2 > 4  # some are shared
    assert "a &lt;b&gt; chip" in html and "a_b, c*d" in html


def test_one_order_for_methods_variants_and_one_s_own():
    names = [
        "zeta",
        "ttrtc",
        "realtime_linear",
        "bid",
        "alpha",
        "naive",
        "bid_rejection",
        "realtime",
    ]
    assert in_order(names) == [
        *("naive", "bid_rejection", "bid", "realtime", "realtime_linear", "ttrtc"),
        *("alpha", "zeta"),
    ]
