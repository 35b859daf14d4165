"""Whole folders of the reference code, in and out: what the command line calls."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rtc.errors import ArtifactError
from rtc.exchange.datasets import export_dataset, import_dataset
from rtc.exchange.experts import export_expert, import_expert
from rtc.exchange.names import PREFIX, load_reference_level, reference_name
from rtc.exchange.policies import export_policy, import_policy


def import_reference(
    directory: str | Path, output: str | Path = "results", *, policy: str, seed: int = 0
) -> Iterator[Path]:
    """Brings all that a folder of the reference holds into a results folder of ours, and yields
    what it wrote: experts (`seed_*/<update>/`), data sets (`data/`) and policies (`<epoch>/`).

    directory: a run of `train_expert.py` or `train_flow.py`, or a folder that holds such runs.
    policy, seed: name and seed number for the policies found.
    Raises ArtifactError if it holds nothing of the kind, or a file cannot be read.
    """
    directory, output = Path(directory), Path(output)
    if not directory.is_dir():
        raise ArtifactError(f"{directory}: no such folder")
    found = 0
    for run in [directory, *sorted(p for p in directory.iterdir() if p.is_dir())]:
        for target, bring in _jobs(run, output, policy, seed):
            bring(target)
            found += 1
            yield target
    if not found:
        raise ArtifactError(
            f"{directory}: nothing of the reference in it; expected seed_*/<update>/policies/, "
            f"data/ or <epoch>/policies/ with files named {PREFIX}l_<level>"
        )


def _jobs(
    run: Path, output: Path, policy: str, seed: int
) -> Iterator[tuple[Path, Callable[[Path], Any]]]:
    """Targets of one run, each with the function that fills it."""
    for folder in sorted(run.glob("seed_*"), key=_number):
        for stem in _stems(folder.glob(f"*/policies/{PREFIX}*.pkl")):
            level = load_reference_level(stem)
            number = _number(folder)
            target = output / "experts" / level.name / f"seed_{number}"
            yield target, lambda t, a=(folder, level, number): import_expert(*a, t)
    for file in sorted(run.glob(f"data/{PREFIX}*.npz")):
        level = load_reference_level(file.stem)
        target = output / "datasets" / f"{level.name}.parquet"
        yield target, lambda t, a=(file, level): import_dataset(*a, t)
    epochs = [p for p in run.glob("*") if p.name.isdigit() and (p / "policies").is_dir()]
    for stem in _stems(f for p in epochs for f in (p / "policies").glob(f"{PREFIX}*.pkl")):
        level = load_reference_level(stem)
        target = output / "policies" / level.name / policy / f"seed_{seed}"
        yield target, lambda t, a=(run, level): import_policy(*a, t)


def export_reference(
    results: str | Path, output: str | Path, *, policy: str = "flow", seed: int = 0
) -> Iterator[Path]:
    """Writes experts and data sets to `output/expert`, policies to `output/bc`, as the reference's
    scripts read them (`--run-path output/expert`, `--run-path output/bc`); yields the files.

    policy, seed: which of the policies. Raises ArtifactError if there is nothing to write.
    """
    results, output = Path(results), Path(output)
    written = 0
    for file in sorted(results.glob("experts/*/seed_*/expert.json")):
        for path in export_expert(file.parent, output / "expert"):
            written += 1
            yield path
    for file in sorted(results.glob("datasets/*.parquet")):
        written += 1
        name = f"{reference_name(file.stem)}.npz"
        yield export_dataset(file, output / "expert" / "data" / name)
    for file in sorted(results.glob(f"policies/*/{policy}/seed_{seed}/policy.json")):
        for path in export_policy(file.parent, output / "bc"):
            written += 1
            yield path
    if not written:
        raise ArtifactError(
            f"{results}: no experts, data sets or policies ({policy}, seed {seed}) to export"
        )


def _stems(files: Any) -> list[str]:
    return sorted({file.stem for file in files})


def _number(folder: Path) -> int:
    found = re.search(r"[0-9]+$", folder.name)
    return int(found[0]) if found else 0
