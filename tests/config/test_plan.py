"""`rtc check` and the Snakefile refuse the same, in the same words, before anything is made."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from rtc.__main__ import main
from rtc.config.text import read_files
from rtc.errors import RtcError
from rtc.levels.plan import plan_run

ROOT = Path(__file__).parents[2]
IMPORTED = {
    "levels": ["h17_unicycle"],
    "policies": {"flow": None, "flow_ttrtc": None, "published": {"import": "bc/{level}"}},
    "methods": dict.fromkeys(
        ("realtime", "hard_masking", "bid", "bid_rejection", "te", "diffuser_overwrite", "ttrtc")
    )
    | {"naive": {"policy": "published"}},
}


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Runs `rtc check` on what differs from the default; returns (exit code, what it prints)."""
    monkeypatch.chdir(tmp_path)

    def run(over: dict) -> tuple[int, str]:
        Path("mine.yaml").write_text(yaml.safe_dump(over, sort_keys=False))
        code = main(["check", "mine.yaml"])
        out, err = capsys.readouterr()
        return code, out + err

    return run


def planned(over: dict):
    """What the Snakefile does with the same configuration."""
    Path("mine.yaml").write_text(yaml.safe_dump(over, sort_keys=False))
    return plan_run(read_files([ROOT / "config/config.yaml", Path("mine.yaml")]))


WRONG = {
    "no such level": {"levels": ["h17_unicycl"]},
    "no such file": {"levels": ["my/slope.yaml"]},
    "no such packaged level": {"levels": ["l/mjc_hoppr"]},
    "no name": {"levels": ["a b"]},
    "two of one name": {"levels": ["h17_unicycle", "own/h17_unicycle.yaml"]},
    "not finite": {"env": {"action_noise": float("nan")}},
    "option missing": {"methods": {"mine": {"method": "te", "policy": "flow"}}},
    "no module": {"methods": {"mine": {"method": "no.such:Thing", "policy": "flow"}}},
    "no window": {"datasets": {"transitions": 128}},
}


@pytest.mark.parametrize("over", WRONG.values(), ids=WRONG.keys())
def test_the_check_finds_what_the_snakefile_finds(check, over):
    Path("own").mkdir()
    shutil.copy(ROOT / "config/levels/h17_unicycle.yaml", "own")
    with pytest.raises(RtcError) as caught:
        planned(over)
    code, said = check(over)
    assert code == 1
    assert said == f"rtc: {caught.value}\n"
    assert "\n" not in str(caught.value)


def test_the_words_for_levels(check):
    assert (
        "level 'h17_unicycl': unknown; did you mean 'h17_unicycle'?"
        in check({"levels": ["h17_unicycl"]})[1]
    )
    assert (
        "levels: 'h17_unicycle' and 'own/h17_unicycle.yaml' share the file name"
        in check({"levels": ["h17_unicycle", "own/h17_unicycle.yaml"]})[1]
    )


def test_a_level_file_is_read(check):
    Path("slope.yaml").write_text("gravty: 3\n")
    code, said = check({"levels": ["slope.yaml"]})
    assert code == 1 and said.startswith("rtc: slope.yaml")


def test_the_default_is_valid_and_short_prefixes_are_said(check):
    assert check({}) == (
        0,
        "valid: 2 levels, 3 expert seeds, 2 policies, 8 methods, 11 cells, 128 rollouts a cell\n",
    )
    code, said = check({"policies": {"flow_ttrtc": {"objective": {"simulated_delay": 3}}}})
    assert code == 0
    assert said.startswith("note: ttrtc at delays 3, 4: its policy flow_ttrtc was trained for")


