"""Forks of the reference: levels in folders of other letters, artifacts that cannot be taken."""

import json
import shutil

import pytest

from rtc.__main__ import main
from rtc.errors import ArtifactError, LevelError
from rtc.exchange import export_reference, import_reference
from rtc.exchange.names import load_reference_level, reference_name
from rtc.storage.io import write_json
from tests.exchange.conftest import pickle_as_reference, policy_arrays

KNOWN, UNKNOWN = "worlds_l_h17_unicycle", "worlds_c_toss_bin"


@pytest.fixture
def fork(reference_folder, tmp_path):
    """The reference's folder, beside whose level is another, in the folder `c`."""
    root = tmp_path / "fork"
    shutil.copytree(reference_folder, root)
    for file in [*root.rglob(f"{KNOWN}.*")]:
        shutil.copy(file, file.with_name(UNKNOWN + file.suffix))
    return root


@pytest.fixture
def toss_bin(tmp_path):
    """The file of the fork's level; what is in it does not matter here."""
    file = tmp_path / "my" / "toss_bin.yaml"
    file.parent.mkdir()
    shutil.copy("config/levels/h17_unicycle.yaml", file)
    return file


def brought(results):
    return sorted(
        str(p.relative_to(results))
        for pattern in ("policies/*/*/seed_*", "experts/*/seed_*", "datasets/*.parquet")
        for p in results.glob(pattern)
    )


THEIRS = [
    "datasets/h17_unicycle.parquet",
    "experts/h17_unicycle/seed_0",
    "experts/h17_unicycle/seed_1",
    "policies/h17_unicycle/p/seed_0",
]


def test_what_is_known_comes_in_and_what_is_not_is_named_once(fork, tmp_path, capsys):
    output = tmp_path / "out"
    arguments = ["import-reference", str(fork), "--output", str(output), "--policy", "p"]
    assert main(arguments) == 1
    assert brought(output) == THEIRS
    printed = capsys.readouterr()
    assert sorted(printed.out.split()) == [str(output / path) for path in THEIRS]
    assert printed.err == (
        f"rtc: {fork}: 4 of 8 artifacts were left out: worlds_c_toss_bin: no level of that name "
        f"here; give its file with --level toss_bin=FILE, or lay it down as "
        f"config/levels/c-toss_bin.yaml\n"
    )


@pytest.mark.parametrize("name", ["toss_bin", "c/toss_bin", UNKNOWN])
def test_a_level_file_by_option_brings_in_the_rest(fork, toss_bin, tmp_path, name):
    output = tmp_path / "out"
    arguments = ["import-reference", str(fork), "--output", str(output), "--policy", "p"]
    assert main([*arguments, "--level", f"{name}={toss_bin}"]) == 0
    other = [path.replace("h17_unicycle", "toss_bin") for path in THEIRS]
    assert brought(output) == sorted(THEIRS + other)
    info = json.loads((output / other[-1] / "policy.json").read_text())
    assert (info["level"]["name"], info["reference_name"]) == ("toss_bin", UNKNOWN)


def test_a_forks_files_go_out_under_their_own_names(fork, toss_bin, tmp_path):
    output, back = tmp_path / "out", tmp_path / "back"
    list(import_reference(fork, output, policy="p", levels={"toss_bin": toss_bin}))
    files = list(export_reference(output, back, policy="p"))
    assert {p.relative_to(back) for p in files} == {
        p.relative_to(fork) for p in fork.rglob("*") if p.is_file()
    }


def test_the_advice_helps(fork, toss_bin, tmp_path, monkeypatch):
    """A level laid down as the message says is found, in the working directory."""
    levels = tmp_path / "config/levels"
    levels.mkdir(parents=True)
    shutil.copy(toss_bin, levels / "c-toss_bin.yaml")
    monkeypatch.chdir(tmp_path)
    targets = list(import_reference(fork, tmp_path / "out", policy="p"))
    assert tmp_path / "out/policies/c-toss_bin/p/seed_0" in targets
    assert reference_name("c-toss_bin") == UNKNOWN


@pytest.mark.parametrize(
    ("stem", "advice"),
    [
        ("worlds_c_grasp_easy", "--level grasp_easy=FILE, or lay it down as config/levels/c-grasp"),
        ("worlds_l_toss_bin", "--level toss_bin=FILE, or lay it down as config/levels/toss_bin.y"),
        ("worlds_m_toss_bin", "--level toss_bin=FILE, or lay it down as config/levels/m-toss_bin"),
    ],
)
def test_a_level_of_another_folder_is_none_of_ours(stem, advice):
    with pytest.raises(LevelError, match=advice):
        load_reference_level(stem)


def test_a_damaged_file_is_left_out_too(fork, toss_bin, tmp_path):
    damaged = fork / "expert" / "data" / f"{KNOWN}.npz"
    damaged.write_bytes(damaged.read_bytes()[:100])
    stats = fork / "expert/seed_0/20/stats" / f"{UNKNOWN}.json"
    write_json(stats, {})
    output, targets = tmp_path / "out", []
    with pytest.raises(ArtifactError, match="2 of 8 artifacts were left out") as caught:
        targets += import_reference(fork, output, policy="p", levels={"toss_bin": toss_bin})
    assert str(damaged) in str(caught.value) and str(stats) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (output / "experts/toss_bin/seed_1/expert.json").is_file()
    assert not (output / "experts/toss_bin/seed_0/expert.json").is_file()


def test_a_level_that_no_artifact_has_is_refused_before_anything_is_done(fork, toss_bin, tmp_path):
    with pytest.raises(ArtifactError, match=r"level 'tosbin': .*; did you mean 'c_toss_bin'"):
        list(import_reference(fork, tmp_path / "out", policy="p", levels={"tosbin": toss_bin}))
    with pytest.raises(LevelError, match="no such level file"):
        levels = {"toss_bin": tmp_path / "absent.json"}
        list(import_reference(fork, tmp_path / "out", policy="p", levels=levels))
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        main(["import-reference", str(fork), "--level", "toss_bin"])


def test_two_runs_with_the_same_policy_do_not_overwrite_each_other(reference_folder, tmp_path):
    root = tmp_path / "runs"
    for run in ("a", "b"):
        shutil.copytree(reference_folder / "bc", root / run)
    pickle_as_reference(root / "b/31/policies" / f"{KNOWN}.pkl", policy_arrays(99))
    with pytest.raises(ArtifactError, match=r"a second one for .*; import its run by itself"):
        list(import_reference(root, tmp_path / "out", policy="p"))
    info = json.loads((tmp_path / "out/policies/h17_unicycle/p/seed_0/policy.json").read_text())
    assert info["imported"]["32"]["path"] == str(root / "a/31/policies" / f"{KNOWN}.pkl")


def test_a_run_of_experts_alone_holds_no_policies(reference_folder, tmp_path):
    targets = list(import_reference(reference_folder / "expert", tmp_path, policy="p"))
    assert [str(t.relative_to(tmp_path)) for t in targets] == [
        "experts/h17_unicycle/seed_0",
        "experts/h17_unicycle/seed_1",
        "datasets/h17_unicycle.parquet",
    ]
