"""The stage as the workflow calls it: files, bytes, resumption, errors. The robot is a toy."""

import dataclasses
import json
import logging

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from flax import nnx

import rtc.evaluate.run as stage
from rtc.config.sections import Cell, EnvConfig, EvaluationConfig, MethodConfig, method_config
from rtc.errors import ArtifactError, ConfigError
from rtc.evaluate import Outputs, evaluate_method, evaluate_methods, program
from rtc.evaluate.kicks import Kicks
from rtc.evaluate.noise import make_streams
from rtc.evaluate.timing import time_method
from rtc.flow.heads import Sizes, make_head
from rtc.flow.loading import LoadedPolicy
from rtc.levels import load_level
from rtc.methods.contract import small
from rtc.report.stats import wilson_interval
from rtc.storage.checkpoints import save_checkpoint
from rtc.storage.io import write_json
from rtc.storage.tables import (
    EVALUATION_COLUMNS,
    TIMING_COLUMNS,
    join_evaluations,
    join_timings,
    read_evaluations,
    read_rollouts,
    read_timings,
)
from tests.evaluate.toy_robot import ToyEnv, toy_policy

ENV = EnvConfig(engine="specialised", action_noise=0.1, reward="reference")
CONFIG = EvaluationConfig(rollouts=70, rollouts_per_batch=64, flow_steps=3, cells=None)
SWEEP = [
    {"delay": 0, "horizon": 3},
    {"delay": 2, "horizon": 4, "estimate": 1},
    {"delay": {"uniform": [1, 3]}, "horizon": 4, "estimate": 2},
]


@pytest.fixture(scope="module")
def level():
    return load_level("h17_unicycle")


@pytest.fixture
def evaluate(monkeypatch, tmp_path, level):
    """Runs the stage with the toy robot in place of the engine and of a trained policy."""

    def make_env(level, engine, reward):
        toy = ToyEnv()
        toy.level = level
        return toy

    def load_policy(path, epoch=None):
        if not str(path).endswith("seed_3"):
            raise ArtifactError(f"{path}: missing")
        info = {
            "level": {"name": level.name, "digest": level.digest},
            "observation": {"indices": ToyEnv.observation_indices},
        }
        return LoadedPolicy(toy_policy(seed=epoch or 0), level.name, epoch or 3, info)

    monkeypatch.setattr(stage, "make_env", make_env)
    monkeypatch.setattr(stage, "load_policy", load_policy)
    monkeypatch.setattr(stage, "used_actions", lambda level: np.array([True, False]))
    # Times are measured where a test asks for them: each takes two compilations.
    times = pd.DataFrame([dict.fromkeys(TIMING_COLUMNS, 1)])
    monkeypatch.setattr(stage, "time_method", lambda *arguments: times)

    def run(out="out", method=None, cells=SWEEP, label="m", folder="seed_3", **changes):
        out = tmp_path / out
        state = changes.pop("state_dir", None)
        evaluate_method(
            level,
            ENV,
            tmp_path / folder,
            label,
            method or MethodConfig("naive", "flow", {}),
            dataclasses.replace(CONFIG, cells=cells, **changes),
            out / "m.csv",
            out / "m.parquet",
            seed=7,
            heads={"corrects": tmp_path / "corrects"},
            state_dir=state,
        )
        return out

    return run


def write_head(folder, level, seed=0, **sizes):
    """A head that corrects at random, in the form of `rtc.training.heads`."""
    options = {"hidden_sizes": [8], "observation_history": 4}
    made = Sizes(**{"obs_dim": 3, "action_dim": 2, "action_chunk_size": 8} | sizes)
    network = small(make_head("correction", options).network(made, nnx.Rngs(0)), seed)
    save_checkpoint(folder / "checkpoints/1", nnx.to_pure_dict(nnx.state(network)))
    info = {"level": {"name": level.name, "digest": level.digest}, "policy": "flow"}
    info |= {"head": "correction", "options": options, "sizes": made._asdict()}
    write_json(folder / "head.json", info)


A2C2 = method_config("m", {"method": "a2c2", "policy": "flow", "heads": ["corrects"]})


