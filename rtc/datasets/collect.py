"""The stage: a mixture of experts plays one level, and what it does becomes a parquet file."""

import dataclasses
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from rtc.config.sections import DatasetConfig, EnvConfig
from rtc.datasets.mixture import choose_experts, stack_params
from rtc.datasets.parquet import COLUMNS, dataset_schema, open_writer, write_rows
from rtc.datasets.play import PlayState, Rows, play_block, start_play
from rtc.env import make_env
from rtc.env.wrappers import collect_stack
from rtc.experts.actor_critic import ActorCritic
from rtc.experts.expert import Expert
from rtc.levels import Level
from rtc.storage.io import atomic_path

logger = logging.getLogger("rtc")


def collect_dataset(
    level: Level,
    env: EnvConfig,
    config: DatasetConfig,
    experts: Sequence[str | Path],
    output: str | Path,
    *,
    seed: int,
) -> None:
    """Plays `config.transitions` steps over `config.num_envs` environments into `output`.

    experts: folders that `train_experts` wrote. Each episode is played by one expert drawn at
    random among those that passed (see `choose_experts`). The file appears whole or not at all;
    while it is written, two row groups are in memory. Every row group holds all environments
    over some steps, sorted by environment and step. Same experts, configuration and seed: same
    bytes.
    Raises RtcError if no expert passes, ArtifactError if an expert is damaged.
    """
    players = choose_experts(level, experts, config.min_solve_rate, seed)
    for player in players:
        logger.info(
            "%s: seed %d plays with update %d (solve rate %.3f)",
            *(level.name, player.info["seed"], player.update, player.solve_rate),
        )
    built = make_env(level, engine=env.engine, reward=env.reward)
    stack = collect_stack(built, env, players[0].info["history"])
    params = stack_params(players)
    key = jax.random.fold_in(jax.random.key(seed), int(level.digest[:8], 16))
    state = jax.jit(lambda key: start_play(stack, len(players), config.num_envs, key))(key)
    steps = config.transitions // config.num_envs
    block = max(1, min(config.rows_per_group // config.num_envs, steps))
    program = _compile(
        lambda state, params: play_block(stack, params, state, block, config.action_std),
        state,
        params,
    )
    metadata = _metadata(built, env, config, players, seed)
    schema = dataset_schema(built.observation_size, built.action_size, metadata)
    solved = ended = 0
    with (
        atomic_path(output) as temporary,
        open_writer(temporary, schema) as writer,
        _progress_bar(config.transitions, level.name) as bar,
    ):
        for first, rows in _blocks(program, state, params, steps, block):
            write_rows(writer, rows, first)
            bar.update(rows.done.size)
            solved, ended = solved + rows.solved.sum(), ended + rows.done.sum()
    logger.info("%s: %d of %d episodes solved", level.name, solved, ended)


def _blocks(
    program: Callable[..., Any], state: PlayState, params: ActorCritic, steps: int, block: int
) -> Iterator[tuple[int, Rows]]:
    """First step and rows of each block; the next one is played while one is in use."""
    coming: tuple[int, Rows] | None = None
    for first in range(0, steps, block):
        state, rows = program(state, params)
        if coming is not None:
            yield coming[0], _on_host(coming[1], steps - coming[0])
        coming = first, rows
    if coming is not None:
        yield coming[0], _on_host(coming[1], steps - coming[0])


def _on_host(rows: Rows, left: int) -> Rows:
    """Numpy arrays; what the last block played beyond the budget is dropped."""
    return jax.tree.map(lambda x: np.asarray(x)[:, :left], rows)


def _compile(
    function: Callable[..., Any], state: PlayState, params: ActorCritic
) -> Callable[..., Any]:
    began = time.monotonic()
    program = jax.jit(function, donate_argnums=0).lower(state, params).compile()
    logger.info("compiled in %.1f s", time.monotonic() - began)
    return program


def _metadata(
    env: Any, env_config: EnvConfig, config: DatasetConfig, players: Sequence[Expert], seed: int
) -> dict[str, Any]:
    actions = players[0].info["actions"]
    return {
        "level": env.level.name,
        "level_digest": env.level.digest,
        "observation_names": list(env.observation_spec),
        "observation_indices": np.asarray(env.observation_indices).tolist(),
        "observation_constants": np.asarray(env.observation_constants, np.float64).tolist(),
        "action_names": actions["names"],
        "action_low": actions["low"],
        "experts": [
            {"seed": p.info["seed"], "update": p.update, "solve_rate": p.solve_rate}
            for p in players
        ],
        "columns": COLUMNS,
        "order": "row groups by step; inside one sorted by environment, then step",
        "env": dataclasses.asdict(env_config),
        "config": dataclasses.asdict(config),
        "seed": seed,
    }


def _progress_bar(total: int, name: str) -> tqdm:
    return tqdm(
        total=total, desc=name, unit="step", unit_scale=True, disable=not sys.stderr.isatty()
    )
