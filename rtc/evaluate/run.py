"""The evaluation stage: methods on one policy of one level, all cells, one compilation each."""

import dataclasses
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd
from tqdm import tqdm

from rtc.config.cells import cell_name, delay_label, parse_cells
from rtc.config.checks import prefix_note, trained_delay
from rtc.config.sections import Cell, EnvConfig, EvaluationConfig, MethodConfig
from rtc.env import make_env
from rtc.errors import ArtifactError
from rtc.evaluate.finished import (
    fingerprint,
    keep_outputs,
    load_cell,
    restore_outputs,
    save_cell,
)
from rtc.evaluate.forecast import make_forecaster
from rtc.evaluate.kicks import Kicks
from rtc.evaluate.noise import make_streams
from rtc.evaluate.program import Program, make_plan, make_program, play_cell, slot_count, warm_up
from rtc.evaluate.reference import make_kicks
from rtc.evaluate.rows import cell_row, metadata, rollout_table
from rtc.evaluate.scene import Scene, make_scene
from rtc.evaluate.tally import used_actions
from rtc.evaluate.timing import time_method
from rtc.flow.heads import LoadedHead, Sizes, load_head
from rtc.flow.loading import LoadedPolicy, load_policy
from rtc.jobs.resume import resume_state
from rtc.levels import Level
from rtc.methods import make_method
from rtc.physics.observation import own_body_mask
from rtc.storage.checkpoints import mend_command
from rtc.storage.io import write_csv
from rtc.storage.tables import EVALUATION_COLUMNS, write_rollouts
from rtc.types import PyTree

logger = logging.getLogger("rtc")


class Outputs(NamedTuple):
    """The files of one method. csv: a row per cell; beside it `{label}.timing.csv`, measured
    times, which are no repeatable numbers. parquet: a row per rollout."""

    csv: Path
    parquet: Path

    @property
    def timing(self) -> Path:
        """Where the measured times go."""
        return Path(self.csv).with_suffix(".timing.csv")

    def all(self) -> tuple[Path, ...]:
        """Every file, the CSV last."""
        return self.parquet, self.timing, self.csv


def evaluate_method(
    level: Level,
    env: EnvConfig,
    policy_dir: Path,
    label: str,
    method: MethodConfig,
    config: EvaluationConfig,
    csv: Path,
    parquet: Path,
    *,
    seed: int,
    heads: Mapping[str, Path] = MappingProxyType({}),
    state_dir: Path | None = None,
) -> None:
    """Plays every cell of one method and writes its files; see `evaluate_methods`.

    label: the method's key in the config. csv, parquet: see `Outputs`.
    """
    methods, outputs = {label: method}, [Outputs(csv, parquet)]
    evaluate_methods(
        *(level, env, policy_dir, methods, config, outputs),
        seed=seed,
        heads=heads,
        state_dir=state_dir,
    )


