"""The stage: what it writes, that it learns, resumes, fine-tunes, and survives NaN."""

import dataclasses
import json
import logging

import jax
import numpy as np
import pandas as pd
import pytest

import rtc
from rtc.config.sections import StartFrom
from rtc.errors import ArtifactError, ConfigError, DivergenceError
from rtc.storage.checkpoints import restore_checkpoint, tree_digest
from rtc.training import epochs, train_policies
from tests.training.toy_dataset import FULL, OBS, write_dataset


@pytest.fixture(scope="module")
def trained(config, dataset, tmp_path_factory):
    """Two seeds in one job, with what their sinks got."""
    folder, rows = tmp_path_factory.mktemp("policies"), []
    outputs = [folder / "flow" / f"seed_{seed}" for seed in (0, 1)]
    train_policies("toy", dataset, config, [0, 1], outputs, root_seed=3, sinks=[rows.append])
    return outputs, rows


def digests(output):
    checkpoints = sorted((output / "checkpoints").iterdir())
    return {path.name: tree_digest(restore_checkpoint(path)) for path in checkpoints}


def test_a_folder_holds_kept_epochs_progress_and_summary(trained, config):
    for seed, output in enumerate(trained[0]):
        assert sorted(p.name for p in output.iterdir()) == [
            "checkpoints", "policy.json", "progress.csv",
        ]  # fmt: skip
        assert list(digests(output)) == ["2", "4"]
        progress = pd.read_csv(output / "progress.csv")
        assert list(progress["epoch"]) == [1, 2, 3, 4]
        assert list(progress["samples"]) == [192, 384, 576, 768]
        assert (progress["samples_per_second"] > 0).all()
        assert progress["loss"].is_monotonic_decreasing
        summary = json.loads((output / "policy.json").read_text())
        assert summary["seed"] == seed
        assert summary["level"] == {"name": "toy", "digest": "00ff"}
        assert summary["kept_epochs"] == [2, 4]
        assert summary["diverged"] is None
        assert summary["config"]["learning_rate"] == config.learning_rate
        assert summary["dataset"]["windows"] == 198


def test_sinks_get_the_rows_of_progress(trained):
    _, rows = trained
    assert [(row["seed"], row["epoch"]) for row in rows[:3]] == [(0, 1), (1, 1), (0, 2)]
    assert rows[0]["level"] == "toy"
    assert rows[0]["policy"] == "flow"


def test_load_policy_runs_on_either_observation(trained):
    loaded = rtc.load_policy(trained[0][1])
    assert (loaded.level, loaded.epoch, loaded.policy.obs_dim) == ("toy", 4, OBS)
    obs = jax.random.normal(jax.random.key(1), (3, OBS))
    full = loaded.expand(obs)
    assert full.shape == (3, FULL)
    np.testing.assert_array_equal(full[:, [1, 3, 4, 7, 11]], obs)
    np.testing.assert_array_equal(full[:, [0, 2, 5]], [[0.5, 2.0, 3.0]] * 3)
    np.testing.assert_array_equal(loaded.compress(full), obs)
    key = jax.random.key(2)
    chunk = loaded.action(obs, key)
    assert chunk.shape == (3, 8, 6)
    np.testing.assert_array_equal(chunk, loaded.action(full, key))
    np.testing.assert_allclose(
        loaded.action(obs[0], key), loaded.policy.action(key, obs[:1], 5)[0], atol=1e-6
    )
    assert loaded.observation_names[0] == "entry 0"


def test_load_policy_takes_an_epoch_and_names_what_is_wrong(trained, tmp_path):
    assert rtc.load_policy(trained[0][0], epoch=2).epoch == 2
    with pytest.raises(ArtifactError, match="no such checkpoint; there are 2, 4"):
        rtc.load_policy(trained[0][0], epoch=3)
    with pytest.raises(ArtifactError, match=r"policy.json: missing; run: rm -r .* && make"):
        rtc.load_policy(tmp_path)
    (tmp_path / "policy.json").write_text("{")
    with pytest.raises(ArtifactError, match="damaged"):
        rtc.load_policy(tmp_path)
    (tmp_path / "policy.json").write_text("{}")
    with pytest.raises(ArtifactError, match="no key 'level'"):
        rtc.load_policy(tmp_path)


