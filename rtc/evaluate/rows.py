"""The rows that an evaluation writes: of a rollout, of a cell, and what is said of them."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from rtc.config.cells import delay_label
from rtc.config.sections import Cell, EvaluationConfig, MethodConfig
from rtc.evaluate.scene import Scene
from rtc.storage.tables import EVALUATION_COLUMNS, cell_means


def rollout_table(keys: dict[str, Any], cell: Cell, metrics: dict[str, np.ndarray]) -> pd.DataFrame:
    """Returns one row per rollout of a cell, as `rtc.storage.tables.rollout_schema` has it."""
    fixed = isinstance(cell.delay, int)
    columns = keys | {
        "delay": cell.delay if fixed else None,
        "horizon": cell.horizon,
        "estimate": cell.estimate,
        "delay_distribution": None if fixed else delay_label(cell.delay),
        "rollout": np.arange(len(metrics["solved"]), dtype=np.int32),
    }
    table = pd.DataFrame(columns | metrics)
    return table.astype({"delay": "Int32"})


def cell_row(
    scene: Scene, method: MethodConfig, table: pd.DataFrame, disturbances: Mapping[str, float]
) -> dict[str, Any]:
    """Returns the row of `{method}.csv` that belongs to a cell's rollouts."""
    row = {name: table[name].iloc[0] for name in EVALUATION_COLUMNS[:8]} | cell_means(table)
    options = dict(method.options) | {"flow_steps": scene.flow_steps} | _given(method)
    options |= disturbances
    return row | {
        "network_evaluations": scene.method.network_evaluations(scene.flow_steps),
        "step_evaluations": scene.step_evaluations,
        "privileged": method.privileged,
        "kind": method.method,
        "options": json.dumps(options, sort_keys=True),
    }


def _given(method: MethodConfig) -> dict[str, Any]:
    """What the method is told of the future, and the heads that it acts with, if it is or does."""
    heads = {"heads": list(method.heads)} if method.heads else {}
    model = {"model": vars(method.model)} if method.model else {}
    return heads | ({} if method.forecast == "none" else {"forecast": method.forecast} | model)


def metadata(method: MethodConfig, config: EvaluationConfig) -> dict[str, Any]:
    """Returns what the parquet says of its rollouts beside them."""
    return {
        "method": method.method,
        "options": dict(method.options) | _given(method),
        "rollouts": config.rollouts,
        "flow_steps": config.steps_of(method),
    }
