"""From a config entry to a method, and what is said when it cannot be."""

import pytest

from rtc.config.sections import MethodConfig
from rtc.errors import ConfigError
from rtc.methods import METHODS, Method, make_method
from rtc.methods.realtime import Realtime


def make(method, label="mine", **options):
    return make_method(MethodConfig(method, "flow", options), label)


def test_options_become_hyper_parameters():
    method = make("realtime", schedule="exp", beta=5)
    assert method == Realtime(schedule="exp", beta=5.0, jacobian="full")
    assert isinstance(method.beta, float)
    assert isinstance(method, Method)
    assert method.network_evaluations(5) == 10
    assert make("realtime", schedule="exp", beta=5, jacobian="identity").network_evaluations(5) == 5


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("realtme", {}, r"methods.mine.method: unknown method 'realtme'; did you mean 'realtime'"),
        ("naive", {"beta": 1}, r"methods.mine.beta: unknown key"),
        ("te", {"n": 0.1}, r"methods.mine.n: unknown key"),
        ("te", {}, r"methods.mine.m: missing"),
        ("bid", {"samples": "many"}, r"methods.mine.samples: expected a whole .*, got 'many'"),
        ("bid", {"samples": 0}, r"methods.mine.samples: .* from 1 to"),
        (
            "realtime",
            {"schedule": "expo", "beta": 5},
            r"methods.mine.schedule: .*did you mean 'exp'",
        ),
        ("realtime", {"schedule": "exp", "beta": -1}, r"methods.mine.beta: .*from 0 to"),
        ("no_such_module:Method", {}, r"methods.mine.method: cannot import 'no_such_module'"),
        (":Method", {}, r"methods.mine.method: cannot import ''"),
        ("rtc.methods.te:TemporalEnsembl", {}, r"no class .*did you mean 'TemporalEnsemble'"),
        ("rtc.errors:ConfigError", {}, r"must be a dataclass"),
        ("rtc.flow:ModelConfig", {}, r"rtc.flow:ModelConfig lacks samples, keeps_prefix"),
    ],
)
def test_what_cannot_be_is_named(method, options, message):
    with pytest.raises(ConfigError, match=message):
        make(method, **options)


def test_a_registered_method_by_its_import_path():
    assert make("rtc.methods.realtime:Realtime", schedule="exp", beta=5) == make(
        "realtime", schedule="exp", beta=5
    )


def test_a_module_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "methods_of_mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from rtc.methods.naive import Naive\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Naive):\n"
        "    gain: float\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert make("methods_of_mine:Mine", gain=2).gain == 2.0


def test_all_registered_methods_offer_what_is_asked():
    for kind in METHODS.values():
        assert {"samples", "keeps_prefix", "init", "network_evaluations"} <= set(dir(kind)) | set(
            kind.__dataclass_fields__
        )