def evaluate_methods(
    level: Level,
    env: EnvConfig,
    policy_dir: Path,
    methods: Mapping[str, MethodConfig],
    config: EvaluationConfig,
    outputs: Sequence[Outputs],
    *,
    seed: int,
    heads: Mapping[str, Path] = MappingProxyType({}),
    reference: Path | None = None,
    state_dir: Path | None = None,
    code: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Plays every cell of several methods on one policy; they share the compiled physics.

    methods: by their keys in the config. outputs: files of each, in the same order. seed: of the
    run; every method gets the same noise from it. heads: folders of the heads that the methods
    name. reference: policy whose naive play is the measure of kicks, None for the one evaluated;
    where policies are compared, give one for all. state_dir: where finished cells are kept until
    the outputs stand; None keeps none. Of several methods the finished ones are kept there too, and
    one that comes again unchanged is not played again. code: digest of each method's code.
    Raises ConfigError on an impossible cell or option, ArtifactError on a policy or head that
    cannot be read or is of another level.
    """
    known: dict[Any, Callable] = {}
    kicks = _kicks(level, env, reference or policy_dir, config, seed)
    if config.action_noise is not None:
        env = dataclasses.replace(env, action_noise=config.action_noise)
    with tqdm(unit="rollout", desc=level.name, disable=None) as bar:
        for (label, method), files in zip(methods.items(), outputs, strict=True):
            scene, policies, keys = load_scene(
                level, env, policy_dir, label, method, config, heads, kicks
            )
            cells = parse_cells(config.cells, scene.merge(policies)[0].action_chunk_size)
            bar.total = len(methods) * len(cells) * config.rollouts
            folder = None
            if state_dir is not None:
                folder = Path(state_dir, level.name, method.policy, f"seed_{keys['seed']}", label)
            seeds = seed, keys["seed"]
            basis = fingerprint(level, env, method, config, policies, seeds, kicks)
            basis["code"] = code.get(label)
            asked = json.dumps([[cell_name(cell) for cell in cells], config.timing_batches])
            with resume_state(folder, basis) as state:
                kept = restore_outputs(state.folder, files.all(), asked)
                if kept:
                    logger.info("%s on %s: unchanged, taken over", label, level.name)
                    bar.update(len(cells) * config.rollouts)
                else:
                    setup = scene, policies, keys, method, config, cells
                    _evaluate(*setup, seed, state.folder, files, known, bar)
                if len(methods) == 1:  # Its job comes again only where it changed.
                    state.clear()
                elif not kept:
                    keep_outputs(state.folder, files.all(), asked)


def _evaluate(
    scene: Scene,
    policies: PyTree,
    keys: dict[str, Any],
    method: MethodConfig,
    config: EvaluationConfig,
    cells: Sequence[Cell],
    seed: int,
    folder: Path | None,
    files: Outputs,
    known: dict[Any, Callable],
    bar: tqdm,
) -> None:
    """Plays the cells of one method and writes its files. folder: of finished cells. known:
    programs that methods share."""
    slots = slot_count(config.rollouts, config.rollouts_per_batch, jax.default_backend())
    program = make_program(scene, config.rollouts, slots, known)
    streams = make_streams(seed, keys["level"], keys["seed"])
    start = program.start(policies, streams)
    tables = play_cells(program, policies, streams, start, cells, folder, bar, keys)
    plan = make_plan(cells[0], start.chunks.shape[1])
    timed = scene, program, policies, streams, start, plan, keys
    timing = time_method(*timed, config.timing_batches)
    _write(files, scene, method, config, tables, timing)


def _write(
    files: Outputs,
    scene: Scene,
    method: MethodConfig,
    config: EvaluationConfig,
    tables: Sequence[pd.DataFrame],
    timing: pd.DataFrame,
) -> None:
    disturbances = config.disturbances
    if scene.kicks is not None:
        disturbances["kick_speed"] = scene.kicks.speed
    rows = [cell_row(scene, method, table, disturbances) for table in tables]
    about = metadata(method, config) | disturbances
    write_rollouts(files.parquet, pd.concat(tables, ignore_index=True), about)
    write_csv(files.timing, timing)
    write_csv(files.csv, pd.DataFrame(rows, columns=list(EVALUATION_COLUMNS)))


def load_scene(
    level: Level,
    env: EnvConfig,
    policy_dir: Path,
    label: str,
    method: MethodConfig,
    config: EvaluationConfig,
    heads: Mapping[str, Path],
    kicks: Kicks | None = None,
) -> tuple[Scene, PyTree, dict[str, Any]]:
    """Returns the scene, the networks' parameters, and the keys that all rows share."""
    made = make_method(method, label)
    loaded = load_policy(policy_dir)
    environment = make_env(level, engine=env.engine, reward=env.reward)
    _check_level(environment, loaded, policy_dir)
    cells = parse_cells(config.cells, loaded.policy.action_chunk_size)
    trained_for = trained_delay(loaded.info.get("config", {}))
    if note := prefix_note(label, method, trained_for, cells):
        logger.warning("%s", note)
    weak_epoch = getattr(made, "weak_epoch", None)
    weak = None if weak_epoch is None else load_policy(policy_dir, epoch=weak_epoch).policy
    scene, policies = make_scene(
        environment,
        made,
        loaded.policy,
        weak,
        used=used_actions(level),
        action_noise=env.action_noise,
        flow_steps=config.steps_of(method),
        heads=[_load_head(heads[name], environment, loaded).network for name in method.heads],
        forecaster=make_forecaster(environment, env, method),
        own=None if method.forecast == "none" else own_body_mask(level),
        kicks=kicks,
    )
    keys = {
        "level": level.name,
        "policy": method.policy,
        "seed": _policy_seed(loaded, policy_dir),
        "method": label,
    }
    return scene, policies, keys


def _kicks(
    level: Level, env: EnvConfig, folder: Path, config: EvaluationConfig, seed: int
) -> Kicks | None:
    """Kicks as the config asks for them. folder: of the policy whose play is their measure; it
    plays under the benchmark's own noise."""
    if not config.kick_probability:
        return None
    naive = MethodConfig("naive", "reference", {})
    scene, policies, keys = load_scene(level, env, folder, "reference", naive, config, {})
    streams = make_streams(seed, level.name, keys["seed"])
    kicks = make_kicks(scene, policies, streams, config.kick_probability, config.kick_scale)
    logger.info("kicks on %s: standard deviation %.4f m/s", level.name, kicks.speed)
    return kicks


def _policy_seed(loaded: LoadedPolicy, policy_dir: Path) -> int:
    number = Path(policy_dir).name.removeprefix("seed_")
    return loaded.info.get("seed", int(number) if number.isdigit() else 0)


def _load_head(folder: Path, env: Any, loaded: LoadedPolicy) -> LoadedHead:
    """Raises ArtifactError unless the head was trained on this level, for chunks of this size."""
    head, policy = load_head(folder), loaded.policy
    sizes = Sizes(env.observation_size, policy.action_dim, policy.action_chunk_size)
    if head.info["level"]["digest"] != env.level.digest or head.info["sizes"] != sizes._asdict():
        raise ArtifactError(
            f"{folder}: this head was trained on another level than {env.level.name!r} as it is "
            f"now, or for chunks of another size; run: {mend_command(Path(folder))}"
        )
    return head


def _check_level(env: Any, loaded: LoadedPolicy, policy_dir: Path) -> None:
    """Raises ArtifactError unless the policy was trained on this level and its observation."""
    trained = loaded.info["level"]
    if trained["name"] != env.level.name:
        raise ArtifactError(
            f"{policy_dir}: this policy was trained on level {trained['name']!r}, "
            f"not on {env.level.name!r}; name its own level, or train one for this"
        )
    compact = loaded.policy.obs_dim == env.observation_size
    same = compact and np.array_equal(loaded.observation_indices, env.observation_indices)
    full = loaded.policy.obs_dim == len(env.observation_constants)
    if trained.get("digest", env.level.digest) != env.level.digest or not (same or full):
        raise ArtifactError(
            f"{policy_dir}: level {env.level.name!r} changed since this policy was trained; "
            f"bring back its file, or run: {mend_command(Path(policy_dir))}"
        )


def play_cells(
    program: Program,
    policies: PyTree,
    streams: Any,
    start: Any,
    cells: Sequence[Cell],
    folder: Path | None,
    bar: tqdm,
    keys: dict[str, Any],
) -> list[pd.DataFrame]:
    """Returns each cell's rollouts; those found finished in `folder` are not played again."""
    rollouts, chunk_size = start.chunks.shape[:2]
    tables, compiled, before = [], False, bar.n

    def progress(finished: int) -> None:
        bar.update(before + len(tables) * rollouts + finished - bar.n)

    for cell in cells:
        name = f"d={delay_label(cell.delay)} s={cell.horizon}"
        bar.set_postfix_str(f"{keys['method']} {name}")
        done = load_cell(folder, cell, rollouts)
        plan = make_plan(cell, chunk_size)
        if done is None and not compiled:
            seconds = warm_up(program, policies, streams, plan, start)
            logger.info("%s on %s: compiled in %.1f s", keys["method"], keys["level"], seconds)
            compiled = True
        begun = time.perf_counter()
        if done is None:
            done = play_cell(program, policies, streams, plan, start, progress)
            save_cell(folder, cell, *done)
        progress(rollouts)
        tables.append(rollout_table(keys, cell, done[0]))
        logger.info(
            "%s on %s, %s, told %d: %d of %d solved, %d chunks, %.1f s",
            *(keys["method"], keys["level"], name, cell.estimate),
            *(int(done[0]["solved"].sum()), rollouts, done[1], time.perf_counter() - begun),
        )
    return tables
