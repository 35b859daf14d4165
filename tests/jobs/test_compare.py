"""`rtc compare`: what it writes for the pipeline, and what it refuses before anything runs."""

import json
import sys

import pytest
import yaml

from rtc.__main__ import main
from rtc.errors import ConfigError
from rtc.jobs import compare
from rtc.jobs.sources import class_digest

METHOD = """
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class MyMethod:
    gain: float
    samples: ClassVar[int] = 1
    keeps_prefix: ClassVar[bool] = False

    def init(self, batch_size, chunk_size, action_dim):
        return ()

    def network_evaluations(self, flow_steps):
        return flow_steps

    def __call__(self, policy, weak_policy, context, carry, flow_steps, return_tracking=False):
        return context.previous, carry
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a method of one's own and three levels in pretrained/."""
    policies = {"flow": {}, "flow_ttrtc": {}}
    levels = {name: {"policies": policies} for name in ("h17_unicycle", "catapult", "own_level")}
    levels["mjc_walker"] = {"policies": {"flow": {}}}
    (tmp_path / "pretrained").mkdir()
    manifest = {"format": 1, "files": {}, "levels": levels}
    (tmp_path / "pretrained/manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "own_method.py").write_text(METHOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def test_the_configuration_is_laid_over_that_of_the_shipped_policies(folder):
    plan = compare.plan_comparison("own_method:MyMethod", ["gain=2"], rollouts=32)
    assert (plan.label, plan.folder.as_posix()) == ("my_method", "results/compare")
    assert plan.run.levels == ("catapult", "h17_unicycle", "own_level")
    assert list(plan.run.methods) == ["naive", "realtime", "ttrtc", "my_method"]
    mine = plan.run.methods["my_method"]
    assert (mine.policy, mine.options) == ("pretrained", {"gain": 2.0})
    assert [(c.delay, c.horizon) for c in plan.run.cells] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert plan.run.evaluation.rollouts == 32
    written = yaml.safe_load(plan.config.read_text())
    assert set(written) == {"levels", "policies", "methods", "evaluation"}
    source = f"{folder}/pretrained/policies/{{level}}/flow_ttrtc"
    assert plan.run.policies["pretrained_ttrtc"].source == source
    where = "results/compare/results/evaluations/catapult/pretrained/seed_0/my_method.parquet"
    assert where in [path.as_posix() for path in plan.rollouts()]
    assert len(plan.rollouts()) == 12


@pytest.mark.parametrize(
    ("method", "options", "more", "said"),
    [
        ("own_method:MyMethod", ["gian=2"], {}, "methods.my_method.gian: unknown.*'gain'"),
        ("own_method:MyMethod", [], {}, "methods.my_method.gain: missing"),
        ("own_method:MyMethod", ["gain=high"], {}, "methods.my_method.gain: expected"),
        ("own_method:MyMethd", [], {}, "no class 'MyMethd'.*'MyMethod'"),
        ("own_method:MyMethod", ["gain"], {}, "'gain': expected an option"),
        ("bid", ["samples=4", "policy=x"], {}, "policy: given twice, or no option"),
        ("te", ["m=0.1"], {"levels": ["catapul"]}, "'catapul' is not shipped.*'catapult'"),
        ("te", ["m=0.1"], {"levels": ["mjc_walker"]}, "'mjc_walker' is not shipped"),
        ("te", ["m=0.1"], {"delays": ["5"]}, "delay 5 with horizon 5 is impossible"),
        ("te", ["m=0.1"], {"delays": ["x"]}, "--delays: expected steps"),
        ("te", ["m=0.1"], {"policy": "flo"}, "did you mean 'flow'"),
        ("te", ["m=0.1"], {"name": "../te"}, "--name: '../te': letters"),
        ("te", ["m=0.1"], {"name": "naive"}, "--name: 'naive'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(folder, method, options, more, said):
    with pytest.raises(ConfigError, match=said):
        compare.plan_comparison(method, options, **more)


def test_a_built_in_method_gets_a_name_of_its_own(folder):
    plan = compare.plan_comparison("realtime", ["schedule=linear", "beta=5.0"])
    assert plan.label == "realtime_own"
    assert plan.run.methods["realtime"].options["schedule"] == "exp"


def test_the_command_line_sorts_lists_from_options(folder, monkeypatch, capsys):
    ran = []

    def run(comparison, arguments):
        ran.append((comparison, arguments))
        return 7

    monkeypatch.setattr(compare, "run_comparison", run)
    words = "compare own_method:MyMethod --cores 2 --delays 1 2 --levels catapult gain=0.5"
    assert main(words.split()) == 7
    ((plan, arguments),) = ran
    assert plan.run.levels == ("catapult",)
    assert [cell.delay for cell in plan.run.cells] == [1, 2]
    assert plan.run.methods["my_method"].options == {"gain": 0.5}
    assert arguments == ["--cores", "2"]
    assert main(["compare", "own_method:MyMethod", "gain=0.5", "--levels", "nowhere"]) == 1
    assert "rtc: --levels: 'nowhere' is not shipped" in capsys.readouterr().err


def test_an_edit_of_one_s_own_method_counts_as_code(folder):
    before = class_digest("own_method:MyMethod")
    file = folder / "own_method.py"
    file.write_text("# a remark\n" + METHOD)
    assert class_digest("own_method:MyMethod") == before != ""
    file.write_text(METHOD.replace("context.previous", "2 * context.previous"))
    assert class_digest("own_method:MyMethod") != before
    assert class_digest("nowhere:MyMethod") == ""