def test_a_head_acts_and_its_cells_are_not_taken_for_another_s(
    evaluate, level, tmp_path, monkeypatch, caplog
):
    write_head(tmp_path / "corrects", level)
    state, cells = tmp_path / "state", SWEEP[1:2]
    with monkeypatch.context() as patched:
        patched.setattr(stage, "write_rollouts", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            evaluate("killed", A2C2, cells, state_dir=state)
    assert len(list(state.rglob("*.npz"))) == 1
    first = read_evaluations(evaluate("first", A2C2, cells) / "m.csv").iloc[0]
    assert first.step_evaluations == 1 and json.loads(first.options)["heads"] == ["corrects"]
    write_head(tmp_path / "corrects", level, seed=1)
    with caplog.at_level(logging.WARNING, "rtc"):
        second = read_evaluations(evaluate("second", A2C2, cells, state_dir=state) / "m.csv")
    assert "policies changed; starting anew" in caplog.text
    assert second.jerk[0] != first.jerk


@pytest.mark.parametrize("change", ["level", "size"])
def test_a_head_of_another_level_or_size_is_refused(evaluate, level, tmp_path, change):
    other = load_level("catapult") if change == "level" else level
    write_head(tmp_path / "corrects", other, **({"obs_dim": 4} if change == "size" else {}))
    with pytest.raises(ArtifactError, match=r"corrects: this head was trained on another level"):
        evaluate(method=A2C2)


def test_files_say_what_was_played(evaluate):
    out = evaluate(method=MethodConfig("realtime", "flow", {"schedule": "exp", "beta": 5.0}))
    table = read_evaluations(out / "m.csv")
    assert tuple(table.columns) == EVALUATION_COLUMNS
    assert list(table.seed) == [3, 3, 3] and set(table.level) == {"h17_unicycle"}
    assert table.delay.tolist()[:2] == [0, 2] and np.isnan(table.delay[2])
    assert table.delay_distribution[2] == "uniform 1-3"
    assert table.estimate.tolist() == [0, 1, 2]
    assert set(table.rollouts) == {70} and set(table.network_evaluations) == {6}
    assert json.loads(table.options[0]) == {"beta": 5.0, "flow_steps": 3, "schedule": "exp"}
    rollouts = read_rollouts(out / "m.parquet")
    assert len(rollouts) == 3 * 70
    for cell, (_, group) in zip(
        table.itertuples(), rollouts.groupby(["estimate", "horizon"], sort=True)
    ):
        assert cell.solved == group.solved.sum()
        assert cell.solve_rate == pytest.approx(group.solved.mean())
        low, high = map(float, wilson_interval(cell.solved, 70))
        assert (cell.solve_rate_low, cell.solve_rate_high) == pytest.approx((low, high))
        assert cell.mean_length == pytest.approx(group.length.mean())
        assert cell.jump_mean == pytest.approx(group.jump_mean.mean(), rel=1e-6)
    assert rollouts[rollouts.estimate == 0].mismatch.isna().all()
    metadata = pq.read_schema(out / "m.parquet").metadata
    assert json.loads(metadata[b"options"])["beta"] == 5.0
    assert b"rollouts" in metadata[b"title"]


def test_times_stand_apart(evaluate, monkeypatch):
    monkeypatch.setattr(stage, "time_method", time_method)
    monkeypatch.setattr("rtc.evaluate.timing.SECONDS", 0.0)
    table = read_timings(evaluate() / "m.timing.csv")
    assert tuple(table.columns) == TIMING_COLUMNS
    assert list(table.batch) == [1, 64]
    assert (table.seconds_per_chunk > 0).all() and (table.network_evaluations == 3).all()
    none = read_timings(evaluate(timing_batches=()) / "m.timing.csv")
    assert tuple(none.columns) == TIMING_COLUMNS and none.empty


def test_two_runs_give_the_same_bytes(evaluate):
    first, second = evaluate("first"), evaluate("second", rollouts_per_batch=5)
    for name in ("m.csv", "m.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_killed_job_keeps_its_finished_cells(evaluate, tmp_path, monkeypatch, caplog):
    expected = evaluate("whole")
    state, played = tmp_path / "state", []
    play_cell = stage.play_cell

    def dies_in_the_third(*arguments):
        if len(played) == 2:
            raise KeyboardInterrupt
        played.append(arguments)
        return play_cell(*arguments)

    monkeypatch.setattr(stage, "play_cell", dies_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        evaluate("killed", state_dir=state)
    kept = sorted(path.name for path in state.rglob("*.npz"))
    assert kept == ["delay_0_horizon_3_estimate_0.npz", "delay_2_horizon_4_estimate_1.npz"]
    # One of the two is damaged meanwhile.
    next(state.rglob("delay_2*.npz")).write_bytes(b"PK\x03\x04 half a file")
    played.clear()
    with caplog.at_level(logging.WARNING, "rtc"):
        resumed = evaluate("resumed", state_dir=state)
    assert len(played) == 2 and "delay_2_horizon_4_estimate_1.npz ignored" in caplog.text
    for name in ("m.csv", "m.parquet"):
        assert (resumed / name).read_bytes() == (expected / name).read_bytes()
    assert not list(state.rglob("*.npz")), "state is dropped once the outputs stand"


def test_cells_of_another_config_are_not_taken(evaluate, tmp_path, monkeypatch, caplog):
    state = tmp_path / "state"
    with monkeypatch.context() as patched:
        patched.setattr(stage, "write_rollouts", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            evaluate("killed", state_dir=state, cells=SWEEP[:1])
    assert len(list(state.rglob("*.npz"))) == 1
    with caplog.at_level(logging.WARNING, "rtc"):
        out = evaluate("other", state_dir=state, cells=SWEEP[:1], rollouts=20)
    assert "rollouts changed; starting anew" in caplog.text
    assert read_evaluations(out / "m.csv").rollouts[0] == 20


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"cells": {"delays": [3], "horizons": [2]}}, ConfigError, "delay 3 with horizon 2"),
        ({"method": MethodConfig("naiv", "flow", {})}, ConfigError, "did you mean 'naive'"),
        (
            {"method": MethodConfig("realtime", "flow", {"schedule": "exp", "bet": 1.0})},
            ConfigError,
            "methods.m.bet",
        ),
        ({"folder": "nowhere"}, ArtifactError, "nowhere: missing"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(evaluate, tmp_path, changes, error, words):
    with pytest.raises(error, match=words):
        evaluate(**changes)
    assert not (tmp_path / "out").exists()


def test_flow_steps_of_one_method(evaluate):
    entry = {"method": "naive", "policy": "flow"}
    found = {}
    for steps in (None, CONFIG.flow_steps, 2):
        own = {} if steps is None else {"flow_steps": steps}
        out = evaluate(f"{steps} steps", method_config("m", entry | own), SWEEP[:1])
        table = read_evaluations(out / "m.csv")
        expected = steps or CONFIG.flow_steps
        assert set(table.network_evaluations) == {expected}
        assert json.loads(table.options[0]) == {"flow_steps": expected}
        assert pq.read_schema(out / "m.parquet").metadata[b"flow_steps"] == b"%d" % expected
        found[steps] = table.jerk[0]
    assert found[None] == found[CONFIG.flow_steps] != found[2]


def test_weak_policy_is_the_earlier_epoch(evaluate):
    bid = {"samples": 4, "keep": 2}
    early = evaluate("early", MethodConfig("bid", "flow", bid | {"weak_epoch": 1}), SWEEP[1:2])
    late = evaluate("late", MethodConfig("bid", "flow", bid | {"weak_epoch": 2}), SWEEP[1:2])
    jerks = [read_evaluations(out / "m.csv").jerk[0] for out in (early, late)]
    assert jerks[0] != jerks[1]


def test_joined_tables_are_sorted_whatever_the_order(evaluate, tmp_path):
    second = evaluate("b", label="second", cells=SWEEP[:2])
    first = evaluate("a", label="first")
    files = [first / "m.csv", second / "m.csv"]
    join_evaluations(files, tmp_path / "one.csv")
    join_evaluations(files[::-1], tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    joined = pd.read_csv(tmp_path / "one.csv")
    assert list(joined.method) == ["first"] * 3 + ["second"] * 2
    assert list(joined.delay[:2]) == [0, 2] and joined.delay.isna()[2]
    join_timings([second / "m.timing.csv", first / "m.timing.csv"], tmp_path / "times.csv")
    assert len(read_timings(tmp_path / "times.csv")) == 2


def test_damaged_tables_are_named(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("level,policy\n")
    with pytest.raises(ArtifactError, match=r"m\.csv: no column 'seed'"):
        read_evaluations(path)
    path = tmp_path / "m.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(ArtifactError, match=r"m\.parquet: cannot be read"):
        read_rollouts(path)
    with pytest.raises(ArtifactError, match=r"nothing\.csv: cannot be read"):
        read_evaluations(tmp_path / "nothing.csv")


def test_methods_that_share_a_process_write_the_same_bytes(evaluate, level, tmp_path, monkeypatch):
    traced = []
    play = program.play_chunk
    monkeypatch.setattr(program, "play_chunk", lambda *a: traced.append(1) or play(*a))
    options = {"schedule": "exp", "beta": 5.0}
    methods = {
        "a": MethodConfig("naive", "flow", {}),
        "b": MethodConfig("realtime", "flow", options),
    }
    alone = [evaluate(out=name, method=method, label=name) for name, method in methods.items()]
    assert len(traced) == 2
    where = level, ENV, tmp_path / "seed_3"

    def together(folder, methods, cells=SWEEP):
        config = dataclasses.replace(CONFIG, cells=cells)
        files = [Outputs(folder / f"{x}.csv", folder / f"{x}.parquet") for x in methods]
        code = dict.fromkeys(methods, "1")
        keep = {"seed": 7, "state_dir": tmp_path / "state", "code": code}
        evaluate_methods(*where, methods, config, files, **keep)
        return files

    for files, out in zip(together(tmp_path / "both", methods), alone):
        assert files.csv.read_bytes() == (out / "m.csv").read_bytes()
        assert files.parquet.read_bytes() == (out / "m.parquet").read_bytes()
    assert len(traced) == 3  # The physics, once for both.

    played = []
    cells = stage.play_cells
    monkeypatch.setattr(stage, "play_cells", lambda *a: played.append(a[-1]["method"]) or cells(*a))
    changed = methods | {"b": MethodConfig("realtime", "flow", options | {"beta": 1.0})}
    a, b = together(tmp_path / "again", changed)
    assert played == ["b"]
    assert a.csv.read_bytes() == (alone[0] / "m.csv").read_bytes()
    assert a.timing.exists()
    assert b.csv.read_bytes() != (alone[1] / "m.csv").read_bytes()

    # Which methods share a job costs none of them what is played, whole methods or cells.
    played.clear()
    (other,) = together(tmp_path / "one", {"b": changed["b"]})
    assert not played and other.csv.read_bytes() == b.csv.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(stage, "write_rollouts", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            together(tmp_path / "killed", changed, SWEEP[:2])  # Of "a" all cells are kept.
    assert played == ["a"]
    monkeypatch.setattr(stage, "play_cell", lambda *arguments: 1 / 0)
    (a,) = together(tmp_path / "cells", {"a": changed["a"]}, SWEEP[:2])
    assert len(read_evaluations(a.csv)) == 2


@pytest.fixture
def kicks(monkeypatch):
    """The keys of kicks, of the toy's one body, whose strength no reference play measures."""

    def make_kicks(scene, policies, streams, probability, scale):
        return Kicks(probability, 0.01 * scale, np.ones(1, np.float32))

    monkeypatch.setattr(stage, "make_kicks", make_kicks)
    return {"kick_probability": 0.1, "kick_scale": 2.0}


def test_without_disturbances_the_program_is_the_one_that_knows_none(evaluate, kicks, monkeypatch):
    def text(**changes):
        made = []
        monkeypatch.setattr(stage, "_evaluate", lambda *setup: made.append(setup[:2]))
        evaluate(**changes)
        scene, policies = made[0]
        own, streams = program.make_program(scene, 6, 8), make_streams(0, "any", 0)
        start = own.start(policies, streams)
        given = streams, program.make_plan(Cell(1, 2, 1), 8), start, own.begin(start)
        return own.play.lower(*given, start.chunks[:1].repeat(8, axis=0)).as_text()

    calm = text()
    assert calm == text(action_noise=ENV.action_noise, kick_probability=0.0, kick_scale=0.0)
    assert calm != text(action_noise=0.2)
    assert calm != text(**kicks)


def test_disturbances_stand_in_the_table_and_cells_of_others_are_not_taken(
    evaluate, kicks, tmp_path, monkeypatch, caplog
):
    def row(out, **changes):
        return read_evaluations(evaluate(out, cells=SWEEP[1:2], **changes) / "m.csv").iloc[0]

    state = tmp_path / "state"
    with monkeypatch.context() as patched:
        patched.setattr(stage, "write_rollouts", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            row("killed", state_dir=state, **kicks)
    with caplog.at_level(logging.WARNING, "rtc"):
        harder = row("harder", state_dir=state, **kicks | {"kick_scale": 9.0})
    assert "kicks changed; starting anew" in caplog.text
    calm, kicked, noisy = row("calm"), row("kicked", **kicks), row("noisy", action_noise=0.3)
    assert json.loads(calm.options) == {"flow_steps": 3}
    assert json.loads(noisy.options) == {"flow_steps": 3, "action_noise": 0.3}
    assert json.loads(kicked.options) == {"flow_steps": 3, "kick_speed": 0.02, **kicks}
    assert len({calm.jerk, kicked.jerk, harder.jerk, noisy.jerk}) == 4
    metadata = pq.read_schema(tmp_path / "kicked" / "m.parquet").metadata
    assert metadata[b"kick_speed"] == b"0.02"


def test_prefixes_beyond_the_policy_s_training_are_logged(evaluate, monkeypatch, caplog):
    load = stage.load_policy

    def trained(path, epoch=None):
        loaded = load(path, epoch)
        loaded.info["config"] = {"objective": {"objective": "delayed_prefix", "simulated_delay": 2}}
        return loaded

    monkeypatch.setattr(stage, "load_policy", trained)
    cells = [{"delay": delay, "horizon": 4} for delay in (1, 2)]
    evaluate(method=MethodConfig("ttrtc", "flow", {}), label="pinned", cells=cells)
    assert "pinned at delay 2: its policy flow was trained for delays of at most 1" in caplog.text
