"""The stage: trains the experts of one level and writes their folders."""

import contextlib
import dataclasses
import hashlib
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from rtc.config.sections import EnvConfig, ExpertConfig
from rtc.env import make_env
from rtc.env.wrappers import Stack, Task, expert_stack
from rtc.errors import DivergenceError
from rtc.experts.demonstrations import load_demonstrations
from rtc.experts.expert import expert_info
from rtc.experts.ppo import Interval, TrainState, init_training, train_interval
from rtc.experts.seed_run import SeedRun, total_updates
from rtc.experts.starts import STARTS, Bank, StartsStack, begin_curriculum, make_bank
from rtc.jobs.resume import ResumeState, resume_state
from rtc.jobs.sources import code_digest
from rtc.levels import Level
from rtc.types import Array, Key, LogSink

logger = logging.getLogger("rtc")
# A state is some megabytes; on a fast device an interval may take less time than its writing.
STATE_SECONDS = 10.0


def train_experts(
    level: Level,
    env: EnvConfig,
    config: ExpertConfig,
    seeds: Sequence[int],
    outputs: Sequence[str | Path],
    *,
    root_seed: int,
    demonstrations: str | Path | None = None,
    sinks: Sequence[LogSink] = (),
    state_dir: str | Path | None = None,
) -> None:
    """Trains one expert per seed, all in one program, and writes a folder for each.

    outputs: a folder per seed: `checkpoints/<update>/` at each logging interval, `progress.csv`
    (a row per interval; seconds and steps per second leave compilation out; steps per second
    are of the seed's own environments) and, last, `expert.json`.
    demonstrations: file of solutions (`rtc.experts.demonstrations`) along which episodes may
    begin; None begins all at the level's start.
    sinks: take each row too, with level and seed. state_dir: where the state is kept from which
    the same call goes on after a crash; it ends with the numbers of an uninterrupted run.
    A seed whose numbers are not finite stops and keeps its last good checkpoint; the message
    (level, seed, update) is logged and stands in expert.json. The other seeds go on.
    """
    built = make_env(level, engine=env.engine, reward=env.reward)
    task = expert_stack(built, env, config)
    bank, groups = None, None
    if demonstrations is not None:
        shown = load_demonstrations(demonstrations, level)
        groups = np.asarray(seeds) % len(shown.actions)
        task, bank = StartsStack(task), _bank(task, shown.actions, level, root_seed)
    marks = _fingerprint(level, env, config, seeds, root_seed, bank)
    with _open_runs(config, seeds, marks, state_dir) as (state, runs):
        keys = jnp.stack([expert_key(level, root_seed, seed) for seed in seeds])
        train_runs(task, config, runs, keys, state, level.name, sinks, bank, groups)
        for run, output in zip(runs, outputs, strict=True):
            message = run.diverged and run.diverged["message"]
            info = expert_info(built, env, config, run.seed, run.rows, run.ended, message)
            run.publish(Path(output), info)
        state.clear()


def expert_key(level: Level, root_seed: int, seed: int) -> Key:
    """The key of one expert: by the level's contents, not by its name or the seeds beside it."""
    key = jax.random.fold_in(jax.random.key(root_seed), int(level.digest[:8], 16))
    return jax.random.fold_in(key, seed)


def train_runs(
    task: Task,
    config: ExpertConfig,
    runs: Sequence[SeedRun],
    keys: Array,
    state: ResumeState,
    name: str,
    sinks: Sequence[LogSink] = (),
    bank: Bank | None = None,
    groups: np.ndarray | None = None,
) -> None:
    """Trains until every run has ended, interval by interval. keys: [s], one a run.

    bank, groups: [s] states along solutions, and whose of them each run has; the task is then
    a `StartsStack`.
    """
    update, training = _first_state(task, config, runs, keys, state, groups)
    program = _compile(task, config, training, bank)
    total = total_updates(config)
    steps = config.num_envs * config.rollout_steps
    saved = clock = time.monotonic()
    offset = max((run.rows[-1]["seconds"] for run in runs if run.rows), default=0.0)
    with _progress_bar(total * steps, update * steps, name) as bar:
        while any(run.ended is None for run in runs):
            count = min(config.log_every, total - update)
            began = time.monotonic()
            training, interval = program(training, np.int32(count), bank)
            interval = jax.device_get(interval)
            now = time.monotonic()
            times = {
                "seconds": offset + now - clock,
                "steps_per_second": count * steps / (now - began),
            }
            _record(runs, training, interval, update, count, steps, times, name, sinks)
            update += count
            bar.update(count * steps)
            if time.monotonic() - saved > STATE_SECONDS:
                state.save(update, training)
                saved = time.monotonic()


