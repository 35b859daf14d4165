"""Looks into one decision of a trained policy: how a chunk forms, with guidance and without.

    python examples/visualize_flow_matching.py results
    python examples/visualize_flow_matching.py results --level-path mjc_swimmer \\
        --config.inference-delay 2 --config.execute-horizon 4 --output-dir my_plots

It rolls the environment to a real decision under delay, makes the chunk twice from the same
noise, and draws both. docs/read-the-traces.md tells how to read the pictures.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

DEFAULT_LEVEL = "worlds/l/grasp_easy.json"


@dataclasses.dataclass(frozen=True)
class Config:
    """What is shown, and under which delay."""

    step: int = -1
    """Checkpoint: its epoch, or -1 for the last, -2 for the one before."""
    num_flow_steps: int = 20
    """Euler steps from noise to chunk."""
    inference_delay: int = 3
    """Steps that pass while a chunk is inferred."""
    execute_horizon: int = 6
    """Steps from one inference to the next."""
    max_guidance_weight: float = 5.0
    """Greatest guidance weight (beta)."""
    prefix_attention_schedule: Literal["exp", "linear", "ones", "zeros"] = "exp"
    """How the weights fall over the chunk."""
    action_dim_indices: tuple[int, ...] = (0, 1, 2)
    """Action dimensions to draw; 0 to 3 are motors, 4 and 5 thrusters."""


def main(
    run_path: Annotated[Path, tyro.conf.Positional],
    level_path: str = DEFAULT_LEVEL,
    config: Config = Config(),
    output_dir: Path = Path("rtc_plots"),
    seed: int = 0,
) -> int:
    """Draws a chunk as it forms, with real-time chunking and without.

    Args:
        run_path: a run's results folder, or the folder of one policy
        level_path: a level's name, a level file, or a path whose stem is a level's name
        config: what is shown
        output_dir: where the pictures go
        seed: of all noise
    """
    from rtc.errors import RtcError

    try:
        visualize(run_path, level_path, config, output_dir, seed)
    except (RtcError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def visualize(run_path: Path, level_path: str, config: Config, output_dir: Path, seed: int) -> None:
    """Finds level and policy, makes the decision, draws it, and prints what was written."""
    from rtc.config.sections import EnvConfig
    from rtc.traces import (
        Guidance,
        draw_decision,
        find_decision,
        find_epoch,
        load_trained,
        short_prefix,
    )
    from rtc.visualize import check_indices

    level, folder = find_level_and_policy(run_path, level_path)
    # The benchmark's environment: the fast engine, its action noise and its reward.
    env_config = EnvConfig(engine="specialised", action_noise=0.1, reward="reference")
    trained = load_trained(level, env_config, folder, find_epoch(folder, config.step))
    policy = trained.loaded.policy
    print(f"policy: {folder}, epoch {trained.loaded.epoch}; level: {level.name}")
    check_indices(config.action_dim_indices, policy.action_dim, "--config.action-dim-indices")
    guidance = Guidance(
        config.inference_delay,
        config.execute_horizon,
        config.num_flow_steps,
        config.prefix_attention_schedule,
        config.max_guidance_weight,
    )
    warn(short_prefix(guidance.delay, guidance.horizon, policy.action_chunk_size))
    decision = find_decision(trained, guidance, seed=seed)
    idle = [str(index) for index in config.action_dim_indices if index not in decision.used]
    if idle:
        acting = " ".join(map(str, decision.used))
        warn(
            f"action dimensions {', '.join(idle)} move nothing on {level.name}; those that do: "
            f"--config.action-dim-indices {acting}"
        )
    print(f"decision: environment step {decision.step}, where guidance has most to do")
    for path in draw_decision(decision, output_dir, config.action_dim_indices):
        print(path)


def find_level_and_policy(run_path: Path, level_path: str) -> tuple[Any, Path]:
    """The level and a policy's folder; without --level-path any level there is a policy of."""
    from rtc.traces import find_level, find_policy, trained_policies

    if level_path == DEFAULT_LEVEL:
        policies = trained_policies(run_path)
        wanted = Path(DEFAULT_LEVEL).stem
        if wanted not in policies.values():
            level_path = next(iter(policies.values()))
            warn(f"{run_path} has no policy of {wanted}; taking {level_path} (see --level-path)")
    level = find_level(level_path)
    return level, find_policy(run_path, level.name)


def warn(text: str) -> None:
    """Prints a warning, if there is one."""
    if text:
        print(f"warning: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
