"""An expert on disk: `expert.json`, `progress.csv` and its checkpoints; and how to load it."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rtc.config.sections import EnvConfig, ExpertConfig
from rtc.env.wrappers import push_history, start_history
from rtc.errors import ArtifactError, check_key
from rtc.experts.actor_critic import (
    ActorCritic,
    action_distribution,
    actor_critic_from_tree,
    sample_normal,
    squash,
)
from rtc.levels import load_level
from rtc.storage.checkpoints import mend_command, restore_checkpoint
from rtc.storage.pretrained import find_pretrained
from rtc.types import Array, Float, Key, checked

fits_expert = checked(o="observation_size", d="input_size", a="action_low.size")

# What expert.json must say for an expert to be loaded.
REQUIRED = ("level", "level_digest", "seed", "observation", "actions", "history", "checkpoints")


@dataclass(frozen=True)
class Expert:
    """A trained expert. params: of one checkpoint. update: that checkpoint's number.
    info: all of `expert.json`. Raises ArgumentError for arrays that do not fit it."""

    params: ActorCritic
    update: int
    info: Mapping[str, Any]

    @property
    def action_low(self) -> np.ndarray:
        """[a] lowest action: -1 for motors, 0 for thrusters."""
        return np.asarray(self.info["actions"]["low"], np.float32)

    @property
    def observation_size(self) -> int:
        """Entries of an observation (o)."""
        return len(self.info["observation"]["indices"])

    @property
    def input_size(self) -> int:
        """Entries of the policy input (d): the last observations, then the last action."""
        return self.params.actor[0].kernel.shape[0]

    @property
    def solve_rate(self) -> float:
        """Share of the episodes solved in the training interval before the checkpoint."""
        return checkpoint_entry(self.info, self.update)["solve_rate"]

    @fits_expert
    def start(self, obs: Float[Array, "b o"]) -> Float[Array, "b d"]:
        """Policy input at the first observation of an episode."""
        return start_history(obs, self.info["history"], len(self.action_low))

    @fits_expert
    def push(
        self, history: Float[Array, "b d"], obs: Float[Array, "b o"], action: Float[Array, "b a"]
    ) -> Float[Array, "b d"]:
        """Policy input after `action` led to `obs`."""
        return push_history(history, obs, action)

    @fits_expert
    def action(
        self,
        rng: Key | None,
        history: Float[Array, "b d"],
        *,
        noise: Float[Array, "b a"] | None = None,
    ) -> Float[Array, "b a"]:
        """Draws actions, motors in [-1, 1] and thrusters in [0, 1].

        noise: [b, a] standard normal in place of what `rng` would give; zeros play the mode.
        """
        mean, std = action_distribution(self.params.actor, self.params.log_std, history)
        if noise is None:
            check_key(rng, "noise")
            noise = jax.random.normal(rng, mean.shape)
        return squash(sample_normal(mean, std, self.action_low, noise), self.action_low)


def load_expert(path: str | Path, update: int | None = None) -> Expert:
    """Loads an expert from its folder (`results/experts/<level>/seed_<seed>`), or the shipped one
    of a level by its name ("h17_unicycle").

    update: number of a checkpoint; None takes the one with the best solve rate.
    Raises ArtifactError if the folder is no whole expert or has no such checkpoint.
    """
    shipped = find_pretrained(path, "experts", lambda level: load_level(level).digest)
    path = shipped or Path(path)
    info = read_expert(path)
    if update is None:
        update = best_update(info)
    if update is None:
        raise ArtifactError(f"{path}: the expert has no checkpoint; its training diverged at once")
    checkpoint = path / "checkpoints" / str(update)
    tree = restore_checkpoint(checkpoint)
    try:
        params = jax.tree.map(jnp.asarray, actor_critic_from_tree(tree))
    except (KeyError, TypeError) as error:
        raise ArtifactError(
            f"{checkpoint}: not an expert's checkpoint ({error} is missing); "
            f"run: {mend_command(checkpoint)}"
        ) from error
    wanted = len(info["observation"]["indices"]) * info["history"] + len(info["actions"]["low"])
    if params.actor[0].kernel.shape[0] != wanted:
        raise ArtifactError(
            f"{checkpoint}: the network takes {params.actor[0].kernel.shape[0]} numbers, "
            f"expert.json says {wanted}; run: {mend_command(checkpoint)}"
        )
    return Expert(params, update, info)


def read_expert(path: str | Path) -> dict[str, Any]:
    """`expert.json` of an expert's folder. Raises ArtifactError if missing or damaged."""
    file = Path(path) / "expert.json"
    mend = f"run: rm -rf {path} && make"
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{file}: cannot be read ({type(error).__name__}); {mend}") from error
    missing = [key for key in REQUIRED if not isinstance(info, dict) or key not in info]
    if missing:
        raise ArtifactError(f"{file}: no key {missing[0]!r}; {mend}")
    return info


def best_update(info: Mapping[str, Any]) -> int | None:
    """The checkpoint with the best solve rate, the later of equals; None if there is none."""
    entries = info["checkpoints"]
    if not entries:
        return None
    return max(entries, key=lambda entry: (entry["solve_rate"], entry["update"]))["update"]


def checkpoint_entry(info: Mapping[str, Any], update: int) -> Mapping[str, Any]:
    """What expert.json says of one checkpoint. Raises ArtifactError if it is not listed."""
    for entry in info["checkpoints"]:
        if entry["update"] == update:
            return entry
    known = ", ".join(str(entry["update"]) for entry in info["checkpoints"]) or "none"
    raise ArtifactError(f"expert {info['level']}: no checkpoint {update}; there are: {known}")


def expert_info(
    env: Any,
    env_config: EnvConfig,
    config: ExpertConfig,
    seed: int,
    rows: Sequence[Mapping[str, Any]],
    ended: str,
    message: str | None,
) -> dict[str, Any]:
    """The contents of expert.json. ended: "budget", "solve rate" or "diverged".

    message: what a diverged seed has to say, else None.
    """
    static = env.level.static
    motors, thrusters = static.num_motor_bindings, static.num_thruster_bindings
    shown = ("update", "env_steps", "solve_rate", "return_mean", "length_mean")
    info = {
        "level": env.level.name,
        "level_digest": env.level.digest,
        "seed": seed,
        "history": config.observation_history,
        "observation": {
            "names": list(env.observation_spec),
            "indices": np.asarray(env.observation_indices).tolist(),
            "constants": np.asarray(env.observation_constants, np.float64).tolist(),
        },
        "actions": {
            "names": [f"motor {i}" for i in range(motors)]
            + [f"thruster {i}" for i in range(thrusters)],
            "low": [-1.0] * motors + [0.0] * thrusters,
        },
        "checkpoints": [{key: row[key] for key in shown} for row in rows],
        "ended": ended,
        "message": message,
        "env": dataclasses.asdict(env_config),
        "config": dataclasses.asdict(config),
    }
    return info | {"best_update": best_update(info)}
