"""`python -m rtc compare`: a method beside naive, realtime and ttrtc on the shipped policies.

It writes a configuration that is laid over config/pretrained.yaml and lets the pipeline run it in
a folder of its own, results/compare: what was evaluated there before is not evaluated again,
however many methods are compared one after the other. Imports no jax.
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rtc.config.run import RunConfig, load_run_config
from rtc.config.text import read_files
from rtc.errors import ConfigError, did_you_mean
from rtc.jobs.job import CACHE
from rtc.storage.io import write_text
from rtc.storage.pretrained import pretrained_folder, read_manifest

ROOT = Path(__file__).resolve().parents[2]
BASE = [ROOT / "config/config.yaml", ROOT / "config/pretrained.yaml"]
FOLDER = Path("results/compare")
# Entries of config/pretrained.yaml, by the names under which policies are shipped.
POLICIES = {"flow": "pretrained", "flow_ttrtc": "pretrained_ttrtc"}
BESIDE = {
    "naive": {"method": "naive", "policy": "pretrained"},
    "realtime": {"method": "realtime", "policy": "pretrained", "schedule": "exp", "beta": 5.0},
    "ttrtc": {"method": "ttrtc", "policy": "pretrained_ttrtc"},
}
DELAYS = (1, 2, 3, 4)
TARGETS = ("results/evaluations.csv", "results/figures/figure_5.png")


class Comparison(NamedTuple):
    """label: the method's name in tables and figures. config: the file that holds what differs
    from config/pretrained.yaml. run: all of the configuration, checked."""

    label: str
    config: Path
    run: RunConfig

    @property
    def folder(self) -> Path:
        """Where the pipeline works."""
        return self.config.parent

    def rollouts(self) -> list[Path]:
        """The rollouts' parquet of every method, level and policy seed."""
        return [
            self.folder / f"results/evaluations/{level}/{method.policy}/seed_{seed}/{label}.parquet"
            for level in self.run.levels
            for label, method in self.run.methods.items()
            for seed in range(self.run.policies[method.policy].seeds)
        ]


def plan_comparison(
    method: str,
    options: Sequence[str],
    *,
    levels: Sequence[str] = (),
    delays: Sequence[int | str] = DELAYS,
    rollouts: int = 128,
    policy: str = "flow",
    name: str | None = None,
) -> Comparison:
    """Writes the configuration of a comparison and checks all of it, before anything runs.

    method: "package.module:Class", or the name of a built-in one. options: its hyper-parameters,
    each "key=value". levels: of those that are shipped; none means all. policy: the shipped one
    that the method runs on. name: what tables call the method; None for the class's name.
    Raises ConfigError naming the option, level or key, with the nearest valid name.
    """
    if policy not in POLICIES:
        raise ConfigError(f"--policy: no {policy!r}{did_you_mean(policy, POLICIES)}")
    label = name or _label(method)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", label) or label in BESIDE:
        raise ConfigError(f"--name: {label!r}: letters, digits, _ . -; and no name of the others")
    entry = {"method": method, "policy": POLICIES[policy], **map_options(options)}
    steps = [_delay(delay) for delay in delays]
    cells = [{"delay": d, "horizon": max(d, 1), "estimate": d} for d in dict.fromkeys(steps)]
    # The pipeline works in another folder, so what is found from here is named in full.
    shipped = pretrained_folder().absolute() / "policies/{level}"
    over: dict[str, Any] = {
        "levels": _levels(levels),
        "policies": {ours: {"import": str(shipped / name)} for name, ours in POLICIES.items()},
        "methods": {**BESIDE, label: entry},
        "evaluation": {"rollouts": rollouts, "rollouts_per_batch": rollouts, "cells": cells},
    }
    config = FOLDER / f"{label}.yaml"
    head = f"# python -m rtc compare {method}; laid over config/pretrained.yaml\n"
    write_text(config, head + yaml.safe_dump(over, sort_keys=False))
    return Comparison(label, config, load_run_config(read_files([*BASE, config])))


def run_comparison(comparison: Comparison, arguments: Sequence[str] = ()) -> int:
    """Runs the pipeline's targets; returns Snakemake's exit code. arguments: for Snakemake."""
    here = os.environ.get("PYTHONPATH")
    environment = {
        **os.environ,
        # A method is found from where the command was given; the physics that `make first`
        # compiled is not compiled again.
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *([here] if here else [])]),
        "JAX_COMPILATION_CACHE_DIR": os.environ.get(
            "JAX_COMPILATION_CACHE_DIR", str(Path(CACHE).absolute())
        ),
    }
    files = [str(path.absolute()) for path in (*BASE, comparison.config)]
    command = [sys.executable, "-m", "rtc", "run", *TARGETS, "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(FOLDER.absolute()), *arguments, "--configfile", *files]
    with subprocess.Popen(command, env=environment) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # Snakemake has been told, too; it ends when its jobs have.


def map_options(options: Sequence[str]) -> dict[str, Any]:
    """["gain=2.0", "mode=soft"] as a mapping of values, read as YAML reads them."""
    found: dict[str, Any] = {}
    for option in options:
        key, separator, value = option.partition("=")
        if not separator or not key.isidentifier():
            raise ConfigError(f"{option!r}: expected an option of the method such as gain=2.0")
        if key in ("method", "policy", *found):
            raise ConfigError(f"{key}: given twice, or no option of the method (--policy, --name)")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"{key}: {value!r} is no value that YAML reads") from error
    return found


def _delay(text: int | str) -> int:
    if not str(text).isdecimal():
        raise ConfigError(f"--delays: expected steps such as 2, got {text!r}")
    return int(text)


def _label(method: str) -> str:
    """MyMethod -> my_method; the name of a built-in one gets an ending of its own."""
    name = method.rpartition(":")[2]
    label = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return f"{label}_own" if label in BESIDE else label


def _levels(wanted: Sequence[str]) -> list[str]:
    """Levels whose policies are all shipped, in the order of config/pretrained.yaml."""
    shipped = {
        level
        for level, entry in read_manifest(pretrained_folder())["levels"].items()
        if set(POLICIES) <= set(entry["policies"])
    }
    listed = read_files(BASE)["levels"]
    known = [*(level for level in listed if level in shipped), *sorted(shipped - set(listed))]
    for level in wanted:
        if level not in known:
            raise ConfigError(f"--levels: {level!r} is not shipped{did_you_mean(level, known)}")
    if not known:
        raise ConfigError(
            f"{pretrained_folder()}: nothing is shipped; run: make, then snakemake pretrained"
        )
    return [level for level in known if level in wanted] if wanted else known
