"""The whole stage on a real level, at the smallest size: files, loading, video."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from rtc.config.sections import EnvConfig
from rtc.env import make_env
from rtc.env.wrappers import expert_stack
from rtc.errors import ArtifactError
from rtc.experts import load_expert, train_experts
from rtc.experts.expert import best_update
from rtc.experts.ppo import init_training, play
from rtc.experts.video import write_expert_videos
from rtc.levels import load_level

LEVEL = "cartpole_thrust"
ENV = EnvConfig(engine="specialised", action_noise=0.1, reward="reference")


@pytest.fixture(scope="module")
def config(small_config):
    return dataclasses.replace(
        small_config, total_steps=8 * 8 * 4, num_envs=8, rollout_steps=8, log_every=2, epochs=1
    )


@pytest.fixture(scope="module")
def outputs(config, tmp_path_factory):
    """Two experts trained in one job for four updates."""
    folder = tmp_path_factory.mktemp("experts")
    outputs = [folder / "seed_0", folder / "seed_1"]
    train_experts(load_level(LEVEL), ENV, config, [0, 1], outputs, root_seed=0)
    return outputs


def test_files_of_an_expert(outputs, config):
    level = load_level(LEVEL)
    for seed, output in enumerate(outputs):
        assert sorted(p.name for p in output.iterdir()) == [
            "checkpoints",
            "expert.json",
            "progress.csv",
        ]
        assert list(pd.read_csv(output / "progress.csv")["update"]) == [2, 4]
        info = json.loads((output / "expert.json").read_text())
        assert (info["level"], info["level_digest"], info["seed"]) == (LEVEL, level.digest, seed)
        assert [entry["update"] for entry in info["checkpoints"]] == [2, 4]
        assert info["ended"] == "budget"
        assert info["message"] is None
        size = make_env(level).observation_size
        assert [len(info["observation"][k]) for k in ("names", "indices")] == [size] * 2
        assert len(info["observation"]["constants"]) == 679
        assert info["actions"]["low"] == [-1, -1, -1, -1, 0, 0]


def test_a_loaded_expert_acts(outputs):
    env = make_env(LEVEL)
    for update in (None, 2):
        expert = load_expert(outputs[0], update)
        history = expert.start(env.observe(env.reset(3)))
        action = expert.action(jax.random.key(0), history)
        assert action.shape == (3, 6)
        assert (np.abs(action) <= 1).all()
        assert (action[:, 4:] >= 0).all()
        mode = expert.action(None, history, noise=jnp.zeros((3, 6)))
        np.testing.assert_array_equal(mode[0], mode[1])
        obs = env.step(env.reset(3), action)[1].obs
        history = expert.push(history, obs, action)
        np.testing.assert_array_equal(history[:, -6:], action)
        np.testing.assert_array_equal(history[:, -6 - obs.shape[1] : -6], obs)


def test_the_best_checkpoint_is_the_later_of_equals():
    entries = [(1, 0.5), (2, 0.7), (3, 0.7), (4, 0.1)]
    info = {"checkpoints": [{"update": u, "solve_rate": s} for u, s in entries]}
    assert best_update(info) == 3
    assert best_update({"checkpoints": []}) is None


def test_what_is_wrong_with_an_expert_is_said(outputs, tmp_path):
    with pytest.raises(ArtifactError, match=r"no such checkpoint; there are 2, 4"):
        load_expert(outputs[0], 3)
    with pytest.raises(ArtifactError, match=r"expert\.json: cannot be read .* make"):
        load_expert(tmp_path)
    (tmp_path / "expert.json").write_text(json.dumps({"level": "x"}))
    with pytest.raises(ArtifactError, match="no key 'level_digest'"):
        load_expert(tmp_path)


def test_the_same_call_gives_the_same_expert(outputs, config, tmp_path):
    again = [tmp_path / "seed_0", tmp_path / "seed_1"]
    train_experts(load_level(LEVEL), ENV, config, [0, 1], again, root_seed=0)
    timed = ["seconds", "steps_per_second"]
    for one, other in zip(outputs, again):
        pd.testing.assert_frame_equal(
            *(pd.read_csv(p / "progress.csv").drop(columns=timed) for p in (one, other))
        )
        assert (one / "expert.json").read_bytes() == (other / "expert.json").read_bytes()
        jax.tree.map(
            np.testing.assert_array_equal, load_expert(one).params, load_expert(other).params
        )


@pytest.mark.long
def test_experience_is_the_same_on_the_stock_engine(config):
    """Same keys, both engines: what the update learns from agrees step by step."""
    found = []
    for engine in ("specialised", "kinetix"):
        task = expert_stack(make_env(LEVEL, engine=engine), ENV, config)
        keys = jax.random.split(jax.random.key(0), 2)
        state = init_training(task, config, keys)
        program = jax.jit(lambda s, task=task: play(task, s.learner.params, s.envs, s.key, 24)[1:])
        found.append(program(state))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-3), *found)


@pytest.mark.long
def test_the_video_shows_one_episode(outputs, tmp_path):
    import imageio.v3 as iio

    films = {folder: tmp_path / f"{folder.name}.mp4" for folder in outputs}
    counted = write_expert_videos(load_level(LEVEL), ENV, films, seed=0)
    assert set(counted) == set(films.values())
    frames = iio.imread(films[outputs[0]])
    assert 1 < len(frames) == counted[films[outputs[0]]] <= 256
    assert frames[0].shape[1] == 500
    assert np.abs(frames[0].astype(int) - frames[-1]).max() > 50
