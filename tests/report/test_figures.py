"""Every figure of the gallery: what it shows, for full and for thin tables, and its bytes."""

import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from rtc.report.figures import ablation, fair, gallery, lines, masks, paired
from rtc.report.figures.style import KNOWN, house_style, method_styles, save_figure
from rtc.report.stats import paired_table, paper_line, pool
from rtc.storage.tables import TIMING_COLUMNS, read_timings
from tests.synthetic_tables import LOSS, make_evaluations, make_rollouts

LEVELS = ("cartpole_thrust", "catapult", "grasp_easy", "h17_unicycle", "trampoline")


def material(evaluations, rollouts):
    """What the gallery draws from, with made-up times and training curves."""
    methods = sorted(set(evaluations.method))
    timings = pd.DataFrame(
        [
            {"method": m, "batch": batch, "seconds_per_chunk": 0.002 * (1 + i) / batch}
            for i, m in enumerate(methods)
            for batch in (1, 64)
        ]
    )
    steps = np.arange(1, 8)
    expert = pd.DataFrame({"env_steps": 1e5 * steps, "solve_rate": steps / 10})
    policy = pd.DataFrame({"epoch": steps, "loss": 1 / steps})
    levels = sorted(set(evaluations.level))
    return gallery.Material(
        evaluations=evaluations,
        timings=timings,
        paired=paired_table(rollouts, draws=50),
        experts={(level, seed): expert for level in levels for seed in (0, 1)},
        policies={(level, name, 0): policy for level in levels for name in ("flow", "flow_ttrtc")},
        threshold=0.65,
        cell=(3, 5),
    )


def without_late_te(evaluations):
    return evaluations[(evaluations.method != "te") | (evaluations.delay < 3)]


CASES = {
    "two levels, cells missing": ({"cells": "all"}, without_late_te),
    "one level, one method": (
        {"levels": ("h17_unicycle",), "methods": ("naive",), "cells": "paper"},
        None,
    ),
    "five levels, new methods": (
        {"levels": LEVELS, "methods": (*LOSS, "mine", "a_method_with_quite_a_long_name")},
        None,
    ),
    "one cell off both lines": ({"cells": [{"delay": 2, "horizon": 5}]}, None),
    "random delay": (
        {"cells": [{"delay": 2, "horizon": 4, "estimate": k} for k in (1, 2)]},
        lambda e: e.assign(delay=np.nan, delay_distribution="uniform 1-3"),
    ),
}


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request):
    options, change = CASES[request.param]
    rollouts = make_rollouts(rollouts=16, **options)
    evaluations = make_evaluations(rollouts)
    return material(change(evaluations) if change else evaluations, rollouts)


@pytest.mark.parametrize("name", gallery.GALLERY)
def test_every_figure_draws_and_nothing_covers_anything(case, name):
    figure = gallery.GALLERY[name](case)
    with house_style():
        FigureCanvasAgg(figure).draw()
        renderer = figure.canvas.get_renderer()
        legends = [legend.get_window_extent(renderer) for legend in figure.legends]
        axes = [a.get_tightbbox(renderer) for a in figure.axes if a.axison]
        page = figure.bbox
    for box in (*legends, *axes):
        assert box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1, "wider than the page"
        assert box.y0 >= page.y0 - 1 and box.y1 <= page.y1 + 1, "higher than the page"
    for legend in legends:
        for box in axes:
            assert not legend.overlaps(box), "the legend lies on an axis"
    for one in figure.axes:
        assert one.axison is False or one.get_children()


@pytest.mark.parametrize("name", ["solve_rate_against_time", "solve_rate_at_fair_delay"])
def test_times_that_were_not_measured_are_left_out(name, tmp_path):
    rollouts = make_rollouts(rollouts=16)
    columns = ",".join(TIMING_COLUMNS)
    (tmp_path / "timings.csv").write_text(f"{columns}\n")
    drawn = material(make_evaluations(rollouts), rollouts)
    drawn = drawn._replace(timings=read_timings(tmp_path / "timings.csv"))
    figure = gallery.GALLERY[name](drawn)
    FigureCanvasAgg(figure).draw()
    if name == "solve_rate_against_time":
        told = [text.get_text() for text in figure.texts]
        assert told == ["no delay of a step or more was evaluated and timed"]
    else:  # Network evaluations are counted, not timed.
        titles = [axes.get_title(loc="left") for axes in figure.axes]
        assert titles == [fair.MEASURES["network_evaluations"]] and figure.axes[0].lines


