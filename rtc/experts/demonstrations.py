"""The stage `demonstrations`: searches a level and writes the solutions to one file."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rtc.config.sections import DemonstrationConfig, EnvConfig
from rtc.env import make_env
from rtc.env.wrappers import evaluate_stack
from rtc.errors import ArtifactError, RtcError
from rtc.experts.search import SearchConfig, searches
from rtc.levels import Level
from rtc.storage.io import atomic_path

logger = logging.getLogger("rtc")


@dataclass(frozen=True)
class Demonstrations:
    """Solutions of a level. actions: [n, q, t, a], q sequences of each of n searches, most
    robust first. robust: [n, q] share of noisy plays that solve. length: [n, q] their mean
    steps. info: level, digest, and of each search rounds, first, share, steps and seconds."""

    actions: np.ndarray
    robust: np.ndarray
    length: np.ndarray
    info: Mapping[str, Any]


def find_demonstrations(
    level: Level,
    env: EnvConfig,
    config: DemonstrationConfig,
    output: str | Path,
    *,
    root_seed: int,
) -> None:
    """Searches a level `config.searches` times, each with its own key, and writes `output` (npz).

    Searches that find nothing are left out. The first search's seconds hold the compilation.
    Raises RtcError if no search finds a solution.
    """
    built = make_env(level, engine=env.engine, reward=env.reward)
    stack = evaluate_stack(built, env)
    horizon = min(config.horizon, level.params.max_timesteps)
    search = SearchConfig(config.candidates, horizon, config.hold, rounds=config.rounds)
    keys = [demonstration_key(level, root_seed, number) for number in range(config.searches)]
    found, told, began = [], [], time.monotonic()
    for number, (state, solutions) in enumerate(searches(stack, search, keys)):
        solutions = jax.device_get(solutions)
        now = time.monotonic()
        entry = {
            "search": number,
            "rounds": int(state.round),
            "first": int(state.first),
            "share": float(state.share),
            "robust": float(solutions.robust.max()),
            # At most: a round ends when its last candidate's episode does.
            "steps": (int(state.round) + 1) * config.candidates * horizon,
            "seconds": now - began,
        }
        began = now
        logger.info("%s: search %s", level.name, entry)
        told.append(entry)
        if solutions.robust.max() > 0:
            found.append(_only_solving(solutions))
    if not found:
        raise RtcError(
            f"{level.name}: no solution in {config.searches} searches of {config.rounds} rounds; "
            f"set experts.demonstrations: none for this level"
        )
    _write(output, level, asdict(search), found, told)


def load_demonstrations(path: str | Path, level: Level) -> Demonstrations:
    """Reads what `find_demonstrations` wrote.

    Raises ArtifactError if the file is missing or damaged or of another state of the level.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            actions, robust, length = (file[key] for key in ("actions", "robust", "length"))
            info = json.loads(str(file["info"]))
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); run: rm {path} && make") from error
    if info["level_digest"] != level.digest:
        raise ArtifactError(
            f"{path}: the level {level.name!r} changed since this search; run: rm {path} && make"
        )
    return Demonstrations(actions, robust, length, info)


def demonstration_key(level: Level, root_seed: int, number: int) -> jax.Array:
    """The key of one search: by the level's contents; not the key of any expert."""
    key = jax.random.fold_in(jax.random.key(root_seed), int(level.digest[:8], 16))
    return jax.random.fold_in(jax.random.fold_in(key, 2**31 - 1), number)


def _only_solving(solutions: Any) -> Any:
    """Sequences that solved no trial replaced by the most robust one."""
    keep = np.where(solutions.robust > 0, np.arange(len(solutions.robust)), 0)
    return type(solutions)(*(part[keep] for part in solutions))


def _write(
    output: str | Path,
    level: Level,
    config: Mapping[str, Any],
    found: Sequence[Any],
    told: Sequence[Mapping[str, Any]],
) -> None:
    info = {"level": level.name, "level_digest": level.digest, "config": config, "searches": told}
    arrays = {name: np.stack([getattr(s, name) for s in found]) for name in found[0]._fields}
    with atomic_path(output) as temporary:
        np.savez(temporary, **arrays, info=np.array(json.dumps(info, sort_keys=True)))
