"""Pictures of one tracked run."""

import inspect

import matplotlib
import matplotlib.pyplot
import numpy as np
import pytest
from matplotlib.figure import Figure

from rtc import visualize
from rtc.visualize import (
    plot_comparison_grid,
    plot_error_over_steps,
    plot_flow_matching_steps,
    save_tracking_plots,
)
from tests.visualize.made_up import DIMS, HORIZON, made_up_run

SINGLE = (plot_flow_matching_steps, plot_error_over_steps, plot_comparison_grid)


@pytest.mark.parametrize("plot", SINGLE)
def test_returns_a_figure_of_the_asked_size(plot, guided):
    figure = plot(guided, figsize=(7, 5))
    assert isinstance(figure, Figure)
    assert tuple(figure.get_size_inches()) == (7, 5)


@pytest.mark.parametrize("plot", SINGLE)
def test_leaves_no_global_state(plot, guided):
    before = dict(matplotlib.rcParams)
    plot(guided)
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.pyplot.get_fignums() == []


def test_names_and_defaults():
    def defaults(function):
        parameters = inspect.signature(function).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}

    steps = defaults(plot_flow_matching_steps)
    assert {k: steps[k] for k in steps if k != "figsize"} == {
        "batch_idx": 0,
        "action_dim_idx": 0,
        "horizon_idx": 0,
    }
    assert list(defaults(plot_comparison_grid)["action_dim_indices"]) == [0, 1, 2]
    assert defaults(save_tracking_plots) == {"batch_idx": 0, "prefix": "rtc"}
    for name in visualize.__all__:
        if name.startswith("plot_"):
            assert "figsize" in defaults(getattr(visualize, name))


def test_the_state_is_drawn_from_noise_to_the_finished_action(guided):
    figure = plot_flow_matching_steps(guided, batch_idx=1, action_dim_idx=4, horizon_idx=2)
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    drawn = lines["x_t"].get_ydata()
    assert drawn[0] == guided["noise"][1, 2, 4]
    assert drawn[-1] == guided["x_1"][1, 2, 4]
    assert lines["previous chunk"].get_ydata()[0] == guided["prev_action_chunk"][1, 2, 4]


def test_a_step_that_is_not_held_shows_no_previous_chunk(guided):
    figure = plot_flow_matching_steps(guided, horizon_idx=HORIZON - 1)
    assert "previous chunk" not in [line.get_label() for line in figure.axes[0].get_lines()]


def test_an_unguided_run_shows_state_and_velocity(plain):
    assert len(plot_flow_matching_steps(plain).axes) == 2
    assert len(plot_comparison_grid(plain, action_dim_indices=[3]).axes) == 2


def test_the_error_is_a_norm_over_action_dimensions(guided):
    figure = plot_error_over_steps(guided, batch_idx=1)
    whole = figure.axes[0].get_lines()[0].get_ydata()
    np.testing.assert_allclose(whole, np.sqrt((guided["error"][:, 1] ** 2).sum(axis=(1, 2))))


def test_the_error_of_some_dimensions_only(guided):
    figure = plot_error_over_steps(guided, action_dim_indices=[4])
    whole = figure.axes[0].get_lines()[0].get_ydata()
    np.testing.assert_allclose(whole, np.linalg.norm(guided["error"][:, 0, :, 4], axis=1))
    assert "norm over action dimension 4" in figure.get_suptitle()


def test_a_record_with_the_six_first_keys_only_is_enough(guided):
    names = ("x_t", "v_t", "correction", "error", "x_1_pred", "time")
    few = {name: guided[name] for name in names}
    for plot in SINGLE:
        plot(few)
    drawn = plot_flow_matching_steps(few).axes[0].get_lines()[1].get_ydata()
    np.testing.assert_allclose(drawn[-1], guided["x_1"][0, 0, 0])


def test_saves_all_pictures_and_lists_them(guided, plain, tmp_path):
    saved = save_tracking_plots(guided, output_dir=tmp_path / "new", batch_idx=1, prefix="a")
    names = ["a_flow_steps_batch1.png", "a_error_batch1.png", "a_comparison_grid_batch1.png"]
    assert saved == [str(tmp_path / "new" / name) for name in names]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(names)
    assert len(save_tracking_plots(plain, tmp_path)) == 2


def test_few_action_dimensions_are_enough_to_save(tmp_path):
    save_tracking_plots(made_up_run(True, dims=2), tmp_path)


@pytest.mark.parametrize(
    ("plot", "options", "message"),
    [
        (plot_flow_matching_steps, {"batch_idx": 2}, "batch_idx: 2 is out of range, expected 0 to"),
        (plot_flow_matching_steps, {"action_dim_idx": DIMS}, "action_dim_idx: 6 is out of range"),
        (plot_flow_matching_steps, {"horizon_idx": -9}, "horizon_idx: -9 is out of range"),
        (plot_error_over_steps, {"batch_idx": 7}, "batch_idx: 7"),
        (plot_comparison_grid, {"action_dim_indices": [0, 6]}, "action_dim_indices: 6"),
        (plot_comparison_grid, {"action_dim_indices": []}, "action_dim_indices: empty"),
    ],
)
def test_an_index_out_of_range_is_named(plot, options, message, guided):
    with pytest.raises(ValueError, match=message):
        plot(guided, **options)


def test_negative_indices_count_from_the_end(guided):
    figure = plot_flow_matching_steps(guided, horizon_idx=-1)
    assert f"step {HORIZON - 1} of the chunk" in figure.get_suptitle()


@pytest.mark.parametrize("key", ["x_t", "v_t", "time"])
def test_a_missing_key_is_named(key, guided):
    del guided[key]
    with pytest.raises(ValueError, match=f"tracked_steps: no key '{key}'"):
        plot_comparison_grid(guided)


def test_an_unguided_run_has_no_error_to_draw(plain):
    with pytest.raises(ValueError, match="no key 'error'; only guided runs have it"):
        plot_error_over_steps(plain)


def test_a_wrong_rank_or_shape_is_named(guided):
    with pytest.raises(ValueError, match=r"tracked_steps\['x_t'\]: expected rank 4 \[step, batch"):
        plot_flow_matching_steps(guided | {"x_t": guided["x_t"][:, 0]})
    with pytest.raises(ValueError, match=r"\['time'\]: expected shape \[10\] like x_t, got \[9\]"):
        plot_flow_matching_steps(guided | {"time": guided["time"][1:]})
    with pytest.raises(ValueError, match="the batch axis is empty"):
        plot_error_over_steps({k: v[:, :0] if v.ndim == 4 else v for k, v in guided.items()})


def test_a_prefix_is_no_path(guided, tmp_path):
    with pytest.raises(ValueError, match="prefix"):
        save_tracking_plots(guided, tmp_path, prefix="../out")
    assert list(tmp_path.iterdir()) == []
