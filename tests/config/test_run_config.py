"""The configuration: complete, checked, and every message names key, expectation and fix."""

import copy
from pathlib import Path

import pytest
import yaml

from rtc.config.run import load_run_config
from rtc.errors import ConfigError

ROOT = Path(__file__).parents[2]
DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def merged(over: dict, base: dict = DEFAULT) -> dict:
    """As Snakemake lays one configfile over another: mappings merge, the rest is replaced."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(value, result[key])
        else:
            result[key] = value
    return result


def error_of(over: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        load_run_config(merged(over))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_each_shipped_configuration_is_valid(path):
    run = load_run_config(merged(yaml.safe_load(path.read_text())))
    assert run.levels and run.methods and run.cells


def test_paper_has_the_paper_s_scale():
    paper = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    run = load_run_config(merged(paper))
    assert len(run.levels) == 12
    assert len(run.cells) == 24
    assert run.experts.total_steps == 1000 * 256 * 256
    assert run.datasets.transitions == 128 * 7936
    assert run.evaluation.rollouts == 2048
    flow = run.policies["flow"]
    assert (flow.channel_dim, flow.channel_hidden_dim, flow.token_hidden_dim) == (256, 512, 64)
    assert (flow.num_layers, flow.action_chunk_size) == (4, 8)
    assert (flow.batch_size, flow.epochs, flow.warmup_steps) == (512, 32, 1000)


@pytest.mark.parametrize(
    ("over", "parts"),
    [
        ({"expert": {}}, ["expert: unknown key", "'experts'"]),
        ({"experts": {"gama": 0.9}}, ["experts.gama: unknown key", "'gamma'"]),
        (
            {"experts": {"seeds": "two"}},
            ["experts.seeds: expected a whole number from 1 to 10,000", "'two'"],
        ),
        ({"experts": {"learning_rate": "3e-4"}}, ["experts.learning_rate", "3.0e-4"[:1]]),
        ({"device": "tpu"}, ["device: expected one of auto, cpu, gpu"]),
        ({"levels": []}, ["levels"]),
        (
            {"methods": {"naive": {"method": "naiv", "policy": "flow"}}},
            ["methods.naive.method", "'naive'"],
        ),
        ({"methods": {"x": {"method": "naive", "policy": "flo"}}}, ["methods.x.policy", "'flow'"]),
        (
            {"methods": {"x": {"method": "realtime", "policy": "flow", "betta": 3}}},
            ["methods.x.betta", "'beta'"],
        ),
        ({"evaluation": {"cells": "al"}}, ["evaluation.cells", "'all'"]),
        ({"evaluation": {"cells": [{"delay": 4, "horizon": 2}]}}, ["evaluation.cells.0"]),
        ({"evaluation": {"cells": [{"delay": 3, "horizon": 7}]}}, ["evaluation.cells.0"]),
        (
            {"traces": {"delay": 3, "horizon": 6}},
            ["traces.horizon", "delay <= horizon <= 8 - delay"],
        ),
        ({"experts": {"minibatches": 7}}, ["experts.minibatches", "does not divide"]),
        ({"datasets": {"num_envs": 100}}, ["datasets.num_envs", "does not divide"]),
        ({"experts": {"total_steps": 5}}, ["experts.total_steps"]),
        (
            {"policies": {"late": {"start_from": {"policy": "flow", "epoch": 5}}}},
            ["policies.late.start_from.epoch", "keep_epochs"],
        ),
        (
            {"methods": {"ttrtc": {"method": "ttrtc", "policy": "flow"}}},
            ["methods.ttrtc.policy", "the objective of 'flow' was flow", "delayed_prefix"],
        ),
        (
            {"methods": {"bid": {"method": "bid", "policy": "flow", "samples": 2, "keep": 3}}},
            ["methods.bid.keep"],
        ),
    ],
)
def test_messages_name_key_and_fix(over, parts):
    message = error_of(over)
    for part in parts:
        assert part in message


def test_a_missing_key_is_named():
    broken = copy.deepcopy(DEFAULT)
    del broken["experts"]["gamma"]
    with pytest.raises(ConfigError, match=r"experts\.gamma: missing"):
        load_run_config(broken)


def test_text_from_the_command_line_is_read_as_yaml():
    over = {"evaluation": "{rollouts: 8, rollouts_per_batch: 8, flow_steps: 5, cells: paper}"}
    run = load_run_config({**DEFAULT, **over})
    assert run.evaluation.rollouts == 8
    assert len(run.cells) == 11


def test_nested_text_from_the_command_line_is_read_by_the_schema():
    over = {"experts": {"seeds": "3", "stop_at_solve_rate": "null", "hidden_sizes": "[8]"}}
    run = load_run_config(merged(over))
    assert (run.experts.seeds, run.experts.stop_at_solve_rate) == (3, None)
    assert run.experts.hidden_sizes == (8,)


def test_a_variant_inherits_from_the_policy_it_starts_from():
    over = {
        "policies": {"variant": {"warmup_steps": 3, "start_from": {"policy": "flow", "epoch": 8}}}
    }
    run = load_run_config(merged(over))
    assert run.policies["variant"].channel_dim == run.policies["flow"].channel_dim
    assert run.policies["flow"].start_from is None


def test_an_imported_policy_needs_no_training_keys():
    over = {
        "policies": {"published": {"import": "bc/31"}},
        "methods": {"naive": {"method": "naive", "policy": "published"}},
    }
    run = load_run_config(merged(over))
    assert run.policies["published"].source == "bc/31"
