"""The stage on the real engine, with a policy folder as training leaves it."""

import dataclasses
import json

import numpy as np
import pytest
from flax import nnx

import rtc.evaluate.run as stage
from rtc.config.sections import EnvConfig, EvaluationConfig, MethodConfig
from rtc.env import make_env
from rtc.errors import ArtifactError, ConfigError
from rtc.evaluate import evaluate_method
from rtc.evaluate.reference import own_bodies
from rtc.evaluate.tally import used_actions
from rtc.flow import FlowPolicy, ModelConfig
from rtc.levels import load_level
from rtc.storage.checkpoints import save_checkpoint
from rtc.storage.io import write_json
from rtc.storage.tables import read_evaluations, read_rollouts

ENV = EnvConfig(engine="specialised", action_noise=0.1, reward="reference")
MODEL = ModelConfig(channel_dim=16, channel_hidden_dim=16, token_hidden_dim=8, num_layers=1)
CONFIG = EvaluationConfig(
    rollouts=6,
    rollouts_per_batch=64,
    flow_steps=2,
    cells=[{"delay": 1, "horizon": 2}, {"delay": 2, "horizon": 6}],
)


@pytest.fixture(scope="module")
def level():
    return load_level("cartpole_thrust")


@pytest.fixture(scope="module")
def policy_dir(level, tmp_path_factory):
    folder = tmp_path_factory.mktemp("policies") / "seed_2"
    env = make_env(level)
    policy = FlowPolicy(obs_dim=env.observation_size, action_dim=6, config=MODEL, rngs=nnx.Rngs(0))
    save_checkpoint(folder / "checkpoints" / "1", nnx.to_pure_dict(nnx.state(policy, nnx.Param)))
    write_json(
        folder / "policy.json",
        {
            "level": {"name": level.name, "digest": level.digest},
            "obs_dim": env.observation_size,
            "action_dim": 6,
            "model": dataclasses.asdict(MODEL),
            "observation": {
                "indices": [int(i) for i in env.observation_indices],
                "constants": [float(x) for x in env.observation_constants],
                "names": list(env.observation_spec),
            },
            "kept_epochs": [1],
        },
    )
    return folder


def run(level, policy_dir, out):
    method = MethodConfig("naive", "flow", {})
    files = out / "naive.csv", out / "naive.parquet"
    evaluate_method(level, ENV, policy_dir, "naive", method, CONFIG, *files, seed=0)
    return files


def test_same_numbers_byte_for_byte_on_the_real_engine(level, policy_dir, tmp_path):
    first, second = (run(level, policy_dir, tmp_path / name) for name in "ab")
    for one, other in zip(first, second):
        assert one.read_bytes() == other.read_bytes()
    table, rollouts = read_evaluations(first[0]), read_rollouts(first[1])
    assert list(zip(table.delay, table.horizon)) == [(1, 2), (2, 6)]
    assert list(table.seed) == [2, 2] and list(table.rollouts) == [6, 6]
    assert rollouts.length.between(1, 256).all()
    assert np.isfinite(rollouts[["jump_mean", "jerk", "mismatch"]]).all(axis=None)
    assert set(rollouts["return"]) <= {-1.0, 0.0, 1.0}
    assert (rollouts["return"][rollouts.solved] == 1).all()


def test_kicks_are_measured_by_a_calm_play_under_the_benchmark_s_own_noise(
    level, policy_dir, tmp_path, monkeypatch
):
    made = []
    monkeypatch.setattr(stage, "_evaluate", lambda *setup: made.append(setup[0]))
    for scale, noise in ((1.0, None), (2.0, None), (1.0, 0.5)):
        kicks = {"kick_probability": 0.02, "kick_scale": scale, "action_noise": noise}
        config, method = dataclasses.replace(CONFIG, **kicks), MethodConfig("naive", "flow", {})
        files = tmp_path / "naive.csv", tmp_path / "naive.parquet"
        evaluate_method(level, ENV, policy_dir, "naive", method, config, *files, seed=0)
    once, twice, noisy = made
    assert once.kicks.own.tolist() == [1, 0], "of cart and pole, the pole is to be held up"
    assert once.kicks.speed > 0
    assert noisy.kicks.speed == once.kicks.speed == twice.kicks.speed / 2
    assert (once.action_noise, noisy.action_noise) == (ENV.action_noise, 0.5)


def test_a_level_without_bodies_of_the_agent_s_own_is_refused(level, policy_dir, tmp_path):
    roles = {**level.arrays, "polygon_shape_roles": np.ones_like(level["polygon_shape_roles"])}
    with pytest.raises(ConfigError, match=r"evaluation\.kick_probability: other has no movable"):
        own_bodies(dataclasses.replace(level, name="other", arrays=roles))


def test_only_actions_that_move_something_count(level):
    # A cart with two thrusters: motors have nothing to turn.
    assert used_actions(level).tolist() == [False] * 4 + [True] * 2
    assert used_actions(load_level("h17_unicycle")).tolist() == [True] + [False] * 5


def test_another_level_or_a_changed_one_is_refused(level, policy_dir, tmp_path):
    other = dataclasses.replace(level, name="other")
    with pytest.raises(ArtifactError, match="trained on level 'cartpole_thrust', not on 'other'"):
        run(other, policy_dir, tmp_path)
    gravity = {**level.arrays, "gravity": level["gravity"] * np.float32(0.5)}
    changed = dataclasses.replace(level, arrays=gravity)
    with pytest.raises(ArtifactError, match=r"changed since this policy was trained.*rm -r"):
        run(changed, policy_dir, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_policy_is_named(level, policy_dir, tmp_path):
    import shutil

    broken = tmp_path / "seed_0"
    shutil.copytree(policy_dir, broken)
    about = json.loads((broken / "policy.json").read_text())
    (broken / "policy.json").write_text(json.dumps(about | {"model": {"channel_dim": 32}}))
    with pytest.raises(ArtifactError, match="another network"):
        run(level, broken, tmp_path / "out")
