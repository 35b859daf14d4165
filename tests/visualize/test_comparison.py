"""With and without guidance, from one noise."""

import inspect

import numpy as np
import pytest
from matplotlib.figure import Figure

from rtc.visualize import (
    plot_overlay_comparison,
    plot_rtc_comparison,
    plot_rtc_comparison_grid,
    plot_trajectory_comparison,
)
from rtc.visualize.style import PREVIOUS
from tests.visualize.made_up import HORIZON, made_up_run

PAIRS = (
    plot_rtc_comparison,
    plot_rtc_comparison_grid,
    plot_trajectory_comparison,
    plot_overlay_comparison,
)


@pytest.mark.parametrize("plot", PAIRS)
def test_returns_a_figure_of_the_asked_size(plot, guided, plain):
    figure = plot(guided, plain, figsize=(9, 6))
    assert isinstance(figure, Figure)
    assert tuple(figure.get_size_inches()) == (9, 6)
    assert list(inspect.signature(plot).parameters)[:2] == ["rtc_tracked", "no_rtc_tracked"]


@pytest.mark.parametrize("plot", PAIRS)
def test_different_noise_is_refused(plot, guided):
    with pytest.raises(ValueError, match=r"began from different noise .* pass the same noise="):
        plot(guided, made_up_run(False, seed=1))


@pytest.mark.parametrize("plot", PAIRS)
def test_different_shapes_are_refused(plot, guided):
    with pytest.raises(ValueError, match=r"expected shape .* like rtc_tracked"):
        plot(guided, made_up_run(False, horizon=4))


@pytest.mark.parametrize("plot", PAIRS)
def test_the_run_that_lacks_a_key_is_named(plot, guided, plain):
    del plain["v_t"]
    with pytest.raises(ValueError, match="no_rtc_tracked: no key 'v_t'"):
        plot(guided, plain)


@pytest.mark.parametrize("plot", PAIRS)
def test_an_index_out_of_range_is_named(plot, guided, plain):
    with pytest.raises(ValueError, match="batch_idx: 3 is out of range"):
        plot(guided, plain, batch_idx=3)
    if plot is not plot_rtc_comparison:
        with pytest.raises(ValueError, match="action_dim_indices: 9 is out of range"):
            plot(guided, plain, action_dim_indices=[9])


def test_both_runs_start_at_the_same_noise(guided, plain):
    figure = plot_rtc_comparison(guided, plain, batch_idx=1, action_dim_idx=2, horizon_idx=1)
    without, guidance, previous = figure.axes[0].get_lines()
    assert without.get_ydata()[0] == guidance.get_ydata()[0] == guided["noise"][1, 1, 2]
    assert without.get_ydata()[-1] == plain["x_1"][1, 1, 2]
    assert guidance.get_ydata()[-1] == guided["x_1"][1, 1, 2]
    assert previous.get_color() == PREVIOUS


@pytest.mark.parametrize("variable", ["x_t", "v_t", "x_1_pred"])
def test_one_line_for_each_step_of_the_chunk_in_a_gradient(variable, guided, plain):
    figure = plot_trajectory_comparison(guided, plain, variable, action_dim_indices=[5])
    for axes in figure.axes[:2]:
        solid = [line for line in axes.get_lines() if line.get_linestyle() == "-"]
        assert len(solid) == HORIZON
        assert len({tuple(np.round(line.get_color(), 3)) for line in solid}) == HORIZON


def test_the_previous_chunk_is_red_and_dashed_where_it_counts(guided, plain):
    figure = plot_trajectory_comparison(guided, plain, action_dim_indices=[0])
    held = np.flatnonzero(guided["weights"] > 0)
    dashed = [
        line.get_ydata()[0]
        for line in figure.axes[1].get_lines()
        if line.get_linestyle() == "--" and len(line.get_ydata())
    ]
    assert dashed == list(guided["prev_action_chunk"][0, held, 0])
    velocity = plot_trajectory_comparison(guided, plain, "v_t", action_dim_indices=[0])
    assert all(line.get_linestyle() == "-" for line in velocity.axes[1].get_lines())


def test_an_unknown_variable_gets_the_nearest_name(guided, plain):
    with pytest.raises(ValueError, match="variable_name: unknown 'xt'; did you mean 'x_t'"):
        plot_trajectory_comparison(guided, plain, "xt")


def test_the_finished_chunks_are_overlaid(guided, plain):
    figure = plot_overlay_comparison(guided, plain, batch_idx=1, action_dim_indices=[3])
    without, guidance, previous = figure.axes[1].get_lines()
    np.testing.assert_array_equal(without.get_ydata(), plain["x_1"][1, :, 3])
    np.testing.assert_array_equal(guidance.get_ydata(), guided["x_1"][1, :, 3])
    assert len(previous.get_ydata()) == np.sum(guided["weights"] > 0)
