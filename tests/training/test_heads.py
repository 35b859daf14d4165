"""Heads: what they learn from, and what their training makes of it. The robot is a toy."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from flax import nnx

import rtc
import rtc.training.heads as stage
from rtc.config.sections import EnvConfig, HeadConfig
from rtc.errors import ConfigError, DivergenceError
from rtc.experts.actor_critic import ActorCritic, Dense
from rtc.experts.expert import Expert
from rtc.flow import FlowPolicy, ModelConfig
from rtc.flow.heads import Correction, HeadRows, Sizes
from rtc.flow.loading import LoadedPolicy
from rtc.levels import load_level
from rtc.storage.checkpoints import restore_checkpoint, tree_digest
from rtc.training.dataset_rows import dataset_rows
from rtc.training.rollouts import Player, rollout_rows
from tests.evaluate.toy_robot import ToyEnv, toy_policy
from tests.training.toy_dataset import ACT, FULL, OBS, write_dataset

ENV = EnvConfig(engine="specialised", action_noise=0.1, reward="reference")
KERNEL = np.random.default_rng(0).normal(size=(2 * 3 + 2, 2)).astype(np.float32)
CONFIG = HeadConfig(
    head="correction",
    policy="flow",
    options={"hidden_sizes": [32], "observation_history": 1},
    data="policy",
    transitions=512,
    num_envs=16,
    epochs=20,
    batch_size=64,
    learning_rate=3e-3,
    weight_decay=0.0,
    expert="pretrained/experts/{level}",
)


@pytest.fixture(scope="module")
def expert():
    """Its mode is tanh and sigmoid of one affine layer of two observations and the last action."""
    actor = (Dense(jnp.asarray(KERNEL), jnp.zeros(2)),)
    checkpoint = {"update": 7, "solve_rate": 0.9}
    info = {
        "history": 2,
        "seed": 4,
        "best_update": 7,
        "actions": {"low": [-1, 0]},
        "observation": {"indices": [1, 2, 5]},
        "checkpoints": [checkpoint],
    }
    return Expert(ActorCritic(actor, actor, jnp.zeros(2)), 7, info)


def rows_of(expert, key=0, count=700):
    player = Player(ToyEnv(), toy_policy(), expert, False, 3, 0.1, 3)
    return rollout_rows(player, 16, count, jax.random.key(key))


@pytest.fixture(scope="module")
def rows(expert):
    return rows_of(expert)


def test_labels_are_the_mode_of_the_expert(rows):
    seen = rows.obs_history[:, -2:].reshape(len(rows.index), -1)
    u = np.concatenate([seen, rows.last_action], axis=1) @ KERNEL
    u = np.clip(u, -5, 5)
    expected = np.stack([np.tanh(u[:, 0]), 1 / (1 + np.exp(-u[:, 1]))], axis=1)
    np.testing.assert_allclose(rows.label, expected, rtol=0, atol=1e-5)


def test_moments_after_an_episode_are_left_out_and_the_next_begins_anew(rows):
    assert len(rows.index) == 700 and set(rows.index) == set(range(8))
    place, time = rows.obs_history[:, -1, 0], rows.obs_history[:, -1, 2]
    assert (np.abs(place) < 1).all() and (time < 1).all()
    first = time == 0
    assert first.sum() > 16, "no episode ended"
    assert not rows.last_action[first].any() and rows.last_action[~first].any(axis=1).all()
    np.testing.assert_array_equal(rows.obs_history[first, 0], rows.obs_history[first, -1])
    steps = np.diff(rows.obs_history[:, :, 2] * 40, axis=1).round()
    np.testing.assert_array_equal(steps[time * 40 > 1.5], 1)


def test_the_key_alone_decides(expert, rows):
    again, other = rows_of(expert), rows_of(expert, key=1)
    for one, two in zip(rows, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(rows.action, other.action)


def test_rows_of_a_data_set(tmp_path):
    columns = write_dataset(tmp_path / "toy.parquet")
    config = ModelConfig(
        channel_dim=8, channel_hidden_dim=8, token_hidden_dim=8, num_layers=1, action_chunk_size=8
    )
    policy = FlowPolicy(obs_dim=OBS, action_dim=ACT, config=config, rngs=nnx.Rngs(0))
    info = {"observation": {"indices": [1, 3, 4, 7, 11], "constants": [0.0] * FULL}}
    loaded = LoadedPolicy(policy, "toy", 1, info)
    rows = dataset_rows(loaded, tmp_path / "toy.parquet", 3, 100, 2, jax.random.key(0))
    order = np.lexsort((columns["step"], columns["environment"]))
    obs, action, done = (columns[name][order] for name in ("observation", "action", "done"))
    first = (np.arange(len(obs)) % 40 == 0) | np.append(False, done[:-1])
    for row in range(100):
        (at,) = np.flatnonzero((obs == rows.obs_history[row, -1]).all(axis=1))
        np.testing.assert_array_equal(rows.label[row], action[at])
        before = np.zeros(ACT) if first[at] else action[at - 1]
        np.testing.assert_array_equal(rows.last_action[row], before)
        older = at if first[at] else at - 1
        np.testing.assert_array_equal(rows.obs_history[row, -2], obs[older])
        assert not first[at - rows.index[row] + 1 : at + 1].any()


def test_a_known_linear_correction_is_recovered():
    sizes, kind = Sizes(3, 2, 8), Correction((64,), 1)

    def made(seed, count):
        rng = np.random.default_rng(seed)
        history, last, action = (
            rng.normal(size=(count, *shape)).astype(np.float32) for shape in ((1, 3), (2,), (2,))
        )
        label = action + history[:, 0] @ KERNEL[:3] * 0.3 - 0.2 * last
        return HeadRows(history, last, action, rng.integers(0, 8, count).astype(np.int32), label)

    network, progress = stage.fit(
        kind, kind.network(sizes, nnx.Rngs(0)), made(0, 2048), CONFIG, jax.random.key(0), "mine"
    )
    unseen = jax.device_put(made(1, 256))
    assert progress["loss"].iloc[-1] < 0.05 * progress["loss"].iloc[0]
    before = np.mean((unseen.action - unseen.label) ** 2)
    assert float(kind.loss(network, unseen)) < 0.05 * before


def test_what_cannot_be_fitted_is_said(rows):
    kind = Correction((8,), 3)
    network = kind.network(Sizes(3, 2, 8), nnx.Rngs(0))
    broken = rows._replace(label=np.full_like(rows.label, np.nan))
    with pytest.raises(DivergenceError, match="head mine: loss not finite in epoch 1"):
        stage.fit(kind, network, broken, CONFIG, jax.random.key(0), "mine")
    few = jax.tree.map(lambda leaf: leaf[:63], rows)
    with pytest.raises(ConfigError, match=r"heads.mine.batch_size: 64 is more than the 63 rows"):
        stage.fit(kind, network, few, CONFIG, jax.random.key(0), "mine")


def test_the_stage_writes_a_head_that_loads(expert, monkeypatch, tmp_path):
    level, asked = load_level("h17_unicycle"), []
    monkeypatch.chdir(tmp_path)
    for seed in (3, 1):
        (tmp_path / f"pretrained/experts/h17_unicycle/seed_{seed}").mkdir(parents=True)
    policy = LoadedPolicy(toy_policy(), level.name, 5, {"seed": 2})
    monkeypatch.setattr(stage, "make_env", lambda level, engine, reward: ToyEnv())
    monkeypatch.setattr(stage, "load_policy", lambda path: policy)
    monkeypatch.setattr(stage, "best_expert", lambda folders, _: asked.extend(folders) or expert)
    for name in ("one", "two"):
        stage.train_head(
            *(level, ENV, "mine", CONFIG, tmp_path, tmp_path / name), flow_steps=3, seed=0
        )
    assert [path.name for path in asked] == ["seed_1", "seed_3"] * 2
    head = rtc.load_head(tmp_path / "one")
    assert head.kind == Correction((32,), 1) and head.network.history == 1
    assert head.info["labels"] == {"seed": 4, "best_update": 7}
    assert (head.info["seed"], head.info["rows"], head.info["policy_epoch"]) == (2, 512, 5)
    losses = pd.read_csv(tmp_path / "one/progress.csv")["loss"]
    assert len(losses) == 20 and losses.iloc[-1] < 0.5 * losses.iloc[0]
    one, two = (restore_checkpoint(tmp_path / name / "checkpoints/20") for name in ("one", "two"))
    assert tree_digest(one) == tree_digest(two)
    assert json.loads((tmp_path / "one/head.json").read_text())["level"]["digest"] == level.digest
