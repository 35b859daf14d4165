"""The tables of an evaluation: columns, and how they are written, read and joined.

One `{method}.csv` has a row for each cell, its `{method}.parquet` a row for each rollout, its
`{method}.timing.csv` the measured times, which differ from run to run and so stand apart.
`evaluations.csv` and `timings.csv` join all methods, policies, seeds and levels.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import norm

from rtc.errors import ArtifactError
from rtc.storage.io import atomic_path, write_csv

# What says which cell a row belongs to. `delay` is empty where it is drawn for each chunk;
# `delay_distribution` then says from what, and is empty otherwise.
KEYS = ("level", "policy", "seed", "method", "delay", "horizon", "estimate", "delay_distribution")
# Per rollout, beside `rollout`, `solved` and `length`; evaluations.csv has their means.
METRICS = (
    *("return", "jump_mean", "jump_max", "action_change"),
    *("jerk", "acceleration_max", "mismatch"),
)
EVALUATION_COLUMNS = (
    *KEYS,
    *("rollouts", "solved", "solve_rate", "solve_rate_low", "solve_rate_high"),
    *("mean_return", "mean_length", "time_to_solve"),
    *METRICS[1:],
    *("network_evaluations", "step_evaluations", "privileged", "kind", "options"),
)
TIMING_COLUMNS = (
    *("level", "policy", "seed", "method", "batch", "seconds_per_chunk"),
    *("chunks_per_second", "network_evaluations", "seconds_per_step", "step_evaluations"),
    "device",
)

MEANING = {
    "level": "level name",
    "policy": "policy of the config",
    "seed": "policy seed",
    "method": "label of the method in the config",
    "delay": "inference delay d in steps; empty if drawn for each chunk",
    "horizon": "execution horizon s in steps",
    "estimate": "delay the method was told, in steps",
    "delay_distribution": "what the delay was drawn from; empty if fixed",
    "rollout": "number of the rollout; its noise is the same under every method and cell",
    "solved": "whether the first episode ended with the goal reached",
    "return": "sum of rewards of the first episode",
    "length": "steps of the first episode",
    "jump_mean": "mean Euclidean norm of the change of action where the executed chunk switches",
    "jump_max": "maximum of the same",
    "action_change": "mean norm of the change from one executed action to the next, all steps",
    "jerk": "mean over steps of the squared norm of the actions' second difference",
    "acceleration_max": "maximum norm of the actions' second difference",
    "mismatch": "mean |new chunk - previous chunk| over the first d steps, per action",
}


def rollout_schema() -> pa.Schema:
    """Returns the arrow schema of a rollout parquet; each field's metadata says what it is."""
    kinds = {name: pa.float32() for name in METRICS}
    kinds |= dict.fromkeys(("level", "policy", "method", "delay_distribution"), pa.string())
    kinds |= dict.fromkeys(
        ("seed", "delay", "horizon", "estimate", "rollout", "length"), pa.int32()
    )
    kinds |= {"solved": pa.bool_()}
    names = (*KEYS, "rollout", "solved", "return", "length", *METRICS[1:])
    return pa.schema(
        [pa.field(name, kinds[name], metadata={"meaning": MEANING[name]}) for name in names],
        metadata={
            "title": "single rollouts of an evaluation",
            "actions": "as commanded, before the environment's noise and clipping; only actions "
            "that move something in this level count in jumps, changes, jerk, acceleration and "
            "mismatch",
        },
    )


def write_rollouts(path: str | Path, table: pd.DataFrame, metadata: Mapping[str, Any]) -> None:
    """Writes single rollouts as parquet, whole or not at all.

    table: columns of `rollout_schema()`. metadata: what else a reader should know; stored as
    JSON under its keys in the schema's metadata.
    """
    schema = rollout_schema()
    extra = {key: json.dumps(value, sort_keys=True) for key, value in metadata.items()}
    schema = schema.with_metadata({**(schema.metadata or {}), **extra})
    arrow = pa.Table.from_pandas(table[schema.names], schema=schema, preserve_index=False)
    with atomic_path(path) as temporary:
        pq.write_table(arrow.replace_schema_metadata(schema.metadata), temporary)


