"""Ships what a run has learned: from `results/` to `pretrained/` (`rtc.storage.pretrained`)."""

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rtc.exchange.card import write_card
from rtc.exchange.names import flatten
from rtc.experts import read_expert
from rtc.experts.expert import best_update, checkpoint_entry
from rtc.flow.loading import read_policy_info
from rtc.report.stats import paper_line
from rtc.storage.checkpoints import list_checkpoints, restore_checkpoint
from rtc.storage.float16 import SUFFIX, write_weights
from rtc.storage.io import write_text
from rtc.storage.pretrained import put_level, read_manifest
from rtc.storage.tables import read_evaluations

logger = logging.getLogger("rtc")

# Of several trainings the first is shipped: to choose the best would be to choose by luck.
SEED = 0


def ship_pretrained(
    results: str | Path,
    folder: str | Path,
    levels: Sequence[str],
    policies: Mapping[str, Sequence[int]],
    commit: str,
) -> list[str]:
    """Ships the levels that are finished, in float16; returns their names.

    policies: those that the methods need -> epochs wanted beside the last (weak policies).
    A level is finished when all its policies are; its best expert comes along if there is one.
    Levels that are not shipped now stay as they are in `folder`.
    Raises ArtifactError if something cannot be read, or is too large to be shipped.
    """
    results, folder, shipped = Path(results), Path(folder), []
    for level in levels:
        homes = {name: results / "policies" / level / name / f"seed_{SEED}" for name in policies}
        missing = [name for name, home in homes.items() if not (home / "policy.json").is_file()]
        if missing:
            logger.info("%s: not finished (%s), so not shipped", level, ", ".join(missing))
            continue
        _ship_level(results, folder, level, homes, policies, commit)
        shipped.append(level)
        logger.info("%s: shipped to %s", level, folder)
    write_card(folder, read_manifest(folder))
    return shipped


def _ship_level(
    results: Path,
    folder: Path,
    level: str,
    homes: Mapping[str, Path],
    policies: Mapping[str, Sequence[int]],
    commit: str,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    entry: dict[str, Any] = {"commit": commit, "policies": {}, "experts": {}}
    with tempfile.TemporaryDirectory(prefix=".new.", dir=folder) as scratch:
        new = Path(scratch)
        for name, home in homes.items():
            info = read_policy_info(home)
            entry["digest"] = info["level"]["digest"]
            kept = list_checkpoints(home / "checkpoints")
            wanted = sorted({max(kept), *policies[name]} & set(kept))
            place = new / "policies" / level / name
            _write(place, "policy.json", {**info, "kept_epochs": wanted}, home, wanted)
            entry["policies"][name] = {
                "seed": SEED,
                "epochs": wanted,
                "parameters": info.get("parameters"),
                "scores": _scores(results, level, name),
            }
        if (best := _best_expert(results / "experts" / level, entry["digest"])) is not None:
            info = read_expert(best)
            row = checkpoint_entry(info, best_update(info))
            place = new / "experts" / level / best.name
            _write(place, "expert.json", {**info, "checkpoints": [row]}, best, [row["update"]])
            entry["experts"][best.name] = row
        files = [file for file in sorted(new.rglob("*")) if file.is_file()]
        put_level(folder, level, entry, {f.relative_to(new).as_posix(): f for f in files})


def _write(place: Path, name: str, info: Any, home: Path, numbers: Sequence[int]) -> None:
    """A folder as under `results/`, with the checkpoints of these numbers in float16."""
    for number in numbers:
        tree = restore_checkpoint(home / "checkpoints" / str(number))
        # An expert's critic is of no use to who plays it.
        arrays = flatten({key: part for key, part in tree.items() if key != "critic"})
        write_weights(place / "checkpoints" / f"{number}{SUFFIX}", arrays)
    # In one line: indented, the hundreds of constants of an observation take as much again.
    write_text(place / name, json.dumps(info, sort_keys=True, allow_nan=False))


def _best_expert(folder: Path, level_digest: str) -> Path | None:
    """The seed whose best checkpoint solves most; the lowest of equals."""
    rates = {}
    for file in sorted(folder.glob("seed_*/expert.json")):
        info = read_expert(file.parent)
        update = best_update(info)
        if update is not None and info["level_digest"] == level_digest:
            rates[file.parent] = checkpoint_entry(info, update)["solve_rate"]
    return max(rates, key=lambda seed: rates[seed], default=None)


def _scores(results: Path, level: str, policy: str) -> dict[str, Any]:
    """{method: {"rollouts": a cell, "solve_rate": {"0": ..., "1": ...}}} by delay d, at
    s = max(d, 1), of the methods that were evaluated on the policy."""
    scores = {}
    folder = results / "evaluations" / level / policy / f"seed_{SEED}"
    for file in sorted(folder.glob("*.csv")):
        if file.name.endswith(".timing.csv"):
            continue
        line = paper_line(read_evaluations(file), over="delay").sort_values("delay")
        if len(line):
            rates = {str(int(row.delay)): round(row.solve_rate, 4) for row in line.itertuples()}
            scores[file.stem] = {"rollouts": int(line["rollouts"].min()), "solve_rate": rates}
    return scores