def test_same_seed_same_parameters_alone_or_grouped(trained, config, dataset, tmp_path):
    train_policies("toy", dataset, config, [1], [tmp_path / "seed_1"], root_seed=3)
    for epoch in ("2", "4"):
        alone = restore_checkpoint(tmp_path / "seed_1/checkpoints" / epoch)
        grouped = restore_checkpoint(trained[0][1] / "checkpoints" / epoch)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), alone, grouped)
    assert digests(trained[0][0])["4"] != digests(trained[0][1])["4"]


class Killed(BaseException):
    """Stands for SIGKILL: nothing below the job catches it."""


def test_an_interrupted_training_ends_in_the_same_bits(
    trained, config, dataset, tmp_path, monkeypatch, caplog
):
    state = tmp_path / "state"
    outputs = [tmp_path / f"seed_{seed}" for seed in (0, 1)]

    def run():
        train_policies("toy", dataset, config, [0, 1], outputs, root_seed=3, state_dir=state)

    real = epochs._train_epoch

    def killed_in(number):
        def train_epoch(run, training, epoch, bar):
            if epoch == number:
                raise Killed
            return real(run, training, epoch, bar)

        return train_epoch

    for number in (2, 4):
        monkeypatch.setattr(epochs, "_train_epoch", killed_in(number))
        with pytest.raises(Killed):
            run()
        # Snakemake removes what an unfinished job leaves.
        for output in outputs:
            assert not (output / "policy.json").exists()
            if (output / "checkpoints").exists():
                (output / "checkpoints").rename(output / f"gone_{number}")
    monkeypatch.undo()
    with caplog.at_level(logging.INFO, "rtc"):
        run()
    assert "going on after epoch 3" in caplog.text
    for output, whole in zip(outputs, trained[0]):
        assert digests(output) == digests(whole)
        ours, theirs = (json.loads((o / "policy.json").read_text()) for o in (output, whole))
        assert ours == theirs
        assert len(pd.read_csv(output / "progress.csv")) == 4
    assert [p.name for p in (state / "seeds_0_1").iterdir()] == ["lock"]


def test_a_state_of_another_config_is_ignored(config, dataset, tmp_path, monkeypatch, caplog):
    state, output = tmp_path / "state", tmp_path / "seed_0"
    smaller = dataclasses.replace(config, epochs=2, keep_epochs=())

    def run(config):
        train_policies("toy", dataset, config, [0], [output], root_seed=0, state_dir=state)

    with monkeypatch.context() as patch:
        patch.setattr(epochs, "_report", lambda run, training, epoch: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            run(smaller)
    with caplog.at_level(logging.INFO, "rtc"):
        run(dataclasses.replace(smaller, learning_rate=1e-3))
    assert "config changed; starting anew" in caplog.text
    assert "going on after" not in caplog.text


def test_fine_tuning_starts_from_the_epoch_named(trained, config, dataset, tmp_path):
    still = dataclasses.replace(
        config,
        epochs=1,
        keep_epochs=(),
        learning_rate=1e-12,
        objective={"objective": "delayed_prefix", "simulated_delay": 5},
        start_from=StartFrom("flow", 2),
    )
    train_policies(
        "toy", dataset, still, [0, 1], [tmp_path / "a", tmp_path / "b"],
        start_from=trained[0], root_seed=3,
    )  # fmt: skip
    for output, start in zip((tmp_path / "a", tmp_path / "b"), trained[0]):
        ours = restore_checkpoint(output / "checkpoints/1")
        theirs = restore_checkpoint(start / "checkpoints/2")
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), ours, theirs)
    summary = json.loads((tmp_path / "a/policy.json").read_text())
    assert summary["config"]["start_from"] == {"policy": "flow", "epoch": 2}
    with pytest.raises(ArtifactError, match="no such checkpoint; there are 2, 4"):
        train_policies(
            "toy", dataset, dataclasses.replace(still, start_from=StartFrom("flow", 3)),
            [0], [tmp_path / "c"], start_from=trained[0][:1], root_seed=3,
        )  # fmt: skip
    with pytest.raises(ArtifactError, match="another network size"):
        train_policies(
            "toy", dataset, dataclasses.replace(still, channel_dim=18),
            [0], [tmp_path / "c"], start_from=trained[0][:1], root_seed=3,
        )  # fmt: skip