def test_files_have_the_same_bytes_every_time(tmp_path):
    rollouts = make_rollouts(rollouts=16)
    for number in (1, 2):
        everything = material(make_evaluations(rollouts), rollouts)
        for name in ("figure_5", "solve_rate_map"):
            figure = gallery.GALLERY[name](everything)
            save_figure(figure, tmp_path / f"{name}{number}.svg", tmp_path / f"{name}{number}.png")
    for path in tmp_path.glob("*1.*"):
        twin = path.with_name(path.name.replace("1.", "2."))
        assert path.read_bytes() == twin.read_bytes(), path.name
    assert b"<dc:date>" not in (tmp_path / "figure_51.svg").read_bytes()


def test_the_users_own_style_does_not_matter(tmp_path):
    import matplotlib

    evaluations = make_evaluations(make_rollouts(rollouts=8, cells="paper"))
    save_figure(lines.solve_rate_against_delay(evaluations), tmp_path / "a.svg")
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 20, "svg.hashsalt": None}):
        save_figure(lines.solve_rate_against_delay(evaluations), tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_what_takes_longer_plays_at_the_longer_delay():
    rollouts = make_rollouts(methods=("naive", "realtime", "bid"), rollouts=32)
    evaluations = make_evaluations(rollouts)  # 5, 10 and 160 network evaluations
    seconds = {"naive": 0.01, "realtime": 0.014, "bid": 0.01}
    timings = pd.DataFrame(
        [{"method": m, "batch": 1, "seconds_per_chunk": s} for m, s in seconds.items()]
    )
    found = fair.fair_rates(evaluations, timings, tuple(fair.MEASURES))
    delays = {
        (measure, method): list(zip(group["naive"], group["delay"]))
        for (measure, method), group in found.groupby(["measure", "method"])
    }
    same = [(d, d) for d in range(5)]
    counted, measured = fair.MEASURES
    assert delays == {
        (counted, "naive"): same,
        (counted, "realtime"): [(0, 0), (1, 2), (2, 4)],
        (counted, "bid"): [(0, 0)],
        (measured, "naive"): same,
        (measured, "realtime"): [(0, 0), (1, 2), (2, 3)],
        (measured, "bid"): same,
    }
    expected = pool(paper_line(evaluations, "delay"), ["method", "delay"])
    expected = expected.set_index(["method", "delay"])["solve_rate"]
    for row in found.itertuples():
        assert row.solve_rate == expected[row.method, row.delay]
    without = evaluations[evaluations.method != "naive"]
    assert fair.fair_rates(without, timings, (counted,)).empty


def test_figure_5_shows_the_pooled_rates():
    evaluations = make_evaluations(make_rollouts(rollouts=32))
    figure = lines.paper_figure_5(evaluations)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:2] == ["cartpole thrust", "h17 unicycle"]
    assert titles[2:] == ["mean of 2 levels, d = 1", "mean of 2 levels, s = max(d, 1)"]
    expected = pool(paper_line(evaluations, "delay"), ["method", "delay"])
    drawn = {to_hex(line.get_color()): line for line in figure.axes[3].get_lines()}
    for method in LOSS:
        line = drawn[KNOWN[method].color]
        own = expected[expected.method == method]
        np.testing.assert_allclose(line.get_xdata(), own.delay)
        np.testing.assert_allclose(line.get_ydata(), own.solve_rate)
        assert line.get_marker() == KNOWN[method].marker


def test_styles_are_fixed_and_distinct():
    assert method_styles(["te", "naive"]) == {"naive": KNOWN["naive"], "te": KNOWN["te"]}
    names = [f"method_{i}" for i in range(60)]
    styles = method_styles([*names, *KNOWN])
    assert len(set(styles.values())) == 60 + len(KNOWN)
    assert len({styles[name].color for name in names[:5]}) >= 1
    assert all(
        one.color != other.color or (one.marker, one.dash) != (other.marker, other.dash)
        for one, other in itertools.combinations(KNOWN.values(), 2)
    )
    thin = method_styles(["vlash (oracle)"])["vlash (oracle)"]
    assert thin == KNOWN["vlash"]._replace(marker="")
    alone, together = method_styles(["mine"]), method_styles(["mine", "naive", "zzz"])
    assert alone["mine"] == together["mine"]
    few = method_styles(["a", "b", "c", "d", "e"])
    assert len({style.color for style in few.values()}) == 5
    assert not {style.color for style in few.values()} & {style.color for style in KNOWN.values()}
    # More methods than styles: some must look alike, none may fail.
    assert len(method_styles([f"m{i}" for i in range(200)])) == 200


