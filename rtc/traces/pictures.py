"""A decision as pictures: the same files for the pipeline and for the command line."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rtc import visualize
from rtc.config.sections import EnvConfig
from rtc.levels import Level
from rtc.storage.io import atomic_path, write_json
from rtc.traces.decision import Decision, find_decision
from rtc.traces.scenes import Guidance, load_trained
from rtc.visualize import animate_chunk_formation, mismatches, save_figure, switch_jumps

# What `draw_decision` makes, in the order in which one reads it.
PICTURES = (
    "chunk_timeline.png",
    "rtc_overlay.png",
    "rtc_trajectories.png",
    "rtc_flow_steps.png",
    "rtc_error.png",
    "rtc_dimensions.png",
    "rtc_comparison.png",
    "rtc_comparison_grid.png",
    "chunk_forming.mp4",
)
# What `write_traces` puts into its folder.
TRACE_FILES = (*PICTURES, "tracked_steps.npz", "decision.json")
WINDOW = 60  # environment steps of the timeline, about the decision


def write_traces(
    level: Level,
    env_config: EnvConfig,
    policy_dir: str | Path,
    output_dir: str | Path,
    *,
    delay: int,
    horizon: int,
    flow_steps: int,
    beta: float,
    schedule: str,
    seed: int,
) -> None:
    """Draws one decision of a policy under delay; writes `TRACE_FILES` into `output_dir`.

    Which decision, and what is raised: see `find_decision`. seed: root of the run's noise.
    `tracked_steps.npz` holds the numbers behind the pictures, `guided/x_t` and so on;
    `decision.json` says which decision it is.
    """
    guidance = Guidance(delay, horizon, flow_steps, schedule, beta)
    trained = load_trained(level, env_config, policy_dir)
    decision = find_decision(trained, guidance, seed=seed)
    draw_decision(decision, output_dir, decision.used[:3])
    folder = Path(output_dir)
    with atomic_path(folder / "tracked_steps.npz") as temporary:
        np.savez_compressed(
            temporary,
            **{f"guided/{name}": value for name, value in decision.guided.items()},
            **{f"plain/{name}": value for name, value in decision.plain.items()},
        )
    about = {"level": level.name, "epoch": trained.loaded.epoch, "seed": seed}
    write_json(folder / "decision.json", about | guidance._asdict() | describe(decision))


def draw_decision(
    decision: Decision, output_dir: str | Path, dimensions: Sequence[int]
) -> list[Path]:
    """Draws a decision's pictures and its film; returns their paths, `PICTURES` in order.

    dimensions: of the action, one row each; a picture of a single one shows the first.
    Raises ValueError naming an index out of range, before anything is written.
    """
    folder = Path(output_dir)
    figures = dict(_figures(decision, dimensions))
    for name, figure in figures.items():
        save_figure(figure, folder / name)
    animate_chunk_formation(
        decision.guided,
        folder / "chunk_forming.mp4",
        decision.plain,
        action_dim_indices=dimensions,
    )
    return [folder / name for name in PICTURES]


def _figures(decision: Decision, dimensions: Sequence[int]) -> Iterator[tuple[str, Figure]]:
    guided, plain = decision.guided, decision.plain
    rows = {"action_dim_indices": dimensions}
    single = {"action_dim_idx": dimensions[0] if dimensions else 0}
    for name, picture, runs, options in (
        ("rtc_dimensions", "plot_comparison_grid", (guided,), rows),
        ("rtc_flow_steps", "plot_flow_matching_steps", (guided,), single),
        ("rtc_error", "plot_error_over_steps", (guided,), rows),
        ("rtc_comparison", "plot_rtc_comparison", (guided, plain), single),
        ("rtc_comparison_grid", "plot_rtc_comparison_grid", (guided, plain), rows),
        ("rtc_trajectories", "plot_trajectory_comparison", (guided, plain), rows),
        ("rtc_overlay", "plot_overlay_comparison", (guided, plain), rows),
        (
            "chunk_timeline",
            "plot_chunk_timeline",
            (decision.timelines,),
            single | {"window": window(decision), "mark": decision.step},
        ),
    ):
        yield f"{name}.png", getattr(visualize, picture)(*runs, **options)


def window(decision: Decision) -> tuple[int, int]:
    """`WINDOW` environment steps about the decision, moved to lie within the longer episode."""
    longest = max(len(episode.actions) for episode in decision.timelines.values())
    begin = max(0, min(decision.step - WINDOW // 3, longest - WINDOW))
    return begin, min(begin + WINDOW, longest)


def describe(decision: Decision) -> dict[str, Any]:
    """Which decision it is, and how both episodes went, in numbers."""
    episodes = {}
    for name, episode in decision.timelines.items():
        jumps, apart = switch_jumps(episode), mismatches(episode)
        episodes[name] = {
            "steps": len(episode.actions),
            "solved": episode.solved,
            "mean_jump": float(jumps.mean()) if len(jumps) else None,
            "mean_mismatch": float(apart.mean()) if len(apart) else None,
        }
    return {
        "step": decision.step,
        "dimensions_that_act": list(decision.used),
        "greatest_error": {
            when: float(np.abs(decision.guided["error"][index]).max())
            for when, index in (("first_flow_step", 0), ("last_flow_step", -1))
        },
        "episodes": episodes,
    }
