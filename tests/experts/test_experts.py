"""The stage around the program: rows, checkpoints, early stop, divergence, resuming."""

import csv
import dataclasses
import json
import logging

import jax
import numpy as np
import pytest

from rtc.experts import train as stage
from rtc.experts.seed_run import COLUMNS, SeedRun, total_updates
from rtc.experts.train import train_runs
from rtc.jobs.resume import resume_state
from rtc.storage.checkpoints import list_checkpoints, restore_checkpoint

CONSTANT, COIN, DELAYED, TARGET, FOLLOW = range(5)


def train(folder, task, config, sinks=()):
    """Trains one seed a room under `folder` and publishes them to folder/out."""
    keys = jax.random.split(jax.random.key(3), len(task.rooms))
    with resume_state(folder / "state", {"config": dataclasses.asdict(config)}) as state:
        runs = [SeedRun(i, folder / "state" / f"seed_{i}", config) for i in range(len(keys))]
        train_runs(task, config, runs, keys, state, "probe", sinks)
        for run in runs:
            run.publish(folder / "out" / str(run.seed), {"ended": run.ended})
    return runs


def numbers(folder):
    """progress.csv without what the clock says."""
    with open(folder / "progress.csv") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"], row["steps_per_second"]
    return rows


def parameters(folder):
    return {n: restore_checkpoint(p) for n, p in list_checkpoints(folder / "checkpoints").items()}


def assert_same(one, other):
    assert numbers(one) == numbers(other)
    ours, theirs = parameters(one), parameters(other)
    assert list(ours) == list(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.fixture(scope="module")
def uninterrupted(probes, small_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    rows = []
    runs = train(folder, probes((COIN, TARGET)), small_config, [rows.append])
    return folder, runs, rows


def test_rows_and_checkpoints_of_each_interval(uninterrupted, small_config):
    folder, runs, sunk = uninterrupted
    assert total_updates(small_config) == 40
    for run in runs:
        rows = numbers(folder / "out" / str(run.seed))
        assert [int(row["update"]) for row in rows] == [10, 20, 30, 40]
        assert [int(row["env_steps"]) for row in rows] == [2560, 5120, 7680, 10240]
        assert list(parameters(folder / "out" / str(run.seed))) == [10, 20, 30, 40]
        assert run.ended == "budget"
    assert [(row["level"], row["seed"]) for row in sunk[:3]] == [
        ("probe", 0),
        ("probe", 1),
        ("probe", 0),
    ]
    assert set(sunk[0]) == {*COLUMNS, "level", "seed"}


def test_rows_say_what_happened(uninterrupted):
    _, runs, _ = uninterrupted
    coin, target = (run.rows[-1] for run in runs)
    assert coin["episodes"] == 2560
    assert coin["length_mean"] == 1.0
    assert 0.45 < coin["solve_rate"] < 0.55
    assert coin["return_mean"] == pytest.approx(2 * coin["solve_rate"] - 1, abs=1e-6)
    assert target["return_mean"] > runs[1].rows[0]["return_mean"]
    assert target["entropy"] < runs[1].rows[0]["entropy"]


class Killed(BaseException):
    pass


def test_a_killed_run_goes_on_to_the_same_numbers(
    uninterrupted, probes, small_config, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(stage, "STATE_SECONDS", 0.0)
    save = SeedRun.record
    calls = []

    def record(run, row, params):
        calls.append(row["update"])
        if len(calls) == 6:  # in the third interval, between the two seeds
            raise Killed
        save(run, row, params)

    monkeypatch.setattr(SeedRun, "record", record)
    with pytest.raises(Killed):
        train(tmp_path, probes((COIN, TARGET)), small_config)
    assert calls == [10, 10, 20, 20, 30, 30]
    with caplog.at_level(logging.INFO, logger="rtc"):
        train(tmp_path, probes((COIN, TARGET)), small_config)
    assert calls[6:] == [30, 30, 40, 40]
    assert "resuming after update 20" in caplog.text
    for seed in "01":
        assert_same(tmp_path / "out" / seed, uninterrupted[0] / "out" / seed)


def test_a_state_of_another_configuration_is_ignored(
    probes, small_config, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(stage, "STATE_SECONDS", 0.0)
    short = dataclasses.replace(small_config, total_steps=256 * 2, log_every=1)
    train(tmp_path, probes((COIN,)), short)
    with caplog.at_level(logging.INFO, logger="rtc"):
        train(tmp_path, probes((COIN,)), dataclasses.replace(short, clip=0.3))
    assert "config changed; starting anew" in caplog.text
    assert "resuming" not in caplog.text


def test_a_seed_that_diverges_stops_alone(probes, small_config, tmp_path, caplog):
    config = dataclasses.replace(small_config, total_steps=256 * 4, log_every=2)
    task = probes((COIN, TARGET), broken=TARGET, broken_after=2 * 16)
    with caplog.at_level(logging.INFO, logger="rtc"):
        runs = train(tmp_path, task, config)
    assert [run.ended for run in runs] == ["budget", "diverged"]
    message = runs[1].diverged["message"]
    assert message.startswith("probe seed 1: not a finite number in update 3;")
    assert "checkpoint 2 is kept" in message
    assert message in caplog.text
    assert [row["update"] for row in runs[0].rows] == [2, 4]
    assert list(parameters(tmp_path / "out" / "1")) == [2]
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(parameters(tmp_path / "out" / "1")))


def test_a_seed_that_diverges_at_once_leaves_no_checkpoint(probes, small_config, tmp_path):
    config = dataclasses.replace(small_config, total_steps=256 * 2, log_every=2)
    (run,) = train(tmp_path, probes((TARGET,), broken=TARGET, broken_after=0), config)
    assert run.ended == "diverged"
    assert "update 1; the seed stops, no checkpoint is kept" in run.diverged["message"]
    assert parameters(tmp_path / "out" / "0") == {}
    assert json.loads((tmp_path / "out" / "0" / "expert.json").read_text())["ended"] == "diverged"


def test_a_seed_stops_at_its_solve_rate(probes, small_config, tmp_path):
    config = dataclasses.replace(
        small_config, log_every=2, stop_at_solve_rate=0.9, stop_after_intervals=3
    )
    constant, coin = train(tmp_path, probes((CONSTANT, COIN)), config)
    assert constant.ended == "solve rate"
    assert [row["update"] for row in constant.rows] == [2, 4, 6]
    assert coin.ended == "budget"
    assert len(coin.rows) == 20