def read_rollouts(
    paths: str | Path | Iterable[str | Path], columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Reads one rollout parquet or several into one table.

    columns: read only these (the keys always come along).
    Raises ArtifactError naming the file that cannot be read.
    """
    wanted = None if columns is None else list(dict.fromkeys([*KEYS, "rollout", *columns]))
    if isinstance(paths, str | Path):
        paths = [paths]
    tables = []
    for path in paths:
        try:
            tables.append(pq.read_table(path, columns=wanted).to_pandas())
        except (OSError, pa.ArrowException, KeyError) as error:
            raise _unreadable(path, error) from error
    return pd.concat(tables, ignore_index=True)


def read_evaluations(path: str | Path) -> pd.DataFrame:
    """Reads an evaluation table, joined or of one method. Raises ArtifactError naming it."""
    return _read_table(path, EVALUATION_COLUMNS)


def read_timings(path: str | Path) -> pd.DataFrame:
    """Reads a timing table, joined or of one method. Raises ArtifactError naming it."""
    return _read_table(path, TIMING_COLUMNS)


def join_evaluations(csvs: Iterable[str | Path], output: str | Path) -> None:
    """Joins the CSVs of all methods into one, sorted by level, policy, seed, method and cell."""
    tables = [read_evaluations(path) for path in csvs]
    joined = pd.concat(tables, ignore_index=True).sort_values(list(KEYS), kind="stable")
    for name in ("delay", "horizon", "estimate", "seed", "rollouts", "solved"):
        joined[name] = joined[name].astype("Int64")
    write_csv(output, joined[list(EVALUATION_COLUMNS)])


def join_timings(csvs: Iterable[str | Path], output: str | Path) -> None:
    """Joins the timing CSVs of all methods into one, sorted."""
    joined = pd.concat([read_timings(path) for path in csvs], ignore_index=True)
    order = ["level", "policy", "seed", "method", "batch"]
    write_csv(output, joined.sort_values(order, kind="stable")[list(TIMING_COLUMNS)])


def _read_table(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        text = dict.fromkeys(("level", "policy", "method", "delay_distribution", "options"), str)
        table = pd.read_csv(path, dtype=text)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ArtifactError(
            f"{path}: no column {missing[0]!r}, so not a table of this version; "
            f"delete it and run the same command again"
        )
    return table


def _unreadable(path: str | Path, error: Exception) -> ArtifactError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ArtifactError(
        f"{path}: cannot be read ({reason}); delete it and run the same command again"
    )


def cell_means(rollouts: pd.DataFrame) -> dict[str, float | int]:
    """Returns the counts and means of one cell's rollouts, as columns of `evaluations.csv`;
    the solve rate with its 95 % Wilson interval (E. B. Wilson, JASA 1927).

    A metric that a rollout does not have (no switch happened, no delay) is left out of its
    mean; NaN if no rollout has it. `time_to_solve` is the mean length of the solved ones.
    """
    solved = int(np.count_nonzero(rollouts["solved"]))
    row: dict[str, float | int] = {"rollouts": len(rollouts), "solved": solved}
    low, high = wilson_interval(solved, len(rollouts))
    row |= {
        "solve_rate": solved / len(rollouts),
        "solve_rate_low": float(low),
        "solve_rate_high": float(high),
        "mean_return": _mean(rollouts["return"]),
        "mean_length": _mean(rollouts["length"]),
        "time_to_solve": _mean(rollouts.loc[rollouts["solved"].astype(bool), "length"]),
    }
    return row | {name: _mean(rollouts[name]) for name in METRICS[1:]}


def wilson_interval(
    solved: Any, rollouts: Any, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (low, high) of Wilson's score interval for solved/rollouts.

    solved, rollouts: counts, numbers or arrays of one shape. Nothing counted gives (0, 1).
    Raises ValueError if solved is negative or more than rollouts.
    """
    k, n = np.asarray(solved, np.float64), np.asarray(rollouts, np.float64)
    if np.any(k < 0) or np.any(k > n):
        raise ValueError("solved must lie between 0 and rollouts")
    z = norm.ppf(0.5 + confidence / 2)
    m = np.maximum(n, 1.0)
    p = k / m
    centre = (p + z**2 / (2 * m)) / (1 + z**2 / m)
    half = z / (1 + z**2 / m) * np.sqrt(p * (1 - p) / m + z**2 / (4 * m**2))
    # At 0 and n the bound is exactly 0 or 1; rounding must not push it past.
    low = np.where(k == 0, 0.0, np.maximum(centre - half, 0.0))
    high = np.where(k == n, 1.0, np.minimum(centre + half, 1.0))
    return np.where(n > 0, low, 0.0), np.where(n > 0, high, 1.0)


def _mean(column: pd.Series) -> float:
    values = np.asarray(column, np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")
