"""Experts of the reference: `seed_<s>/<update>/{policies,stats}/worlds_l_<level>`, both ways.

The reference names a checkpoint by the first update of its logging interval, this pipeline by
the updates done; the interval (the gap between names) lies between the two.

A reference expert takes the last four full observations and the last action, 2722 numbers; ours
takes the entries that vary. Coming in, what the constant entries add goes into the biases of
the first layers, which is the same function but for rounding; the rows and biases that this
replaces are kept in the checkpoint, so that going out the weights come back bit for bit. Experts
trained here go out with zeros on the constant entries.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rtc.errors import ArtifactError
from rtc.exchange.names import (
    exported_name,
    flatten,
    need,
    observation_info,
    reference_name,
    unflatten,
)
from rtc.exchange.pickles import read_pickle, write_pickle
from rtc.experts.expert import best_update, read_expert
from rtc.levels import Level
from rtc.storage.checkpoints import restore_checkpoint, save_checkpoint
from rtc.storage.io import write_csv, write_json

NETWORKS = ("actor", "critic")
PARTS = ("kernel", "bias")
# The reference's layers 0, 2, 4; between them is a tanh.
PLACES = {
    f"{n}/layers/{2 * i}/{p}": f"{n}/{i}/{p}" for n in NETWORKS for i in range(3) for p in PARTS
}
PLACES["logstd"] = "log_std"
STATS = {
    "solve_rate": "returned_episode_solved",
    "return_mean": "returned_episode_returns",
    "length_mean": "returned_episode_lengths",
}
STEPS_PER_UPDATE = 256 * 256
DEFAULT_INTERVAL = 20


def import_expert(
    source: str | Path, level: Level, seed: int, output: str | Path, *, stem: str | None = None
) -> None:
    """Brings all checkpoints of one level and seed into an expert folder of ours.

    source: `seed_<s>` folder of a run of the reference. stem: what its files are called, where
    that is not `worlds_l_<level>`. Raises ArtifactError if it holds nothing
    for the level or a file of it cannot be read.
    """
    source, output = Path(source), Path(output)
    name = stem or reference_name(level.name)
    files = {
        int(folder.name): folder / "policies" / f"{name}.pkl"
        for folder in source.glob("*")
        if folder.name.isdigit() and (folder / "policies" / f"{name}.pkl").is_file()
    }
    if not files:
        raise ArtifactError(f"{source}: no <update>/policies/{name}.pkl")
    numbers = sorted(files)
    interval = min(np.diff(numbers), default=DEFAULT_INTERVAL)
    observation, entries = observation_info(level), []
    history = None
    for number in numbers:
        tree, history = _fold(_read_network(files[number]), observation, files[number])
        update = number + int(interval)
        save_checkpoint(output / "checkpoints" / str(update), tree)
        stats = _read_stats(files[number].parents[1] / "stats" / f"{name}.json")
        entries.append({
            "update": update,
            "env_steps": update * STEPS_PER_UPDATE,
            **{ours: stats[theirs] for ours, theirs in STATS.items()},
            "reference_stats": stats,
        })  # fmt: skip
    motors, thrusters = level.static.num_motor_bindings, level.static.num_thruster_bindings
    info = {
        "level": level.name,
        "level_digest": level.digest,
        "seed": seed,
        "history": history,
        "observation": observation,
        "actions": {
            "names": [f"motor {i}" for i in range(motors)]
            + [f"thruster {i}" for i in range(thrusters)],
            "low": [-1.0] * motors + [0.0] * thrusters,
        },
        "checkpoints": entries,
        "ended": "budget",
        "message": None,
        "env": {"engine": "reference", "action_noise": 0.1, "reward": "reference"},
        "config": {"log_every": int(interval)},
        "source": "reference",
        "reference_name": name,
    }
    columns = ["update", "env_steps", *STATS]
    write_csv(output / "progress.csv", pd.DataFrame(entries)[columns])
    write_json(output / "expert.json", info | {"best_update": best_update(info)})


def export_expert(expert: str | Path, output: str | Path) -> list[Path]:
    """Writes an expert folder as the reference does; returns the files.

    output: the run's folder; files go to `seed_<s>/<update>/` below it.
    Raises ArtifactError if the network is none that the reference has: two hidden layers.
    """
    expert = Path(expert)
    info = read_expert(expert)
    name = exported_name(info, info["level"])
    interval = info["config"].get("log_every", DEFAULT_INTERVAL)
    written = []
    for entry in info["checkpoints"]:
        checkpoint = expert / "checkpoints" / str(entry["update"])
        network = _unfold(flatten(restore_checkpoint(checkpoint)), info, checkpoint)
        stats = entry.get("reference_stats") or {t: entry[o] for o, t in STATS.items()}
        number = max(0, entry["update"] - interval)
        folder = Path(output) / f"seed_{info['seed']}" / str(number)
        write_pickle(folder / "policies" / f"{name}.pkl", unflatten(network))
        write_json(folder / "stats" / f"{name}.json", stats)
        written += [folder / "policies" / f"{name}.pkl", folder / "stats" / f"{name}.json"]
    return written


def _read_network(path: Path) -> dict[str, np.ndarray]:
    tree = read_pickle(path)
    if not isinstance(tree, Mapping):
        raise ArtifactError(f"{path}: not an expert of the reference: no dict of arrays")
    named = flatten(tree)
    need(named, tuple(PLACES), path, "an expert")
    extra = sorted(set(named) - set(PLACES))
    if extra:
        raise ArtifactError(f"{path}: not an expert of the reference: unknown array {extra[0]}")
    return {ours: named[theirs] for theirs, ours in PLACES.items()}


def _read_stats(path: Path) -> dict[str, float]:
    try:
        stats = {key: float(value) for key, value in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path}: no readable stats ({type(error).__name__})") from error
    missing = [key for key in STATS.values() if not np.isfinite(stats.get(key, np.nan))]
    if missing:
        raise ArtifactError(f"{path}: no number {missing[0]!r}")
    return stats


def _rows(
    observation: Mapping[str, Any], history: int, actions: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a full first layer that a compact one keeps, in its order; and those it drops."""
    full = len(observation["constants"])
    varying = np.asarray(observation["indices"], int)
    constant = np.setdiff1d(np.arange(full), varying)
    offsets = full * np.arange(history)[:, None]
    kept = np.concatenate([(offsets + varying).ravel(), full * history + np.arange(actions)])
    return kept, (offsets + constant).ravel()


