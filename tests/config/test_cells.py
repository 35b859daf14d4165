"""Cells of a sweep: which are named, which are refused, and with what words."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtc.config.cells import cell_name, delay_label, delay_probabilities, parse_cells
from rtc.config.sections import Cell
from rtc.errors import ConfigError


def test_all_names_the_24_valid_pairs_of_a_chunk_of_8():
    cells = parse_cells("all", 8)
    assert len(cells) == 24
    for cell in cells:
        assert cell.estimate == cell.delay
        assert max(cell.delay, 1) <= cell.horizon <= 8 - cell.delay


def test_paper_names_both_lines_of_the_figure():
    pairs = {(c.delay, c.horizon) for c in parse_cells("paper", 8)}
    line_over_delay = {(0, 1), (1, 1), (2, 2), (3, 3), (4, 4)}
    line_over_horizon = {(1, s) for s in range(1, 8)}
    assert pairs == line_over_delay | line_over_horizon


def test_product_and_list():
    product = parse_cells({"delays": [0, 1], "horizons": [2, 4]}, 8)
    assert [(c.delay, c.horizon) for c in product] == [(0, 2), (0, 4), (1, 2), (1, 4)]
    spec = [
        {"delay": 2, "horizon": 4, "estimate": 1},
        {"delay": {"uniform": [1, 3]}, "horizon": 4, "estimate": 2},
        {"delay": {"choices": {"1": 0.75, 3: 0.25}}, "horizon": 4, "estimate": 2},
    ]
    listed = parse_cells(spec, 8)
    assert listed[0] == Cell(delay=2, horizon=4, estimate=1)
    assert [delay_label(c.delay) for c in listed] == ["2", "uniform 1-3", "choices 1:0.75 3:0.25"]
    assert delay_probabilities(listed[0].delay, 8) == [0, 0, 1, 0, 0]
    assert delay_probabilities(listed[1].delay, 8) == [0, 1 / 3, 1 / 3, 1 / 3, 0]
    assert delay_probabilities(listed[2].delay, 8) == [0, 0.75, 0, 0.25, 0]
    assert len({cell_name(c) for c in listed}) == 3


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("al", "evaluation.cells: unknown sweep 'al'; did you mean 'all'?"),
        (3, "evaluation.cells: expected all, paper"),
        ([], "evaluation.cells: no cell"),
        ({"delays": [1]}, "evaluation.cells.horizons: expected a list"),
        ({"delay": [1], "horizons": [1]}, "evaluation.cells.delay: unknown key; did you mean"),
        ({"delays": [4], "horizons": [2]}, "delay 4 with horizon 2 is impossible"),
        ({"delays": [1], "horizons": [8]}, "did you mean horizon 7?"),
        ({"delays": [5], "horizons": [5]}, "a delay of at most 4"),
        ({"delays": [True], "horizons": [2]}, "expected steps, 0 to 1000, got True"),
        ({"delays": [1, 1], "horizons": [2]}, "is given twice"),
        ([{"delay": 1}], "evaluation.cells.0.horizon: missing"),
        ([{"delay": 1, "horizon": 0}], "evaluation.cells.0: delay 1 with horizon 0"),
        (
            [{"delay": -1, "horizon": 2}],
            "cells.0.delay: expected steps, 0 to 1000, got -1",
        ),
        ([{"delay": {"uniform": [1, 2]}, "horizon": 2}], "evaluation.cells.0.estimate: missing"),
        ([{"delay": {"uniform": [1, 9]}, "horizon": 2, "estimate": 1}], "low <= high <= 8"),
        ({"delays": [1], "horizons": [10**5000]}, "got an enormous number"),
        ([{"delay": {"normal": [1, 2]}, "horizon": 2, "estimate": 1}], "expected steps, {uniform"),
        (
            [{"delay": {"choices": {1: 0.5, 2: 0.4}}, "horizon": 2, "estimate": 1}],
            "evaluation.cells.0.delay.choices: probabilities add up to 0.9",
        ),
        (
            [{"delay": {"choices": {1: float("nan")}}, "horizon": 2, "estimate": 1}],
            "expected a probability above 0",
        ),
        ([{"delay": 1, "horizon": 2, "estimate": 3}], "estimate 3 with horizon 2 is impossible"),
        (["all"], "evaluation.cells.0: expected a mapping with delay and horizon, got all"),
    ],
)
def test_impossible_sweeps_are_named(spec, words):
    with pytest.raises(ConfigError) as caught:
        parse_cells(spec, 8)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.integers(),
    st.just(10**50),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["all", "paper", "delays", "delay", "horizon", "estimate", "uniform"]),
)
KEYS = st.one_of(
    st.sampled_from(["delays", "horizons", "delay", "horizon", "estimate", "uniform", "choices"]),
    st.integers(0, 5),
    st.text(max_size=3),
)
ANYTHING = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(ANYTHING)
def test_whatever_is_written_gets_cells_or_one_line(spec):
    try:
        cells = parse_cells(spec, 8)
    except ConfigError as error:
        assert "\n" not in str(error) and str(error).startswith("evaluation.cells")
    else:
        for cell in cells:
            assert sum(delay_probabilities(cell.delay, 8)) == pytest.approx(1)


def test_importing_the_cells_loads_nothing_heavy():
    heavy = ("jax", "numpy", "pandas")
    code = f"import sys, rtc.config.cells; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
