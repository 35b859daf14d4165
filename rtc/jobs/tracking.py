"""External trackers as sinks: off unless the configuration asks for them.

A sink takes one row of a `progress.csv` (a flat mapping of names to numbers, with `level`,
`seed` and, for policies, `policy` beside them) and passes it on.
"""

import os
from collections.abc import Mapping
from typing import Any

from rtc.errors import RtcError
from rtc.types import LogSink

EXPERT_PROJECT = "rtc-kinetix-expert"
POLICY_PROJECT = "rtc-kinetix-bc"


def wandb_sinks(mode: str, project: str) -> tuple[LogSink, ...]:
    """Sinks for Weights & Biases: none if `mode` is "disabled", else one for `project`.

    mode: "disabled", "offline" (files under results/wandb) or "online".
    Raises RtcError if the package is not installed.
    """
    return () if mode == "disabled" else (_WandbSink(mode, project),)


class _WandbSink:
    """One W&B run per level and seed, begun at its first row."""

    def __init__(self, mode: str, project: str):
        try:
            import wandb
        except ImportError as error:
            raise RtcError(
                f"tracking.wandb: {mode!r} needs the package (pip install wandb), "
                f"or set tracking.wandb: disabled"
            ) from error
        self._wandb, self._mode, self._project = wandb, mode, project
        self._runs: dict[str, Any] = {}

    def __call__(self, row: Mapping[str, Any]) -> None:
        parts = (row.get("level"), row.get("policy"), f"seed_{row.get('seed')}")
        name = "/".join(str(part) for part in parts if part is not None)
        if name not in self._runs:
            os.makedirs("results/wandb", exist_ok=True)
            self._runs[name] = self._wandb.init(
                project=self._project,
                name=name,
                mode=self._mode,
                dir="results/wandb",
                reinit="create_new",
            )
        self._runs[name].log({k: v for k, v in row.items() if isinstance(v, int | float)})
