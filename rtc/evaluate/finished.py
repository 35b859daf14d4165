"""What is done, kept outside the outputs: cells, so that a killed job does not play them again;
methods, so that a job of several plays only those that changed.
"""

import logging
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rtc.config.cells import cell_name
from rtc.config.sections import Cell, EnvConfig, EvaluationConfig, MethodConfig
from rtc.evaluate.kicks import Kicks
from rtc.levels import Level
from rtc.storage.checkpoints import tree_digest
from rtc.storage.io import atomic_path
from rtc.storage.tables import METRICS
from rtc.types import PyTree

logger = logging.getLogger("rtc")


def fingerprint(
    level: Level,
    env: EnvConfig,
    method: MethodConfig,
    config: EvaluationConfig,
    policies: PyTree,
    seeds: tuple[int, int],
    kicks: Kicks | None = None,
) -> dict[str, Any]:
    """Returns what the numbers of a cell follow from, as JSON values.

    Which cells are asked for, and how many rollouts are played side by side, do not count: a
    sweep that is widened, or that ran out of memory, keeps what it has. policies: parameters of
    all networks, heads among them. seeds: (root, policy).
    """
    basis = {
        "level": level.digest,
        "env": [env.engine, env.action_noise, env.reward],
        "method": [method.method, sorted(method.options.items())],
        "forecast": [method.forecast, method.model and vars(method.model)],
        "metrics": list(METRICS),
        "rollouts": config.rollouts,
        "flow_steps": config.steps_of(method),
        "policies": [None if policy is None else tree_digest(policy) for policy in policies],
        "seeds": list(seeds),
    }
    return basis | ({} if kicks is None else {"kicks": [kicks.probability, kicks.speed]})


def save_cell(
    folder: Path | None, cell: Cell, metrics: Mapping[str, np.ndarray], chunks: int
) -> None:
    """Keeps a finished cell, whole or not at all. metrics: [n] by rollout."""
    if folder is not None:
        with atomic_path(_path(folder, cell)) as temporary:
            np.savez(temporary, chunks=np.int64(chunks), **metrics)


def load_cell(
    folder: Path | None, cell: Cell, rollouts: int
) -> tuple[dict[str, np.ndarray], int] | None:
    """Returns a kept cell's metrics and count of chunks, or None; a damaged file is passed
    over, with a word in the log."""
    path = None if folder is None else _path(folder, cell)
    if path is None or not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            metrics = {name: stored[name] for name in stored.files}
        chunks = int(metrics.pop("chunks"))
        if any(metric.shape != (rollouts,) for metric in metrics.values()):
            raise ValueError(f"not {rollouts} rollouts")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logger.warning("%s ignored (%s); the cell is played again", path, error)
        return None
    return metrics, chunks


def keep_outputs(folder: Path | None, files: Sequence[Path], asked: str) -> None:
    """Keeps a copy of a method's finished files in place of its cells. asked: what they hold."""
    if folder is None:
        return
    with atomic_path(folder / "done") as temporary:
        temporary.mkdir()
        (temporary / "asked").write_text(asked, encoding="utf-8")
        for file in files:
            shutil.copyfile(file, temporary / Path(file).name)
    shutil.rmtree(folder / "cells", ignore_errors=True)


def restore_outputs(folder: Path | None, files: Sequence[Path], asked: str) -> bool:
    """Puts kept files in their places; False, and nothing is put there, if one is not kept or
    they hold something else than what is asked."""
    if folder is None:
        return False
    note, *kept = (folder / "done" / name for name in ("asked", *(Path(f).name for f in files)))
    if not all(path.is_file() for path in (note, *kept)):
        return False
    if note.read_text(encoding="utf-8") != asked:
        return False
    for source, file in zip(kept, files):
        with atomic_path(file) as temporary:
            shutil.copyfile(source, temporary)
    return True


def _path(folder: Path, cell: Cell) -> Path:
    return folder / "cells" / f"{cell_name(cell)}.npz"