def _fold(
    network: dict[str, np.ndarray], observation: Mapping[str, Any], path: Path
) -> tuple[dict[str, np.ndarray], int]:
    """A compact network with what it replaces beside it, and the length of its history."""
    actions, full = len(network["log_std"]), len(observation["constants"])
    history, rest = divmod(network["actor/0/kernel"].shape[0] - actions, full)
    if rest or not history:
        raise ArtifactError(
            f"{path}: the expert takes {network['actor/0/kernel'].shape[0]} numbers, expected a "
            f"multiple of {full} and {actions} actions"
        )
    kept, dropped = _rows(observation, history, actions)
    constants = np.tile(np.asarray(observation["constants"]), history)[dropped]
    folded = dict(network)
    for name in NETWORKS:
        kernel, bias = network[f"{name}/0/kernel"], network[f"{name}/0/bias"]
        folded[f"{name}/0/kernel"] = kernel[kept]
        added = constants @ kernel[dropped].astype(np.float64)
        folded[f"{name}/0/bias"] = np.where(added == 0, bias, bias + added).astype(bias.dtype)
        folded[f"reference/{name}_rows"] = kernel[dropped]
        folded[f"reference/{name}_bias"] = bias
    return folded, history


def _unfold(
    tree: Mapping[str, np.ndarray], info: Mapping[str, Any], path: Path
) -> dict[str, np.ndarray]:
    network = {name: value for name, value in tree.items() if not name.startswith("reference/")}
    odd = sorted(set(network) ^ set(PLACES.values()))
    if odd:
        raise ArtifactError(
            f"{path}: the reference has experts with two hidden layers only "
            f"({odd[0]} does not fit); train with experts.hidden_sizes of two entries"
        )
    actions = len(network["log_std"])
    kept, dropped = _rows(info["observation"], info["history"], actions)
    for name in NETWORKS:
        compact = network[f"{name}/0/kernel"]
        wide = np.zeros((len(kept) + len(dropped), compact.shape[1]), compact.dtype)
        wide[kept] = compact
        if f"reference/{name}_rows" in tree:
            wide[dropped] = tree[f"reference/{name}_rows"]
            network[f"{name}/0/bias"] = tree[f"reference/{name}_bias"]
        network[f"{name}/0/kernel"] = wide
    return {theirs: network[ours] for theirs, ours in PLACES.items()}
