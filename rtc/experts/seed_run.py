"""The record of one seed while it trains: rows, checkpoints, and how it ended."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from rtc.config.sections import ExpertConfig
from rtc.experts.actor_critic import ActorCritic
from rtc.storage.checkpoints import list_checkpoints, save_checkpoint
from rtc.storage.io import atomic_path, write_csv, write_json

COLUMNS = (
    *("update", "env_steps", "seconds", "steps_per_second"),
    *("loss", "policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction"),
    *("return_mean", "length_mean", "solve_rate", "episodes"),
)


@dataclass
class SeedRun:
    """One seed. folder: where its rows and checkpoints grow until they are published.

    rows: of progress.csv. diverged: {"update", "message"} once its numbers were not finite.
    """

    seed: int
    folder: Path
    config: ExpertConfig
    rows: list[dict[str, Any]] = field(default_factory=list)
    diverged: dict[str, Any] | None = None

    @property
    def ended(self) -> str | None:
        """None while the seed trains, else "diverged", "solve rate" or "budget"."""
        if self.diverged is not None:
            return "diverged"
        threshold = self.config.stop_at_solve_rate
        if threshold is not None:
            reached = sum(row["solve_rate"] >= threshold for row in self.rows)
            if reached >= self.config.stop_after_intervals:
                return "solve rate"
        done = self.rows[-1]["update"] if self.rows else 0
        return "budget" if done >= total_updates(self.config) else None

    def record(self, row: dict[str, Any], params: ActorCritic) -> None:
        """Adds the row of an interval and the checkpoint that belongs to it."""
        save_checkpoint(self.folder / "checkpoints" / str(row["update"]), params)
        self.rows.append(row)
        self._write()

    def diverge(self, update: int, message: str) -> None:
        """Ends the seed in the interval up to `update`; rows and checkpoints so far are kept."""
        self.diverged = {"update": update, "message": message}
        self._write()

    def resume(self, update: int) -> None:
        """Reads the record as it was after `update`; what came later is dropped."""
        stored = json.loads((self.folder / "record.json").read_text(encoding="utf-8"))
        self.rows = [row for row in stored["rows"] if row["update"] <= update]
        later = stored["diverged"] is None or stored["diverged"]["update"] > update
        self.diverged = None if later else stored["diverged"]
        for number, path in list_checkpoints(self.folder / "checkpoints").items():
            if number > update:
                shutil.rmtree(path)

    def publish(self, output: Path, info: Mapping[str, Any]) -> None:
        """Puts checkpoints, progress.csv and, last, expert.json into `output`."""
        with atomic_path(output / "checkpoints") as temporary:
            temporary.mkdir()
            for row in self.rows:
                name = str(row["update"])
                shutil.copytree(self.folder / "checkpoints" / name, temporary / name)
        write_csv(output / "progress.csv", pd.DataFrame(self.rows, columns=list(COLUMNS)))
        write_json(output / "expert.json", info)

    def _write(self) -> None:
        write_json(self.folder / "record.json", {"rows": self.rows, "diverged": self.diverged})


def total_updates(config: ExpertConfig) -> int:
    """Updates of a whole training."""
    return max(1, config.total_steps // (config.num_envs * config.rollout_steps))