def test_nan_stops_one_seed_and_keeps_its_last_good_epoch(
    config, dataset, tmp_path, monkeypatch, caplog
):
    outputs = [tmp_path / f"seed_{seed}" for seed in (0, 1)]
    real = epochs._run_minibatches

    def poisoned(run, learner, stream, bar):
        learner, sums = real(run, learner, stream, bar)
        if stream == 3:
            params = jax.tree.map(lambda leaf: leaf.at[0].set(np.nan), learner.params)
            learner, sums = learner._replace(params=params), sums._replace(bad=np.array([1, -1]))
        return learner, sums

    monkeypatch.setattr(epochs, "_run_minibatches", poisoned)
    train_policies("toy", dataset, config, [0, 1], outputs, root_seed=3)
    message = "toy, policy seed 0: loss not finite in epoch 3, minibatch 1; kept epoch 2"
    assert message in caplog.text
    assert list(digests(outputs[0])) == ["2"]
    assert list(digests(outputs[1])) == ["2", "4"]
    first, second = (json.loads((o / "policy.json").read_text()) for o in outputs)
    assert first["diverged"] == {"epoch": 3, "minibatch": 1, "reason": "loss not finite"}
    assert first["epochs"] == 2
    assert second["diverged"] is None
    assert len(pd.read_csv(outputs[0] / "progress.csv")) == 2
    assert rtc.load_policy(outputs[0]).epoch == 2


def test_nan_in_the_first_epoch_of_all_seeds_is_an_error(config, tmp_path):
    path = tmp_path / "nan.parquet"
    write_dataset(path, nan_at=100)
    with pytest.raises(DivergenceError, match="toy, policy seed 0: loss not finite in epoch 1"):
        train_policies("toy", path, config, [0], [tmp_path / "seed_0"], root_seed=0)
    assert not (tmp_path / "seed_0" / "policy.json").exists()


def test_a_streamed_data_set_trains_too(config, dataset, tmp_path):
    config = dataclasses.replace(config, batch_size=8, keep_epochs=())
    train_policies(
        "toy", dataset, config, [0], [tmp_path / "seed_0"], root_seed=0, resident_bytes=3000
    )
    progress = pd.read_csv(tmp_path / "seed_0/progress.csv")
    assert progress["loss"].iloc[-1] < 0.9 * progress["loss"].iloc[0]
    assert progress["samples"].iloc[0] > 150


def test_small_evaluations_are_called_and_written(config, dataset, tmp_path):
    called = []

    def evaluate(policy, key):
        called.append(float(jax.random.uniform(key)))
        return 0.25 * len(called)

    config = dataclasses.replace(config, evaluate_every=2, keep_epochs=())
    train_policies("toy", dataset, config, [0], [tmp_path / "s"], root_seed=0, evaluate=evaluate)
    progress = pd.read_csv(tmp_path / "s/progress.csv")
    np.testing.assert_array_equal(progress["solve_rate"], [np.nan, 0.25, np.nan, 0.5])
    assert len(set(called)) == 2


def test_a_batch_larger_than_the_data_is_refused(config, dataset, tmp_path):
    with pytest.raises(ConfigError, match="batch_size: 512 is more than the 198 windows"):
        train_policies(
            "toy", dataset, dataclasses.replace(config, batch_size=512),
            [0], [tmp_path / "s"], root_seed=0,
        )  # fmt: skip


def test_bfloat16_learns_as_float32_does(config, dataset, tmp_path):
    losses = {}
    for precision in ("float32", "bfloat16"):
        output = tmp_path / precision
        chosen = dataclasses.replace(config, precision=precision, keep_epochs=())
        train_policies("toy", dataset, chosen, [0], [output], root_seed=0)
        losses[precision] = pd.read_csv(output / "progress.csv")["loss"]
        kernel = restore_checkpoint(output / "checkpoints/4")["in_proj"]["kernel"]
        assert kernel.dtype == np.float32
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.05)
