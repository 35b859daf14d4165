"""Whole folders of the reference code, in and out: what the command line calls."""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from rtc.errors import ArtifactError, LevelError, did_you_mean
from rtc.exchange.datasets import export_dataset, import_dataset
from rtc.exchange.experts import export_expert, import_expert
from rtc.exchange.names import PREFIX, exported_name, load_reference_level
from rtc.exchange.policies import export_policy, import_policy
from rtc.levels import Level, load_level
from rtc.training.windows import dataset_metadata


class _Artifact(NamedTuple):
    """Something of the reference. stem: what its files are called. place: where in a results
    folder it goes, with `{level}` for the level's name. bring: (level=, output=) puts it there."""

    stem: str
    place: str
    bring: Callable[..., Any]


def import_reference(
    directory: str | Path,
    output: str | Path = "results",
    *,
    policy: str,
    seed: int = 0,
    levels: Mapping[str, str | Path] | None = None,
) -> Iterator[Path]:
    """Brings all that a folder of the reference holds into a results folder of ours, and yields
    what it wrote: experts (`seed_*/<update>/`), data sets (`data/`) and policies (`<epoch>/`).

    directory: a run of `train_expert.py` or `train_flow.py`, or a folder that holds such runs.
    policy, seed: name and seed number for the policies found. levels: level files for names that
    are not known here, as in `{"toss_bin": "my/toss_bin.json"}`; the level is called as its file.
    Raises ArtifactError if it holds nothing of the kind. What cannot be taken is left out; when
    the rest is there, an ArtifactError names all of it.
    """
    directory, output = Path(directory), Path(output)
    if not directory.is_dir():
        raise ArtifactError(f"{directory}: no such folder")
    runs = [directory, *sorted(p for p in directory.iterdir() if p.is_dir())]
    # A seed's checkpoints lie as a policy's epochs do, and belong to the run around them.
    runs = [run for run in runs if run == directory or not run.name.startswith("seed_")]
    artifacts = [artifact for run in runs for artifact in _artifacts(run, policy, seed)]
    if not artifacts:
        raise ArtifactError(
            f"{directory}: nothing of the reference in it; expected seed_*/<update>/policies/, "
            f"data/ or <epoch>/policies/ with files named {PREFIX}l_<level>"
        )
    given = _given_levels(levels or {}, {artifact.stem for artifact in artifacts})
    taken: set[Path] = set()
    left_out: list[str] = []
    for stem, place, bring in artifacts:
        try:
            level = given.get(stem) or load_reference_level(stem)
            target = output / place.replace("{level}", level.name)
            if target in taken:
                raise ArtifactError(f"{stem}: a second one for {target}; import its run by itself")
            bring(level=level, output=target)
        except (ArtifactError, LevelError) as error:
            left_out.append(str(error))
            continue
        taken.add(target)
        yield target
    if left_out:
        raise ArtifactError(
            f"{directory}: {len(left_out)} of {len(artifacts)} artifacts were left out: "
            + "; ".join(dict.fromkeys(left_out))
        )


def _given_levels(files: Mapping[str, str | Path], stems: Iterable[str]) -> dict[str, Level]:
    """The levels named by hand, by stem; `toss_bin`, `c/toss_bin` or the whole stem will do."""
    found = {}
    for name, file in files.items():
        wanted = name.removeprefix(PREFIX).replace("/", "_")
        tails = {stem: stem.removeprefix(PREFIX) for stem in stems}
        matching = [s for s, tail in tails.items() if wanted in (tail, tail.partition("_")[2])]
        if not matching:
            hint = did_you_mean(wanted, tails.values())
            raise ArtifactError(f"level {name!r}: no artifact of that name{hint}")
        found |= dict.fromkeys(matching, load_level(file))
    return found


def _artifacts(run: Path, policy: str, seed: int) -> Iterator[_Artifact]:
    """What one run holds."""
    for folder in sorted(run.glob("seed_*"), key=_number):
        number = _number(folder)
        for stem in _stems(folder.glob(f"*/policies/{PREFIX}*.pkl")):
            bring = functools.partial(import_expert, folder, seed=number, stem=stem)
            yield _Artifact(stem, f"experts/{{level}}/seed_{number}", bring)
    for file in sorted(run.glob(f"data/{PREFIX}*.npz")):
        bring = functools.partial(import_dataset, file)
        yield _Artifact(file.stem, "datasets/{level}.parquet", bring)
    epochs = [p for p in run.glob("*") if p.name.isdigit() and (p / "policies").is_dir()]
    for stem in _stems(f for p in epochs for f in (p / "policies").glob(f"{PREFIX}*.pkl")):
        bring = functools.partial(import_policy, run, stem=stem)
        yield _Artifact(stem, f"policies/{{level}}/{policy}/seed_{seed}", bring)


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
        name = exported_name(dataset_metadata(pq.read_schema(file)), file.stem)
        yield export_dataset(file, output / "expert" / "data" / f"{name}.npz")
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
