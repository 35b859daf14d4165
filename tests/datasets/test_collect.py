"""The data set: who plays, what is recorded, how it is stored."""

import dataclasses
import json

import jax
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rtc.datasets import collect_dataset, play, write_dataset_card
from rtc.datasets.mixture import choose_experts, stack_params
from rtc.env.wrappers import collect_stack
from rtc.errors import ArtifactError, RtcError

MOTOR, THRUSTER = 0, 4


@pytest.fixture
def collected(toy_env, level, env_config, config, make_expert, tmp_path):
    """Three experts, one of which does not pass, and what they played."""
    folders = [
        make_expert(1, {5: 0.7, 10: 0.9}),
        make_expert(2, {5: 0.1}),
        make_expert(3, {5: 1.0}),
    ]
    path = tmp_path / "toy.parquet"
    collect_dataset(level, env_config, config, folders, path, seed=0)
    return path, folders


@pytest.fixture
def frame(collected):
    frame = pd.read_parquet(collected[0])
    return frame.sort_values(["environment", "step"], ignore_index=True)


def test_every_environment_has_all_its_steps(frame):
    assert len(frame) == 1000
    np.testing.assert_array_equal(frame["environment"], np.repeat(np.arange(10), 100))
    np.testing.assert_array_equal(frame["step"], np.tile(np.arange(100), 10))


def test_episodes_follow_the_rules_of_the_environment(frame):
    obs, action = np.stack(frame["observation"]), np.stack(frame["action"])
    length, done = frame["length"].to_numpy(), frame["done"].to_numpy()
    # the observation is the one before the action, so its time counts the steps before
    np.testing.assert_array_equal(obs[:, 0], length - 1)
    start = frame["step"] == 0
    np.testing.assert_array_equal(
        np.flatnonzero(length == 1)[1:] - 1,
        np.flatnonzero(done | np.append(start[1:], False))[: (length == 1).sum() - 1],
    )
    # its motor and thruster are the executed ones: what was asked for, plus noise of std 0.1
    same = ~done[:-1] & ~start[1:].to_numpy()
    noise = (obs[1:, 1:] - action[:-1, [MOTOR, THRUSTER]])[same]
    assert 0.09 < noise.std() < 0.11
    assert np.abs(noise.mean()) < 0.01
    np.testing.assert_array_equal(frame["return"].to_numpy()[~done], 0)
    ended = frame[done]
    np.testing.assert_array_equal(ended["return"], np.where(ended["solved"], 1, -1))
    assert not frame["solved"][~done].any()


def test_an_episode_is_played_by_one_expert_drawn_anew(frame):
    players = frame.groupby(["environment", "episode"])["expert"].agg(["nunique", "first"])
    assert (players["nunique"] == 1).all()
    assert 0.3 < players["first"].mean() < 0.7
    motor = np.stack(frame["action"])[:, MOTOR]
    expected = np.array([0.2, 0.6])[frame["expert"]]
    np.testing.assert_allclose(motor, expected, atol=0.1)
    episode = frame.groupby("environment")["episode"]
    assert (episode.min() == 0).all()
    np.testing.assert_array_equal(
        episode.diff().fillna(0),
        frame.groupby("environment")["done"].shift(fill_value=False).astype(int),
    )


def test_types_row_groups_and_metadata(collected, config):
    file = pq.ParquetFile(collected[0])
    schema = file.schema_arrow
    types = [schema.field(name).type for name in ("observation", "action")]
    assert [(t.value_type, t.list_size) for t in types] == [(pa.float32(), 3), (pa.float32(), 6)]
    assert [file.metadata.row_group(i).num_rows for i in range(4)] == [320, 320, 320, 40]
    metadata = {k.decode(): json.loads(v) for k, v in schema.metadata.items()}
    assert metadata["observation_names"] == ["time", "motor", "thruster"]
    assert metadata["observation_indices"] == [2, 5, 6]
    assert metadata["observation_constants"] == list(range(8))
    assert [(e["seed"], e["solve_rate"]) for e in metadata["experts"]][1] == (3, 1.0)
    assert metadata["action_low"] == [-1, -1, -1, -1, 0, 0]
    assert metadata["config"] == dataclasses.asdict(config)
    assert set(metadata["columns"]) == set(schema.names)


def test_same_seed_same_bytes_other_seed_others(
    collected, toy_env, level, env_config, config, tmp_path
):
    path, folders = collected
    for seed, same in ((0, True), (1, False)):
        again = tmp_path / f"again_{seed}.parquet"
        collect_dataset(level, env_config, config, folders, again, seed=seed)
        assert (again.read_bytes() == path.read_bytes()) is same


