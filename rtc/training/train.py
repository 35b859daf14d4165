"""The training stage: flow policies of one level, several seeds in one program."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rtc.config.sections import PolicyConfig
from rtc.errors import ConfigError, DivergenceError
from rtc.jobs.resume import resume_state
from rtc.levels import Level
from rtc.physics.observation import own_body_mask
from rtc.storage.checkpoints import restore_checkpoint, tree_digest
from rtc.training.epochs import Evaluation, Run, Training, divergence, train_epochs
from rtc.training.feed import Feed, name_entropy, resident_limit
from rtc.training.learner import (
    Learner,
    describe,
    init_params,
    make_optimizer,
    make_train,
    stack,
)
from rtc.training.objectives import make_objective
from rtc.training.outputs import COLUMNS, Outputs, policy_summary
from rtc.training.windows import file_digest, open_dataset
from rtc.types import Array, LogSink, PyTree


def train_policies(
    level_name: str,
    dataset: Path,
    config: PolicyConfig,
    seeds: Sequence[int],
    outputs: Sequence[Path],
    *,
    start_from: Sequence[Path] | None = None,
    root_seed: int,
    sinks: Sequence[LogSink] = (),
    state_dir: Path | None = None,
    evaluate: Evaluation | None = None,
    resident_bytes: int | None = None,
    level: Level | None = None,
) -> None:
    """Trains a flow policy per seed by behaviour cloning and fills a folder for each:
    `checkpoints/<epoch>/` for the epochs kept and the last, `progress.csv`, `policy.json`.

    dataset: parquet of `rtc.datasets`. start_from: a policy folder per seed, for
    `config.start_from`. state_dir: where an interrupted training is taken up again. evaluate: a
    small evaluation for every `config.evaluate_every` epochs. resident_bytes: most bytes of rows
    held at once, a larger data set streams (None: what the device allows). level: for objectives
    that ask which bodies are the agent's own.
    Raises ArtifactError on a data set or a start that cannot be used, ConfigError on sizes that
    do not fit it, DivergenceError if every seed diverged in its first epoch.
    """
    limit = resident_limit() if resident_bytes is None else resident_bytes
    extra = make_objective(config.objective).extra_steps
    data = open_dataset(dataset, config.action_chunk_size, limit, extra)
    own = None if level is None else own_body_mask(level)
    if data.windows < config.batch_size:
        raise ConfigError(
            f"batch_size: {config.batch_size} is more than the {data.windows} windows of {dataset}"
        )
    init_keys, loss_keys, evaluation_keys = seed_keys(root_seed, level_name, seeds)
    graph, shapes = describe(data.obs_dim, data.action_dim, config)
    if config.start_from is None:
        params = init_params(data.obs_dim, data.action_dim, config, init_keys)
    else:
        params = _load_start(shapes, config.start_from.epoch, start_from or (), len(seeds))
    basis = _fingerprint(level_name, dataset, config, seeds, root_seed, params)
    folder = None if state_dir is None else Path(state_dir, "_".join(map(str, ["seeds", *seeds])))
    with resume_state(folder, basis) as state:
        run = Run(
            level=level_name,
            config=config,
            seeds=tuple(seeds),
            graph=graph,
            loss_keys=loss_keys,
            evaluation_keys=evaluation_keys,
            first_epoch=1 if config.start_from is None else 1 + config.start_from.epoch,
            feed=Feed(data, config.batch_size, seeds, [root_seed, name_entropy(level_name)]),
            train=make_train(graph, config, len(seeds), own),
            outputs=tuple(
                Outputs(Path(path), state, seed) for path, seed in zip(outputs, seeds, strict=True)
            ),
            sinks=sinks,
            evaluate=evaluate,
        )
        training = train_epochs(run, state, _begin(config, params))
        size = sum(leaf[0].size for leaf in jax.tree.leaves(params))
        _write(run, training, policy_summary(data, config, basis, size))
        state.clear()


def seed_keys(root_seed: int, level_name: str, seeds: Sequence[int]) -> tuple[Array, Array, Array]:
    """Keys [s] for first parameters, losses and small evaluations of each seed of a level."""
    root = jax.random.fold_in(jax.random.key(root_seed), name_entropy(level_name))
    each = jnp.stack([jax.random.split(jax.random.fold_in(root, seed), 3) for seed in seeds])
    return each[:, 0], each[:, 1], each[:, 2]


def _load_start(shapes: PyTree, epoch: int, folders: Sequence[Path], seeds: int) -> PyTree:
    """Parameters of other policies at an epoch, one folder a seed, stacked."""
    if len(folders) != seeds:
        raise ConfigError(f"start_from: {len(folders)} policy folders for {seeds} seeds")
    found = [restore_checkpoint(Path(f, "checkpoints", str(epoch)), shapes) for f in folders]
    return jax.tree.map(jnp.asarray, stack(found))


def _fingerprint(
    level_name: str,
    dataset: Path,
    config: PolicyConfig,
    seeds: Sequence[int],
    root_seed: int,
    params: PyTree,
) -> dict[str, Any]:
    return {
        "level": level_name,
        "config": dataclasses.asdict(config),
        "dataset": file_digest(dataset),
        "seeds": list(seeds),
        "root_seed": root_seed,
        "first_parameters": tree_digest(params),
    }


def _begin(config: PolicyConfig, params: PyTree) -> Training:
    seeds = len(jax.tree.leaves(params)[0])
    return Training(
        # A copy: the training program takes over the learner's memory.
        learner=Learner(
            jax.tree.map(jnp.copy, params), jax.vmap(make_optimizer(config).init)(params)
        ),
        history=np.full((config.epochs, seeds, len(COLUMNS)), np.nan),
        stopped=np.zeros(seeds, np.int64),
        minibatch=np.zeros(seeds, np.int64),
    )


def _write(run: Run, training: Training, summary: Mapping[str, Any]) -> None:
    """Writes each seed's progress and summary. Raises DivergenceError if none has an epoch."""
    last = np.where(training.stopped > 0, training.stopped - 1, run.config.epochs)
    if not last.any():
        raise DivergenceError("; ".join(divergence(run, training, i) for i in range(len(last))))
    for index, outputs in enumerate(run.outputs):
        outputs.write_progress(training.history[: last[index], index])
        stopped = None
        if training.stopped[index]:
            stopped = {
                "epoch": int(training.stopped[index]),
                "minibatch": int(training.minibatch[index]),
                "reason": "loss not finite",
            }
        outputs.write_summary(
            {**summary, "seed": outputs.seed, "epochs": int(last[index]), "diverged": stopped}
        )
