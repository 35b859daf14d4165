"""`rtc run` from any folder, and on machines without a home directory or with a full /tmp."""

import os
import tempfile
from pathlib import Path

import pytest

from rtc.errors import RtcError
from rtc.jobs.places import ROOT, name_the_workflow, provide_folders

NOWHERE = "/proc/nowhere"  # Not even root can make it.


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (
            ["--configfile", "config/ablation.yaml"],
            ["--configfile", f"{ROOT}/config/ablation.yaml"],
        ),
        (["--configfile=config/ablation.yaml"], [f"--configfile={ROOT}/config/ablation.yaml"]),
        (
            ["--configfiles", "config/ablation.yaml", "config/paper.yaml", "--cores"],
            [
                "--configfiles",
                f"{ROOT}/config/ablation.yaml",
                f"{ROOT}/config/paper.yaml",
                "--cores",
            ],
        ),
        (["--profile", "profiles/gpu"], ["--profile", f"{ROOT}/profiles/gpu"]),
        # A file that is here, a profile that is nowhere, and names of other things.
        (["--configfile", "mine.yaml"], ["--configfile", "mine.yaml"]),
        (["--profile", "mine"], ["--profile", "mine"]),
        (["config/ablation.yaml", "-n"], ["config/ablation.yaml", "-n"]),
        (["--directory", "config"], ["--directory", "config"]),
    ],
)
def test_files_that_are_not_here_are_those_of_the_checkout(elsewhere, arguments, meant):
    (elsewhere / "mine.yaml").touch()
    assert name_the_workflow(arguments) == ["--snakefile", f"{ROOT}/Snakefile", *meant]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--configfile=config/abltion.yaml"],
            "--configfile: no file 'config/abltion.yaml' here or",
        ),
        (
            ["--configfile", "mine.yaml", "config/abltion.yaml"],
            "did you mean 'config/ablation.yaml'?",
        ),
        (["--configfile", "mine.yaml", "results/summary.md"], "stands before --configfile"),
    ],
)
def test_a_configuration_that_is_nowhere_is_named_in_one_line(elsewhere, arguments, says):
    (elsewhere / "mine.yaml").touch()
    with pytest.raises(RtcError) as caught:
        name_the_workflow(arguments)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_what_a_run_in_the_checkout_made_is_no_configuration(elsewhere, tmp_path, monkeypatch):
    checkout = tmp_path / "checkout"
    (checkout / "results").mkdir(parents=True)
    (checkout / "results/summary.md").touch()
    monkeypatch.setattr("rtc.jobs.places.ROOT", checkout)
    (elsewhere / "mine.yaml").touch()
    with pytest.raises(RtcError, match="stands before --configfile"):
        name_the_workflow(["--configfile", "mine.yaml", "results/summary.md"])


def test_a_snakefile_that_is_named_or_here_is_taken(elsewhere):
    assert name_the_workflow(["-s", "x"]) == ["-s", "x"]
    assert name_the_workflow(["--snakefile=x"]) == ["--snakefile=x"]
    (elsewhere / "workflow").mkdir()
    (elsewhere / "workflow/Snakefile").touch()
    assert name_the_workflow(["-n"]) == ["-n"]


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """What is said; the variables are put back."""
    for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("TMPDIR")
    return []


def test_folders_that_can_be_written_are_left_alone(elsewhere, said, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(elsewhere / "cache"))
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    provide_folders(elsewhere, said.append)
    assert os.environ["XDG_CACHE_HOME"] == str(elsewhere / "cache")
    assert os.environ["TMPDIR"] == str(elsewhere)
    assert said == []


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME"])
def test_without_a_home_caches_lie_in_the_working_directory(elsewhere, said, monkeypatch, variable):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv(variable, NOWHERE)
    provide_folders(elsewhere, said.append)
    cache = f"{elsewhere}/.snakemake/cache"
    assert os.environ["XDG_CACHE_HOME"] == cache
    asked = NOWHERE if variable == "XDG_CACHE_HOME" else f"{NOWHERE}/.cache"
    assert said == [f"{asked} cannot be written; caches go to {cache}"]


def test_a_full_tmpdir_is_replaced_or_one_line_says_what_to_set(elsewhere, said, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(elsewhere))
    monkeypatch.setenv("TMPDIR", NOWHERE)
    provide_folders(elsewhere, said.append)
    assert os.environ["TMPDIR"] == tempfile.gettempdir() != NOWHERE
    assert said == [
        f"TMPDIR={NOWHERE} cannot be written; temporary files go to {tempfile.gettempdir()}"
    ]
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [NOWHERE])
    with pytest.raises(RtcError, match="full or read-only; set TMPDIR to one that has space"):
        provide_folders(elsewhere, said.append)
