"""Which experts play: for each seed a random checkpoint among those that pass."""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rtc.errors import ArtifactError, RtcError
from rtc.experts.actor_critic import ActorCritic
from rtc.experts.expert import Expert, load_expert, read_expert
from rtc.levels import Level


def choose_experts(
    level: Level, folders: Sequence[str | Path], min_solve_rate: float, seed: int
) -> list[Expert]:
    """For each folder with a checkpoint that passes, one of those, drawn at random.

    folders: of experts, in the order of their seeds. Seeds without a passing checkpoint are
    left out, as in the reference. The draw depends on `seed`, the level and the expert's seed.
    Raises RtcError naming the level, the best solve rate and the keys to change if none passes,
    ArtifactError if an expert is damaged or of another level.
    """
    infos = {Path(folder): read_expert(folder) for folder in folders}
    chosen = []
    for folder, info in infos.items():
        if info["level_digest"] != level.digest:
            raise ArtifactError(
                f"{folder}: the level {level.name!r} changed since this expert was trained; "
                f"run: rm -rf {folder} && make"
            )
        passing = [c["update"] for c in info["checkpoints"] if c["solve_rate"] >= min_solve_rate]
        if passing:
            draw = np.random.default_rng([seed, int(level.digest[:8], 16), info["seed"]])
            chosen.append(load_expert(folder, int(draw.choice(sorted(passing)))))
    if not chosen:
        raise RtcError(_nobody(level, list(infos.values()), min_solve_rate))
    return chosen


def stack_params(experts: Sequence[Expert]) -> ActorCritic:
    """Parameters of all experts with a leading axis. Raises ArtifactError if sizes differ."""
    shapes = [jax.tree.map(jnp.shape, expert.params) for expert in experts]
    if any(shape != shapes[0] for shape in shapes):
        raise ArtifactError(
            f"experts of {experts[0].info['level']}: networks of different sizes; train them "
            f"with one experts.hidden_sizes and experts.observation_history"
        )
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *(expert.params for expert in experts))


def _nobody(level: Level, infos: Sequence[dict], min_solve_rate: float) -> str:
    rates = [(c["solve_rate"], info["seed"]) for info in infos for c in info["checkpoints"]]
    rate, seed = max(rates, default=(0.0, None))
    best = f"the best is {rate:.3f} (seed {seed})" if rates else "there is no checkpoint at all"
    return (
        f"{level.name}: no expert reached a solve rate of {min_solve_rate:g}; {best}; "
        f"raise experts.total_steps or lower datasets.min_solve_rate"
    )
