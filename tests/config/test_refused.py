"""What cannot work is refused before anything is trained, with the key and what is given."""

import copy

import pytest
import yaml

from rtc.config.build import options_of
from rtc.config.cells import parse_cells
from rtc.config.checks import prefix_note
from rtc.config.run import load_run_config
from rtc.config.sections import Configuration, MethodConfig, PolicyConfig
from rtc.config.write import ROOT
from rtc.errors import ConfigError

DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def prefix(simulated_delay: int) -> dict:
    """The objective of training-time RTC."""
    return {"objective": "delayed_prefix", "simulated_delay": simulated_delay}


def changed(path: str, value):
    """The default with one key of it changed."""
    config = copy.deepcopy(DEFAULT)
    *parts, last = path.split(".")
    place = config
    for part in parts:
        place = place.setdefault(part, {})
    place[last] = value
    return config


def error_of(config) -> str:
    with pytest.raises(ConfigError) as caught:
        load_run_config(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def numbers(value, path=""):
    """Paths of all numbers, and of all that may be one but are null."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, f"{path}.{key}".lstrip("."))
    elif not isinstance(value, str | list | bool) and not path.endswith("start_from"):
        yield path


NUMBERS = [*numbers(DEFAULT), "methods.te.flow_steps", "policies.flow_ttrtc.learning_rate"]


def test_the_list_of_numbers_is_long():
    assert len(NUMBERS) > 80
    assert {
        "seed",
        "env.action_noise",
        "methods.realtime.beta",
        "policies.flow_ttrtc.objective.simulated_delay",
    } < {*NUMBERS}


@pytest.mark.parametrize("path", NUMBERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), ".nan", "-.inf"])
def test_every_number_is_finite(path, value):
    message = error_of(changed(path, value))
    assert message.startswith(f"{path}: expected "), message
    assert message.endswith(
        ("got nan", "got inf", "got .nan", "got '.nan'", "got -inf", "got '-.inf'")
    )


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_numbers_inside_lists_and_mappings_are_finite(value):
    assert error_of(changed("experts.hidden_sizes", [64, value])).startswith(
        "experts.hidden_sizes.1: expected a whole number from 1 to 65,536, got "
    )
    assert error_of(changed("policies.flow.keep_epochs", [value])).startswith(
        "policies.flow.keep_epochs.0: expected"
    )
    cells = {"delays": [1, value], "horizons": [2]}
    assert "evaluation.cells.delays.1: expected a finite number" in error_of(
        changed("evaluation.cells", cells)
    )
    cells = [{"delay": {"choices": {1: value, 2: 0.5}}, "horizon": 2, "estimate": 1}]
    assert "evaluation.cells.0.delay.choices.1: expected a finite number" in error_of(
        changed("evaluation.cells", cells)
    )


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (
            "methods.mine",
            {"method": "realtime", "policy": "flow", "schedule": "exp"},
            "methods.mine.beta: missing; expected a number",
        ),
        ("methods.mine", {"method": "bid", "policy": "flow"}, "methods.mine.samples: missing"),
        ("methods.mine", {"method": "te", "policy": "flow"}, "methods.mine.m: missing"),
        ("methods.mine", {"policy": "flow"}, "methods.mine.method: missing; expected text"),
        ("methods.mine", {"method": "naive"}, "methods.mine.policy: missing; expected text"),
        ("methods.realtime.beta", "five", "methods.realtime.beta: expected a number"),
        ("methods.realtime.beta", True, "methods.realtime.beta: expected a number"),
        ("methods.bid.samples", 2.5, "methods.bid.samples: expected a whole number"),
        ("methods.naive.beta", 5.0, "methods.naive.beta: unknown key"),
        ("methods.bid.keep", None, "methods.bid.keep: give keep and weak_epoch both, or neither"),
        ("methods.bid.weak_epoch", None, "methods.bid.keep: give keep and weak_epoch both"),
        ("methods.naive.flow_steps", 0, "methods.naive.flow_steps: expected a whole number from 1"),
        (
            "methods.mine",
            {"method": "examples.my_method:Blend", "policy": "flow"},
            "methods.mine.strength: missing; expected a number",
        ),
        (
            "methods.mine",
            {"method": "examples.my_method:Blend", "policy": "flow", "strenght": 1.0},
            "methods.mine.strenght: unknown key; did you mean 'strength'?",
        ),
        (
            "methods.mine",
            {"method": "examples.my_method:Blend", "policy": "flow", "strength": "much"},
            "methods.mine.strength: expected a number, got 'much'",
        ),
        (
            "methods.mine",
            {"method": "examples.my_method:Blnd", "policy": "flow"},
            "methods.mine.method: no class 'Blnd' in examples.my_method; did you mean 'Blend'?",
        ),
        (
            "methods.mine",
            {"method": "examples.my_methd:Blend", "policy": "flow"},
            "methods.mine.method: cannot import 'examples.my_methd': no module "
            "'examples.my_methd'; did you mean 'my_method'?",
        ),
    ],
)
def test_options_of_methods(path, value, words, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert words in error_of(changed(path, value))


@pytest.mark.parametrize(
    ("over", "words"),
    [
        (
            {
                "datasets": {"transitions": 2048, "num_envs": 128},
                "policies": {"flow": {"batch_size": 1153}},
            },
            "policies.flow.batch_size: 1153 is more than the 1152 windows of 8 actions",
        ),
        (
            {"datasets": {"transitions": 896, "num_envs": 128}},
            "datasets.transitions: 896 over 128 environments are 7 steps of each, too few for one "
            "window of 8 actions; give at least 1024",
        ),
        (
            {"policies": {"flow_ttrtc": {"objective": prefix(9)}}},
            "policies.flow_ttrtc.objective.simulated_delay: 9 is more than action_chunk_size = 8",
        ),
        (
            {"policies": {"flow_ttrtc": {"objective": prefix(200)}}},
            "policies.flow_ttrtc.objective.simulated_delay: 200 is more than action_chunk_size = 8",
        ),
        (
            {"experts": {"minibatches": 4096}},
            "experts.minibatches: 4096 leaves minibatches of one sample",
        ),
        (
            {"experts": {"stop_at_solve_rate": 0.5}},
            "experts.stop_at_solve_rate: 0.5 ends seeds below datasets.min_solve_rate = 0.65",
        ),
        (
            {"policies": {"flow": {"start_from": {"policy": "flow", "epoch": 1}}}},
            "policies.flow.start_from.policy: 'flow' cannot start from itself, through others too",
        ),
        (
            {"policies": {"flow": {"start_from": {"policy": "flow_ttrtc", "epoch": 2}}}},
            "policies.flow_ttrtc.start_from.policy: 'flow_ttrtc' cannot start from itself",
        ),
        (
            {"evaluation": {"kick_probability": 0.02}},
            "evaluation.kick_scale: 0, but kick_probability is 0.02; expected both above 0, or",
        ),
        ({"evaluation": {"kick_scale": 1}}, "evaluation.kick_probability: 0, but kick_scale is 1"),
        (
            {"evaluation": {"kick_probability": 2}},
            "evaluation.kick_probability: expected a number from 0 to 1, got 2",
        ),
        ({"levels": ["h17_unicycle", "h17_unicycle"]}, "levels.1: 'h17_unicycle' is given twice"),
        ({"levels": [""]}, "levels.0: expected text of 1 to 300 characters"),
        ({"levels": "h17_unicycle"}, "levels: expected a list"),
        ({"resources": {"expert": {}}}, "resources.expert: unknown key; did you mean 'experts'?"),
        ({"policies": {"a b": {}}}, "policies.'a b': expected text of the form"),
        ({"env": {" engine": 1}}, "env.' engine': unknown key; did you mean 'engine'?"),
        ({"env": {"": 1}}, "env.'': unknown key; valid: action_noise, engine, reward"),
        ({"env": {1: 1}}, "env.1: unknown key"),
        ({"device": "cpu "}, "device: expected one of auto, cpu, gpu, got 'cpu '; did you mean"),
        ({"device": "tpux"}, "device: expected one of auto, cpu, gpu, got 'tpux'"),
        ({"methods": {"te": {"policy": " flow"}}}, "no policy ' flow'; did you mean 'flow'?"),
        ({"methods": {"../x": {}}}, "methods.../x: expected text of the form"),
        ({"tracking": {"wandb": False}}, "tracking.wandb: expected one of disabled, offline"),
        ({"experts": None}, "experts: expected a mapping, got None"),
    ],
)
def test_sizes_and_names(over, words):
    config = copy.deepcopy(DEFAULT)
    for section, keys in over.items():
        if not isinstance(keys, dict):
            config[section] = keys
            continue
        for key, value in keys.items():
            inner = config[section].get(key)
            config[section][key] = {**inner, **value} if isinstance(inner, dict) else value
    assert words in error_of(config)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("policies.flow_ttrtc.objective.simulated_delay", 8),
        ("experts.minibatches", 2048),
        ("experts.stop_at_solve_rate", 0.65),
        ("policies.flow.batch_size", 128 * (1024 - 7)),
    ],
)
def test_the_last_that_works_is_taken(path, value):
    load_run_config(changed(path, value))


def test_the_order_of_policies_does_not_matter():
    flow, late = DEFAULT["policies"]["flow"], DEFAULT["policies"]["flow_ttrtc"]
    turned = load_run_config(DEFAULT | {"policies": {"flow_ttrtc": late, "flow": flow}})
    assert turned.policies == load_run_config(DEFAULT).policies


def test_prefixes_longer_than_those_trained_for_are_said():
    run = load_run_config(changed("policies.flow_ttrtc.objective.simulated_delay", 3))
    assert run.notes == (
        "ttrtc at delays 3, 4: its policy flow_ttrtc was trained for delays of at most 2 "
        "(simulated_delay 3)",
    )
    assert load_run_config(DEFAULT).notes == ()


def test_what_a_method_is_told_counts_not_what_happens():
    cells = parse_cells([{"delay": 4, "horizon": 4, "estimate": 2}], 8)
    method = MethodConfig("ttrtc", "pinned", {})
    assert prefix_note("mine", method, 3, cells) is None
    assert "mine at delay 2: " in prefix_note("mine", method, 2, cells)
    assert prefix_note("mine", method, None, cells) is None
    assert prefix_note("mine", MethodConfig("naive", "pinned", {}), 1, cells) is None


def test_each_key_can_be_given_as_text_on_the_command_line():
    for kind, section in ((Configuration, DEFAULT), (PolicyConfig, DEFAULT["policies"]["flow"])):
        for key in options_of(kind):
            text = yaml.safe_dump(section[key], default_flow_style=True, width=10**6)
            given = {**section, key: text.removesuffix("...\n").strip()}
            config = given if kind is Configuration else changed("policies.flow", given)
            assert load_run_config(config) == load_run_config(DEFAULT), key


FORECASTS = {
    "none where one is needed": (
        {"method": "requery"},
        "methods.x.forecast: missing; requery decides for the moment at which its chunk takes "
        "over; expected oracle or model",
    ),
    "another word": (
        {"forecast": "orcale"},
        "methods.x.forecast: expected one of none, oracle, model, got 'orcale'; did you mean "
        "'oracle'?",
    ),
    "a model without factors": (
        {"forecast": "model"},
        "methods.x.model: missing; expected factors such as {gravity: 1.2}",
    ),
    "factors without a model": (
        {"model": {"gravity": 1.2}},
        "methods.x.model: only with forecast: model",
    ),
    "a model that is right": (
        {"forecast": "model", "model": {"gravity": 1}},
        "methods.x.model: is the level itself, so say forecast: oracle",
    ),
    "an unknown factor": (
        {"forecast": "model", "model": {"gravty": 1.2}},
        "methods.x.model.gravty: unknown key; did you mean 'gravity'?",
    ),
}


@pytest.mark.parametrize("case", FORECASTS)
def test_forecasts_that_cannot_be_made(case):
    entry, message = FORECASTS[case]
    assert error_of(changed("methods.x", {"method": "naive", "policy": "flow"} | entry)) == message


def test_a_model_s_forecast_needs_the_specialised_engine():
    entry = {"method": "requery", "policy": "flow", "forecast": "model", "model": {"gravity": 2}}
    config = changed("methods.x", entry)
    assert load_run_config(config).methods["x"].model.gravity == 2.0
    config["env"] |= {"engine": "kinetix"}
    assert "made by env.engine: specialised only" in error_of(config)


HEAD = {
    "head": "correction",
    "policy": "flow",
    "data": "policy",
    "transitions": 64,
    "num_envs": 2,
    "epochs": 1,
    "batch_size": 8,
    "learning_rate": 0.1,
    "weight_decay": 0.0,
    "hidden_sizes": [8],
    "observation_history": 4,
}
ACTING = {
    "none where one is needed": (
        {"heads": []},
        "methods.x.heads: missing; a2c2 acts with a trained head; expected a list of keys of heads "
        "such as corrects",
    ),
    "one that is not there": (
        {"heads": ["correct"]},
        "methods.x.heads: no head 'correct'; did you mean 'corrects'?",
    ),
    "one of another policy": (
        {"policy": "flow_ttrtc"},
        "methods.x.heads: 'corrects' is trained on policy 'flow', but the method executes "
        "'flow_ttrtc'; name a head of that policy",
    ),
    "one for a method that does not act": (
        {"method": "naive"},
        "methods.x.heads: naive does not act on every step",
    ),
    "one that sees less": (
        {"observation_history": 2},
        "methods.x.observation_history: 2, but heads.corrects.observation_history is 4; give both "
        "the same",
    ),
    "no list": ({"heads": "corrects"}, "methods.x.heads: expected a list"),
}


def acting(entry):
    """The default with a head, and a method that acts with it."""
    config = changed("heads.corrects", HEAD)
    config["methods"]["x"] = {"method": "a2c2", "policy": "flow", "heads": ["corrects"]} | entry
    return config


@pytest.mark.parametrize("case", ACTING)
def test_methods_whose_heads_do_not_fit(case):
    entry, message = ACTING[case]
    assert error_of(acting(entry)).startswith(message)


def test_a_method_names_its_heads():
    assert load_run_config(acting({})).methods["x"].heads == ("corrects",)
    # The default of a method's option counts too.
    config = acting({})
    config["heads"]["corrects"] = HEAD | {"observation_history": 3}
    assert "methods.x.observation_history: 4, but" in error_of(config)