def test_what_a_method_of_one_s_own_refuses_itself(check):
    text = (ROOT / "examples/my_method.py").read_text()
    refuses = "    def __post_init__(self):\n        if self.strength > 1:\n"
    refuses += "            raise ConfigError('strength: at most 1')\n\n    def chunk("
    text = text.replace("    def chunk(", refuses)
    Path("mine_h.py").write_text(
        text.replace("from rtc.flow", "from rtc.errors import ConfigError\nfrom rtc.flow", 1)
    )
    entry = {"method": "mine_h:Blend", "policy": "flow", "strength": 2.0}
    assert check({"methods": {"mine": entry}}) == (1, "rtc: methods.mine.strength: at most 1\n")
    code, _ = check({"methods": {"mine": entry | {"strength": 1.0}}})
    assert code == 0


def write_artifact(folder: str, chunk_size: int, config: dict | None = None) -> None:
    Path(folder).mkdir(parents=True)
    info = {"model": {"action_chunk_size": chunk_size}, "kept_epochs": [8, 32]}
    info |= {"config": config}
    (Path(folder) / "policy.json").write_text(json.dumps(info))


@pytest.mark.parametrize(
    "folder", ["bc/h17_unicycle", "results/policies/h17_unicycle/published/seed_0"]
)
def test_the_chunk_size_of_an_imported_policy_is_its_artifact_s(check, folder):
    write_artifact(folder, 16)
    over = IMPORTED | {"evaluation": {"cells": "all"}}
    run = planned(over).run
    assert run.chunk_size == 16
    assert len(run.cells) == sum(16 - 2 * d + (d > 0) for d in range(9))
    assert max(cell.delay for cell in run.cells) == 8
    code, said = check({**over, "videos": {"delay": 8, "horizon": 8}})
    assert (code, "80 cells" in said) == (0, len(run.cells) == 80)


def test_an_artifact_of_another_chunk_size_than_stated(check):
    write_artifact("bc/h17_unicycle", 16)
    over = {**IMPORTED, "policies": {**IMPORTED["policies"]}}
    over["policies"]["published"] = {"import": "bc/{level}", "action_chunk_size": 8}
    code, said = check(over)
    assert code == 1
    assert said == (
        "rtc: policies.published.action_chunk_size: 8, but the chunks of "
        "bc/h17_unicycle/policy.json have 16 actions\n"
    )


def test_policies_of_different_chunk_sizes(check):
    write_artifact("bc/h17_unicycle", 16)
    code, said = check(
        {"levels": ["h17_unicycle"], "policies": {"published": {"import": "bc/{level}"}}}
    )
    assert code == 1
    assert "must be the same for all policies of a run, got flow 8, flow_ttrtc 8" in said
    assert "published 16" in said


# The second as it was written before there were objectives.
@pytest.mark.parametrize(
    "config",
    [
        {"objective": {"objective": "delayed_prefix", "simulated_delay": 2}},
        {"simulated_delay": 2},
    ],
)
def test_the_prefixes_an_imported_policy_knows(check, config):
    write_artifact("bc/h17_unicycle", 8, config)
    over = {**IMPORTED, "methods": {**IMPORTED["methods"]}}
    over["methods"]["ttrtc"] = {"policy": "published"}
    code, said = check(over)
    assert code == 0
    assert "note: ttrtc at delays 2, 3, 4: its policy published was trained for" in said


def test_the_epochs_an_imported_policy_has(check):
    write_artifact("bc/h17_unicycle", 8)
    over = {**IMPORTED, "methods": {**IMPORTED["methods"]}}
    over["methods"]["bid"] = {"policy": "published", "weak_epoch": 2}
    assert check(over) == (
        1,
        "rtc: methods.bid.weak_epoch: epoch 2 of 'published' is not in "
        "bc/h17_unicycle/policy.json (there are 8, 32)\n",
    )
    over["methods"]["bid"]["weak_epoch"] = 8
    assert check(over)[0] == 0


def test_a_policy_that_is_not_there(check):
    code, said = check(IMPORTED)
    assert code == 1
    assert said == "rtc: policies.published.import: bc/h17_unicycle: no such file or folder\n"
