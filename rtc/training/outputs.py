"""What a training leaves behind: kept checkpoints, `progress.csv`, `policy.json`."""

import dataclasses
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rtc.config.sections import PolicyConfig
from rtc.jobs.resume import ResumeState
from rtc.storage.checkpoints import list_checkpoints, restore_checkpoint, save_checkpoint
from rtc.storage.io import write_csv, write_json
from rtc.training.learner import model_config
from rtc.training.windows import Dataset
from rtc.types import PyTree

logger = logging.getLogger("rtc")

# Columns of the history kept per epoch and seed.
COLUMNS = ("samples", "seconds", "loss", "grad_norm", "solve_rate")


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The folder of one seed, and where its checkpoints wait if the job is interrupted."""

    folder: Path
    state: ResumeState
    seed: int

    def begin(self, done: int) -> None:
        """Empties the folder of checkpoints, but for those of an interrupted run's epochs."""
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        if self._waiting is not None:
            for epoch, path in list_checkpoints(self._waiting).items():
                if epoch <= done:
                    save_checkpoint(self._place(epoch), restore_checkpoint(path))

    def keep(self, epoch: int, parameters: PyTree) -> None:
        """Keeps the parameters after `epoch` as a checkpoint."""
        if self._waiting is not None:
            save_checkpoint(self._waiting / str(epoch), parameters)
        save_checkpoint(self._place(epoch), parameters)

    def write_progress(self, history: np.ndarray) -> None:
        """Writes `progress.csv`, a row per epoch. history: [epochs, column]."""
        rows = [progress_row(history, index) for index in range(len(history))]
        write_csv(self.folder / "progress.csv", pd.DataFrame(rows))

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Writes `policy.json`, last of all: a folder that has it is complete."""
        kept = list(list_checkpoints(self.folder / "checkpoints"))
        write_json(self.folder / "policy.json", {**summary, "kept_epochs": kept})

    @property
    def _waiting(self) -> Path | None:
        if self.state.folder is None:
            return None
        return self.state.folder / "kept" / f"seed_{self.seed}"

    def _place(self, epoch: int) -> Path:
        return self.folder / "checkpoints" / str(epoch)


def progress_row(history: np.ndarray, index: int) -> dict[str, float | int]:
    """A row of `progress.csv`. samples and seconds count from the start of the training, the rate
    is the epoch's own. history: [epochs, column] of one seed."""
    at = dict(zip(COLUMNS, history[index]))
    row = {
        "epoch": index + 1,
        "samples": int(history[: index + 1, 0].sum()),
        "seconds": float(history[: index + 1, 1].sum()),
        "samples_per_second": at["samples"] / at["seconds"],
        "loss": at["loss"],
        "grad_norm": at["grad_norm"],
    }
    if np.isfinite(history[:, COLUMNS.index("solve_rate")]).any():
        row["solve_rate"] = at["solve_rate"]
    return row


def policy_summary(
    data: Dataset, config: PolicyConfig, basis: Mapping[str, Any], parameters: int
) -> dict[str, Any]:
    """What `policy.json` says of every seed alike.

    basis: fingerprint of the training. parameters: how many the network has.
    """
    settings = {
        key: value
        for key, value in dataclasses.asdict(config).items()
        if key not in ("seeds", "seeds_per_job")
    }
    return {
        "level": data.level,
        "observation": data.observation,
        "obs_dim": data.obs_dim,
        "action_dim": data.action_dim,
        "model": dataclasses.asdict(model_config(config)),
        "parameters": parameters,
        "config": settings,
        "dataset": {
            "sha256": basis["dataset"],
            "transitions": len(data.rows.rank),
            "windows": data.windows,
        },
        "root_seed": basis["root_seed"],
        "source": "trained",
    }