def test_blocks_do_not_change_the_rows(collected, toy_env, level, env_config, config, tmp_path):
    path, folders = collected
    one = dataclasses.replace(config, rows_per_group=10**6)
    collect_dataset(level, env_config, one, folders, tmp_path / "one.parquet", seed=0)
    columns = ["environment", "step", "expert", "length", "done"]
    frames = [
        pd.read_parquet(p, columns=columns).sort_values(columns[:2], ignore_index=True)
        for p in (path, tmp_path / "one.parquet")
    ]
    pd.testing.assert_frame_equal(*frames)


def test_a_random_passing_checkpoint_of_each_seed(make_expert, level):
    folder = make_expert(1, {n: 0.5 + 0.05 * n for n in range(1, 9)})
    picked = {choose_experts(level, [folder], 0.65, seed)[0].update for seed in range(40)}
    assert picked == {3, 4, 5, 6, 7, 8}
    again = [choose_experts(level, [folder], 0.65, 7)[0].update for _ in range(2)]
    assert again[0] == again[1]


def test_nobody_passes(toy_env, level, env_config, config, make_expert, tmp_path):
    folders = [make_expert(0, {5: 0.2, 10: 0.3}), make_expert(1, {})]
    with pytest.raises(RtcError) as raised:
        collect_dataset(level, env_config, config, folders, tmp_path / "no.parquet", seed=0)
    assert str(raised.value) == (
        "cartpole_thrust: no expert reached a solve rate of 0.65; the best is 0.300 (seed 0); "
        "raise experts.total_steps or lower datasets.min_solve_rate"
    )
    assert not (tmp_path / "no.parquet").exists()


def test_damaged_and_foreign_experts_are_named(make_expert, level):
    folder = make_expert(0, {5: 0.9})
    changed = dataclasses.replace(
        level, arrays=level.arrays | {"gravity": level.arrays["gravity"] + 1}
    )
    with pytest.raises(ArtifactError, match=r"seed_0: the level 'cartpole_thrust' changed"):
        choose_experts(changed, [folder], 0.65, 0)
    mixed = [folder, make_expert(1, {5: 0.9}, hidden=16)]
    with pytest.raises(ArtifactError, match="networks of different sizes"):
        stack_params(choose_experts(level, mixed, 0.65, 0))
    (folder / "expert.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"expert\.json: cannot be read .* rm -rf"):
        choose_experts(level, [folder], 0.65, 0)


def test_both_ways_to_choose_agree(toy_env, level, env_config, make_expert, monkeypatch):
    players = choose_experts(level, [make_expert(s, {1: 1.0}) for s in range(3)], 0.5, 0)
    stack, params = collect_stack(toy_env, env_config, 4), stack_params(players)
    rows = []
    for cpu in (True, False):
        monkeypatch.setattr(play, "on_cpu", lambda cpu=cpu: cpu)
        state = play.start_play(stack, 3, 16, jax.random.key(0))
        rows.append(jax.jit(lambda p, s: play.play_block(stack, p, s, 12)[1])(params, state))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), *rows)


def test_the_card(collected):
    path, _ = collected
    write_dataset_card(path.parent)
    card = (path.parent / "README.md").read_text()
    assert card.startswith("---\nlicense: mit")
    assert "- config_name: toy\n  data_files: toy.parquet" in card
    assert "| cartpole_thrust | 1,000 |" in card
    assert "- n<1K" not in card
    assert "- 1K<n<10K" in card
    assert "| `observation` | list of float |" in card
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"toy\.parquet: not a readable data set"):
        write_dataset_card(path.parent)


def test_actions_are_drawn_with_the_share_of_the_deviation(
    toy_env, level, env_config, config, make_expert, tmp_path
):
    """The toy expert's motor has one mean, so the spread of its column is its deviation."""
    spread = {}
    for share in (1.0, 0.5, 0.0):
        path = tmp_path / f"{share}.parquet"
        some = dataclasses.replace(config, action_std=share)
        collect_dataset(level, env_config, some, [make_expert(1, {5: 0.7})], path, seed=0)
        spread[share] = np.stack(pd.read_parquet(path)["action"])[:, MOTOR].std()
    np.testing.assert_allclose(spread[0.5], spread[1.0] / 2, rtol=0.01)
    assert spread[0.0] < 1e-6 < spread[1.0]
