"""Synthetic evaluation tables, for tests that need numbers but no robot."""

import json

import numpy as np
import pandas as pd

from rtc.config.cells import parse_cells
from rtc.report.stats import wilson_interval
from rtc.storage.tables import EVALUATION_COLUMNS, cell_means

# Solve rate lost per step of delay, and per step of horizon.
LOSS = {
    "naive": (0.13, 0.012),
    "realtime": (0.055, 0.018),
    "hard_masking": (0.08, 0.02),
    "bid": (0.09, 0.02),
    "te": (0.16, 0.01),
    "ttrtc": (0.045, 0.012),
}


def make_rollouts(
    levels=("h17_unicycle", "cartpole_thrust"),
    methods=tuple(LOSS),
    seeds=(0,),
    cells="all",
    rollouts=64,
):
    """Returns one row per rollout; the same rollout is as hard under every method."""
    rng = np.random.default_rng(0)
    ease = {level: 0.95 - 0.35 * i / max(1, len(levels) - 1) for i, level in enumerate(levels)}
    luck = {(level, seed): rng.random(rollouts) for level in levels for seed in seeds}
    tables = []
    for level in levels:
        for seed in seeds:
            for method in methods:
                for cell in parse_cells(cells, 8):
                    by_delay, by_horizon = LOSS.get(method, (0.1, 0.02))
                    rate = ease[level] - by_delay * cell.delay - by_horizon * (cell.horizon - 1)
                    solved = luck[level, seed] < rate
                    noise = rng.random(rollouts)
                    tables.append(
                        pd.DataFrame(
                            {
                                "level": level,
                                "policy": "flow",
                                "seed": seed,
                                "method": method,
                                "delay": cell.delay,
                                "horizon": cell.horizon,
                                "estimate": cell.estimate,
                                "delay_distribution": None,
                                "rollout": np.arange(rollouts),
                                "solved": solved,
                                "return": np.where(solved, 1.0, -1.0),
                                "length": (80 + 100 * noise).astype(int),
                                "jump_mean": 3 * by_delay * (1 + 0.4 * cell.delay) + 0.1 * noise,
                                "jump_max": 6 * by_delay * (1 + cell.delay) + noise,
                                "action_change": 2 * by_delay + 0.1 * noise,
                                "jerk": by_delay * (1 + cell.delay) + 0.02 * noise,
                                "acceleration_max": 9 * by_delay * (1 + cell.delay) + noise,
                                "mismatch": np.nan if cell.delay == 0 else 0.1 * noise,
                            }
                        )
                    )
    return pd.concat(tables, ignore_index=True)


def make_evaluations(rollouts, options=None):
    """Returns the table of cells that belongs to these rollouts."""
    keys = ["level", "policy", "seed", "method", "delay", "horizon", "estimate"]
    rows = []
    for values, group in rollouts.groupby(keys):
        row = dict(zip(keys, values)) | {"delay_distribution": None} | cell_means(group)
        low, high = wilson_interval(row["solved"], row["rollouts"])
        row |= {"solve_rate_low": float(low), "solve_rate_high": float(high)}
        given = (options or {}).get(row["method"], {})
        rows.append(
            row
            | {
                "network_evaluations": {"realtime": 10, "hard_masking": 10, "bid": 160}.get(
                    row["method"], 5
                ),
                "step_evaluations": 0,
                "privileged": given.get("forecast") == "oracle",
                "kind": given.get("method", row["method"]),
                "options": json.dumps(
                    {k: v for k, v in given.items() if k not in ("method", "forecast")}
                ),
            }
        )
    return pd.DataFrame(rows)[list(EVALUATION_COLUMNS)]