def _record(
    runs: Sequence[SeedRun],
    training: TrainState,
    interval: Interval,
    update: int,
    count: int,
    steps: int,
    times: dict[str, float],
    name: str,
    sinks: Sequence[LogSink],
) -> None:
    params = jax.device_get(training.learner.params)
    for index, run in enumerate(runs):
        if run.ended is not None:
            continue
        mine = jax.tree.map(lambda x, index=index: x[index], interval)
        if mine.bad_update >= 0:
            message = _divergence(run, name, update + int(mine.bad_update) + 1)
            logger.error("%s", message)
            run.diverge(update + count, str(message))
            continue
        row = _row(mine, update + count, steps, times)
        run.record(row, jax.tree.map(lambda x, index=index: x[index], params))
        logger.info(
            "%s seed %d: update %d, %d steps, %.0f/s, solve rate %.3f, return %.3f",
            *(name, run.seed, row["update"], row["env_steps"], row["steps_per_second"]),
            *(row["solve_rate"], row["return_mean"]),
        )
        for sink in sinks:
            sink({"level": name, "seed": run.seed, **row})


def _row(mine: Interval, update: int, steps: int, times: dict[str, float]) -> dict[str, Any]:
    """One row of progress.csv. Means over episodes are 0 where none ended."""
    episodes = max(float(mine.episodes.count), 1.0)
    return {
        "update": update,
        "env_steps": update * steps,
        **times,
        **{part: float(value) for part, value in mine.losses._asdict().items()},
        "return_mean": float(mine.episodes.returns) / episodes,
        "length_mean": float(mine.episodes.lengths) / episodes,
        "solve_rate": float(mine.episodes.solved) / episodes,
        "episodes": int(mine.episodes.count),
    }


def _divergence(run: SeedRun, name: str, update: int) -> DivergenceError:
    kept = f"checkpoint {run.rows[-1]['update']} is kept" if run.rows else "no checkpoint is kept"
    return DivergenceError(
        f"{name} seed {run.seed}: not a finite number in update {update}; the seed stops, {kept}; "
        f"lower experts.learning_rate or experts.max_grad_norm"
    )


def _first_state(
    task: Task,
    config: ExpertConfig,
    runs: Sequence[SeedRun],
    keys: Array,
    state: ResumeState,
    groups: np.ndarray | None,
) -> tuple[int, TrainState]:
    def init(keys):
        curriculum = None if groups is None else begin_curriculum(STARTS, jnp.asarray(groups))
        return init_training(task, config, keys, curriculum)

    stored = state.load(jax.eval_shape(init, keys))
    if stored is None:
        return 0, jax.jit(init)(keys)
    update, training = stored
    for run in runs:
        run.resume(update)
    logger.info("resuming after update %d", update)
    return update, jax.tree.map(jnp.asarray, training)


def _bank(stack: Stack, actions: np.ndarray, level: Level, root_seed: int) -> Bank:
    """States along the solutions; the same for every seed of the level."""
    key = jax.random.fold_in(jax.random.key(root_seed), int(level.digest[8:16], 16))
    return jax.jit(lambda actions, key: make_bank(stack, STARTS, actions, key))(actions, key)


def _compile(
    task: Task, config: ExpertConfig, training: TrainState, bank: Bank | None
) -> Callable[..., Any]:
    def interval(training, updates, bank):
        return train_interval(task, config, training, updates, bank)

    began = time.monotonic()
    program = jax.jit(interval, donate_argnums=0).lower(training, np.int32(1), bank).compile()
    logger.info("compiled in %.1f s", time.monotonic() - began)
    return program


def _progress_bar(total: int, done: int, name: str) -> tqdm:
    return tqdm(
        total=total,
        initial=done,
        desc=name,
        unit="step",
        unit_scale=True,
        disable=not sys.stderr.isatty(),
    )


@contextlib.contextmanager
def _open_runs(
    config: ExpertConfig,
    seeds: Sequence[int],
    fingerprint: dict[str, Any],
    state_dir: str | Path | None,
) -> Iterator[tuple[ResumeState, list[SeedRun]]]:
    """The resume state and a run per seed, in a folder that lasts or one that does not."""
    with contextlib.ExitStack() as stack:
        if state_dir is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            state = ResumeState(None)
        else:
            folder = Path(state_dir) / ("seeds_" + "_".join(map(str, seeds)))
            state = stack.enter_context(resume_state(folder, fingerprint))
        yield state, [SeedRun(seed, folder / f"seed_{seed}", config) for seed in seeds]


def _fingerprint(
    level: Level,
    env: EnvConfig,
    config: ExpertConfig,
    seeds: Sequence[int],
    root_seed: int,
    bank: Bank | None,
) -> dict[str, Any]:
    """What a state must have in common with this training for it to go on from there."""
    bytes_of = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(bank)]
    return {
        "level": level.digest,
        "env": dataclasses.asdict(env),
        "config": _what_counts(config),
        "seeds": list(seeds),
        "root_seed": root_seed,
        "bank": hashlib.sha256(b"".join(bytes_of)).hexdigest(),
        "code": code_digest("rtc.experts"),
        "backend": jax.default_backend(),
        "jax": jax.__version__,
    }


def _what_counts(config: ExpertConfig) -> dict[str, Any]:
    """The configuration without the keys that change no numbers."""
    values = dataclasses.asdict(config)
    return {k: v for k, v in values.items() if k not in ("seeds", "seeds_per_job", "video")}