@pytest.mark.parametrize("schedule", masks.SCHEDULES)
def test_masks_are_those_of_the_policy(schedule):
    from rtc.flow import get_prefix_weights

    for delay, horizon in ((0, 1), (2, 3), (3, 5), (4, 4), (1, 7)):
        expected = get_prefix_weights(delay, 8 - horizon, 8, schedule)
        np.testing.assert_allclose(
            masks.mask_weights(delay, horizon, 8, schedule), expected, atol=1e-6
        )
    with pytest.raises(ValueError, match="did you mean"):
        masks.mask_weights(1, 2, 8, "linea")


def test_ablation_takes_the_entries_that_differ_in_one_option():
    options = {
        "b1": {"method": "realtime", "schedule": "exp", "beta": 1.0},
        "b5": {"method": "realtime", "schedule": "exp", "beta": 5.0},
        "b20": {"method": "realtime", "schedule": "exp", "beta": 20},
        "hard": {"method": "realtime", "schedule": "zeros", "beta": 5.0},
        "naive": {"method": "naive"},
    }
    rollouts = make_rollouts(methods=tuple(options), cells="paper", rollouts=8)
    evaluations = make_evaluations(rollouts, options)
    assert ablation.family(evaluations, "beta", "realtime") == {"b1": 1.0, "b5": 5.0, "b20": 20.0}
    figure = ablation.paper_figure_7(evaluations)
    assert [axes.get_xlabel() for axes in figure.axes] == ["largest guidance weight β"] * 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "d = 1", "d = 2", "d = 3", "d = 4"
    ]  # fmt: skip


def test_paired_table_is_readable_and_escaped():
    rollouts = make_rollouts(methods=("naive", "te"), rollouts=32)
    rollouts["method"] = rollouts["method"].replace("te", "<script>alert(1)</script>")
    table = paired_table(rollouts, draws=50)
    page = paired.paired_html(table)
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert page.count("<tr") == 1 + len(table)
    readable = paired.readable_table(table)
    assert list(readable["delay d"]) == ["0", "1", "2", "3", "4", "2 and more"]
    assert readable["difference (points)"].str.match(r"[+-]\d+\.\d").all()


def test_the_gallery_from_files(tmp_path):
    from rtc.storage.tables import join_evaluations, write_rollouts

    rollouts = make_rollouts(methods=("naive", "realtime"), cells="paper", rollouts=16)
    make_evaluations(rollouts).to_csv(tmp_path / "m.csv", index=False)
    join_evaluations([tmp_path / "m.csv"], tmp_path / "evaluations.csv")
    write_rollouts(tmp_path / "m.parquet", rollouts, {})
    row = "a,flow,0,naive,{},0.002,500,5,0,0,cpu\n"
    head = "level,policy,seed,method,batch,seconds_per_chunk,chunks_per_second,"
    (tmp_path / "timings.csv").write_text(
        head
        + "network_evaluations,seconds_per_step,step_evaluations,device\n"
        + row.format(1)
        + row.format(64)
    )
    (tmp_path / "progress.csv").write_text("env_steps,solve_rate,epoch,loss\n1,0.1,1,2\n")
    gallery.draw_gallery(
        tmp_path / "evaluations.csv",
        tmp_path / "timings.csv",
        [tmp_path / "m.parquet"],
        {"a/0": tmp_path / "progress.csv"},
        {"a/flow/0": tmp_path / "progress.csv"},
        tmp_path / "figures",
        names=["figure_5", "expert_curves"],
        threshold=0.65,
        cell=[3, 5],
    )
    written = {path.name for path in (tmp_path / "figures").iterdir()}
    names = ("figure_5", "expert_curves", "paired_differences")
    suffixes = [("svg", "png"), ("svg", "png"), ("csv", "html")]
    assert written == {f"{name}.{s}" for name, kinds in zip(names, suffixes) for s in kinds}


def test_every_figure_of_the_gallery_has_a_caption():
    from pathlib import Path

    folder = Path(__file__).parents[2] / "workflow" / "report"
    for name in (*gallery.GALLERY, "paired_table"):
        text = " ".join((folder / f"{name}.rst").read_text(encoding="utf-8").split())
        assert "*How to read it:*" in text or name == "paired_table", name
        if name.startswith(("figure_5", "solve_rate_against")):
            assert "Wilson" in text and ("pooled" in text or "levels' own" in text), name


def test_figures_and_statistics_need_no_jax():
    code = "import sys, rtc.report.figures.gallery, rtc.report.summary; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
