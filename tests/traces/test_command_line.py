"""examples/visualize_flow_matching.py: its names, its defaults, its one-line errors."""

import dataclasses
import importlib.util
import inspect
import shutil
import sys
from pathlib import Path

import pytest
import tyro

from rtc.errors import ArtifactError, LevelError
from rtc.traces import (
    PICTURES,
    draw_decision,
    find_epoch,
    find_level,
    find_policy,
    trained_policies,
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "visualize_flow_matching.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("visualize_flow_matching", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def command(example, monkeypatch):
    """Runs the command line without drawing; returns its exit code and what it would draw."""

    def run(*arguments, draw=False):
        drawn = []

        def note(decision, output_dir, dimensions):
            drawn.append((decision, output_dir, dimensions))
            if draw:
                return draw_decision(decision, output_dir, dimensions)
            return [Path(output_dir) / name for name in PICTURES]

        monkeypatch.setattr("rtc.traces.draw_decision", note)
        return tyro.cli(example.main, args=[str(argument) for argument in arguments]), drawn

    return run


def test_names_and_defaults(example):
    assert dataclasses.asdict(example.Config()) == {
        "step": -1,
        "num_flow_steps": 20,
        "inference_delay": 3,
        "execute_horizon": 6,
        "max_guidance_weight": 5.0,
        "prefix_attention_schedule": "exp",
        "action_dim_indices": (0, 1, 2),
    }
    parameters = inspect.signature(example.main).parameters
    assert list(parameters) == ["run_path", "level_path", "config", "output_dir", "seed"]
    assert parameters["level_path"].default == "worlds/l/grasp_easy.json"
    assert str(parameters["output_dir"].default) == "rtc_plots"
    assert parameters["seed"].default == 0


def test_no_option_draws_what_there_is_and_says_what_happens(
    command, run, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    code, [(decision, _, dimensions)] = command(run.results, draw=True)
    output = capsys.readouterr()
    assert code == 0
    written = [line for line in output.out.splitlines() if line.startswith("rtc_plots/")]
    assert written == [f"rtc_plots/{name}" for name in PICTURES]
    assert sorted(path.name for path in Path("rtc_plots").iterdir()) == sorted(PICTURES)
    assert "has no policy of grasp_easy; taking cartpole_thrust" in output.err
    assert "leaves a prefix of 2" in output.err
    assert "action dimensions 0, 1, 2 move nothing on cartpole_thrust" in output.err
    assert "--config.action-dim-indices 4 5" in output.err
    assert dimensions == (0, 1, 2)
    # What the warning says of a prefix of 2 is what was played.
    assert list(decision.guided["weights"]) == [1, 1, 0, 0, 0, 0, 0, 0]
    executed = decision.timelines["realtime"].actions[decision.step : decision.step + 3]
    assert executed[1].any()
    assert not executed[2:].any()


def test_every_option(command, run, tmp_path, capsys):
    code, drawn = command(
        *(run.folder, "--level-path", "worlds/l/cartpole_thrust.json"),
        *("--config.step", 2, "--config.num-flow-steps", 4, "--config.inference-delay", 2),
        *("--config.execute-horizon", 4, "--config.max-guidance-weight", 2.5),
        *("--config.prefix-attention-schedule", "linear"),
        *("--config.action-dim-indices", 4, 5, "--output-dir", tmp_path / "plots", "--seed", 3),
    )
    output = capsys.readouterr()
    assert code == 0
    assert output.err == ""
    assert "epoch 2; level: cartpole_thrust" in output.out
    [(decision, folder, dimensions)] = drawn
    assert (folder, dimensions) == (tmp_path / "plots", (4, 5))
    assert decision.guided["x_t"].shape == (4, 1, 8, 6)
    assert decision.guided["guidance_weight"].max() == 2.5
    assert list(decision.guided["weights"][:4].round(3)) == [1, 1, 0.667, 0.333]
    assert decision.step % 4 == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--level-path", "cartpole_trust"], "did you mean 'cartpole_thrust'"),
        (["--level-path", "worlds/l/catapult.json"], "no policy of level 'catapult'"),
        (["--config.step", "3"], "no checkpoint 3 (--config.step); there are 2, 4"),
        (["--config.execute-horizon", "9"], "horizon: expected 1 to 8"),
        (["--config.num-flow-steps", "0"], "flow_steps: expected at least 1"),
        (["--config.action-dim-indices", "1", "6"], "--config.action-dim-indices: 6 is out of"),
    ],
)
def test_errors_are_one_line(arguments, message, command, run, capsys):
    code, drawn = command(run.results, *arguments)
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" not in line]
    assert (code, drawn, len(lines)) == (1, [], 1)
    assert lines[0].startswith("error: ")
    assert message in lines[0]


def test_policies_are_found_from_any_folder_above(run, level):
    for folder in (run.results, run.results / "policies", run.folder.parent.parent, run.folder):
        assert trained_policies(folder) == {run.folder: level.name}
        assert find_policy(folder, level.name) == run.folder


def test_the_plain_policy_comes_first(run, tmp_path):
    for name in ("zebra/seed_0", "flow/seed_10", "flow/seed_2", "alpha/seed_0"):
        shutil.copytree(run.folder, tmp_path / "policies" / "cartpole_thrust" / name)
    found = [str(path.relative_to(tmp_path)) for path in trained_policies(tmp_path)]
    assert [path.split("cartpole_thrust/")[1] for path in found] == [
        "flow/seed_2",
        "flow/seed_10",
        "alpha/seed_0",
        "zebra/seed_0",
    ]


def test_what_is_not_there_is_named(tmp_path, run):
    with pytest.raises(ArtifactError, match="no such folder"):
        trained_policies(tmp_path / "none")
    with pytest.raises(ArtifactError, match="no trained policy in it"):
        trained_policies(tmp_path)
    with pytest.raises(LevelError, match=r"worlds/l/nowhere\.json: no such file, and no level"):
        find_level("worlds/l/nowhere.json")
    assert find_level("worlds/l/grasp_easy.json").name == "grasp_easy"
    assert [find_epoch(run.folder, step) for step in (-1, -2, 2)] == [4, 2, 2]
    with pytest.raises(ArtifactError, match="no checkpoint -3"):
        find_epoch(run.folder, -3)
