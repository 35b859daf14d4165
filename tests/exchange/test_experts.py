"""Experts of the reference: folded on the way in, the same bits on the way out."""

import json
import pickle

import jax.numpy as jnp
import numpy as np
import pytest

from rtc.errors import ArtifactError
from rtc.exchange.experts import export_expert, import_expert
from rtc.exchange.names import flatten
from rtc.experts.actor_critic import action_distribution, state_value
from rtc.experts.expert import load_expert
from tests.exchange.conftest import ACT, HISTORY, expand, expert_arrays, pickle_as_reference, stats

NAME = "worlds_l_h17_unicycle"


@pytest.fixture(scope="module")
def imported(reference_folder, level, tmp_path_factory):
    output = tmp_path_factory.mktemp("experts") / "seed_1"
    import_expert(reference_folder / "expert/seed_1", level, 1, output)
    return output


def test_checkpoints_are_counted_in_updates_done(imported):
    info = json.loads((imported / "expert.json").read_text())
    assert [entry["update"] for entry in info["checkpoints"]] == [20, 40, 60]
    assert [entry["env_steps"] for entry in info["checkpoints"]] == [20 << 16, 40 << 16, 60 << 16]
    assert [entry["solve_rate"] for entry in info["checkpoints"]] == [0.1, 0.7, 0.9]
    assert info["best_update"] == 60
    assert info["history"] == HISTORY
    assert (imported / "progress.csv").read_text().splitlines()[0].startswith("update,env_steps")


def plain_network(arrays, network, x):
    for i in (0, 2, 4):
        x = x @ arrays[f"{network}/layers/{i}/kernel"] + arrays[f"{network}/layers/{i}/bias"]
        x = np.tanh(x) if i < 4 else x
    return x


def test_folded_networks_are_the_same_functions(imported, observation):
    expert = load_expert(imported, 40)
    arrays = expert_arrays(120)
    rng = np.random.default_rng(5)
    obs = rng.normal(size=(3, HISTORY, len(observation["indices"]))).astype(np.float32)
    action = rng.normal(size=(3, ACT)).astype(np.float32)
    narrow = jnp.asarray(np.concatenate([obs.reshape(3, -1), action], axis=1))
    wide = np.concatenate([expand(observation, obs).reshape(3, -1), action], axis=1)
    mean, std = action_distribution(expert.params.actor, expert.params.log_std, narrow)
    np.testing.assert_allclose(mean, plain_network(arrays, "actor", wide).clip(-5, 5), atol=2e-5)
    np.testing.assert_allclose(std, np.exp(arrays["logstd"].clip(-10, 2)), rtol=1e-6)
    value = state_value(expert.params.critic, narrow)
    np.testing.assert_allclose(value, plain_network(arrays, "critic", wide)[:, 0], atol=2e-5)


def test_round_trip_is_exact(imported, tmp_path):
    export_expert(imported, tmp_path)
    for number in (0, 20, 40):
        folder = tmp_path / "seed_1" / str(number)
        found = flatten(pickle.loads((folder / f"policies/{NAME}.pkl").read_bytes()))
        original = expert_arrays(100 + number)
        assert found.keys() == original.keys()
        for name, array in original.items():
            np.testing.assert_array_equal(found[name], array)
    found = json.loads((folder / f"stats/{NAME}.json").read_text())
    assert found == stats(0.9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda a: a | {"actor/layers/0/kernel": np.zeros((77, 8), np.float32)},
            "takes 77 numbers",
        ),
        (
            lambda a: a | {"actor/layers/6/bias": np.zeros(2, np.float32)},
            "unknown array actor/layers/6",
        ),
        (lambda a: {k: v for k, v in a.items() if k != "logstd"}, "logstd is missing"),
    ],
)
def test_other_networks_are_refused(level, tmp_path, change, message):
    pickle_as_reference(tmp_path / f"seed_0/0/policies/{NAME}.pkl", change(expert_arrays(0)))
    with pytest.raises(ArtifactError, match=message):
        import_expert(tmp_path / "seed_0", level, 0, tmp_path / "out")


def test_missing_stats_are_named(level, tmp_path):
    pickle_as_reference(tmp_path / f"seed_0/0/policies/{NAME}.pkl", expert_arrays(0))
    with pytest.raises(ArtifactError, match="no readable stats"):
        import_expert(tmp_path / "seed_0", level, 0, tmp_path / "out")
    (tmp_path / "seed_0/0/stats").mkdir()
    (tmp_path / f"seed_0/0/stats/{NAME}.json").write_text('{"loss": 1}')
    with pytest.raises(ArtifactError, match="no number 'returned_episode_solved'"):
        import_expert(tmp_path / "seed_0", level, 0, tmp_path / "out")
