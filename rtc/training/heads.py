"""The stage that trains a head on top of a frozen policy."""

import dataclasses
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from flax import nnx
from tqdm import tqdm

from rtc.config.sections import EnvConfig, HeadConfig
from rtc.env import make_env
from rtc.errors import ConfigError, DivergenceError
from rtc.flow.heads import Head, HeadRows, Sizes, make_head
from rtc.flow.loading import LoadedPolicy, load_policy
from rtc.levels import Level
from rtc.storage.checkpoints import save_checkpoint
from rtc.storage.io import write_csv, write_json
from rtc.storage.pretrained import find_source
from rtc.training.dataset_rows import dataset_rows
from rtc.training.feed import name_entropy
from rtc.training.rollouts import Player, best_expert, rollout_rows
from rtc.types import Key

logger = logging.getLogger("rtc")


def train_head(
    level: Level,
    env: EnvConfig,
    name: str,
    config: HeadConfig,
    policy_dir: Path,
    output: Path,
    *,
    experts: Sequence[Path] = (),
    dataset: Path | None = None,
    flow_steps: int,
    seed: int,
) -> None:
    """Trains one head and fills the folder `output`: `checkpoints/<epochs>/`, `progress.csv` and,
    last of all, `head.json`.

    name: of the head's entry, for messages. policy_dir: of the policy, which stays as it is.
    experts: folders of experts for `data: policy`, the best of which says what is right; those of
    `config.expert` stand in for them. dataset: parquet of `rtc.datasets` for `data: dataset`.
    flow_steps: of the policy's chunks.
    Raises ArtifactError on inputs that cannot be used, DivergenceError on a loss that is not
    finite.
    """
    kind = make_head(config.head, config.options, f"heads.{name}")
    loaded = load_policy(policy_dir)
    environment = make_env(level, engine=env.engine, reward=env.reward)
    policy_seed = loaded.info.get("seed", 0)
    key = jax.random.fold_in(jax.random.key(seed), name_entropy(f"{level.name} {name}"))
    row_key, first_key, order_key = jax.random.split(jax.random.fold_in(key, policy_seed), 3)
    if config.data == "dataset":
        rows = dataset_rows(
            loaded, dataset, kind.observation_history, config.transitions, flow_steps, row_key
        )
        labels: dict[str, Any] = {"labels": "data set"}
    else:
        if config.expert is not None:
            folder = find_source(config.expert.replace("{level}", level.name))
            experts = sorted(folder.glob("seed_*")) or [folder]
        expert = best_expert(experts, level.digest)
        history = max(kind.observation_history, expert.info["history"])
        full = loaded.policy.obs_dim != environment.observation_size
        player = Player(
            *(environment, loaded.policy, expert, full, history, env.action_noise, flow_steps)
        )
        rows = rollout_rows(player, config.num_envs, config.transitions, row_key)
        labels = {"labels": {key: expert.info[key] for key in ("seed", "best_update")}}
    rows = rows._replace(obs_history=rows.obs_history[:, -kind.observation_history :])
    sizes = Sizes(
        environment.observation_size, rows.action.shape[1], loaded.policy.action_chunk_size
    )
    network = kind.network(sizes, nnx.Rngs(first_key))
    network, progress = fit(kind, network, rows, config, order_key, name)
    save_checkpoint(
        Path(output, "checkpoints", str(config.epochs)), nnx.to_pure_dict(nnx.state(network))
    )
    write_csv(Path(output, "progress.csv"), progress)
    write_json(
        Path(output, "head.json"), _info(level, config, loaded, sizes, len(rows.index)) | labels
    )


def fit(
    kind: Head, network: nnx.Module, rows: HeadRows, config: HeadConfig, key: Key, name: str
) -> tuple[nnx.Module, pd.DataFrame]:
    """The network after `config.epochs` passes over the rows, and a row of progress for each."""
    count = len(rows.index) // config.batch_size
    if not count:
        raise ConfigError(
            f"heads.{name}.batch_size: {config.batch_size} is more than the {len(rows.index)} rows"
        )
    graph, params, rest = nnx.split(network, nnx.Param, ...)
    optimizer = optax.adamw(config.learning_rate, weight_decay=config.weight_decay)
    epoch = _make_epoch(kind, graph, rest, optimizer, count, config.batch_size)
    rows, state = jax.device_put(rows), (params, optimizer.init(params))
    history = []
    for number in tqdm(range(1, config.epochs + 1), unit="epoch", disable=not sys.stderr.isatty()):
        began = time.perf_counter()
        state, loss = epoch(state, rows, jax.random.fold_in(key, number))
        loss = float(loss)
        if not np.isfinite(loss):
            raise DivergenceError(
                f"head {name}: loss not finite in epoch {number}; lower its learning_rate"
            )
        logger.info("head %s epoch %d/%d: loss %.5f", name, number, config.epochs, loss)
        history.append({"epoch": number, "loss": loss, "seconds": time.perf_counter() - began})
    return nnx.merge(graph, state[0], rest), pd.DataFrame(history)


def _make_epoch(
    kind: Head,
    graph: Any,
    rest: Any,
    optimizer: optax.GradientTransformation,
    count: int,
    batch_size: int,
) -> Callable[..., Any]:
    """`epoch((parameters, optimizer state), rows, key) -> (the same, mean loss)`, compiled."""

    def step(carry: Any, rows: HeadRows) -> tuple[Any, Any]:
        params, opt_state = carry
        loss, grads = jax.value_and_grad(
            lambda params: kind.loss(nnx.merge(graph, params, rest), rows)
        )(params)
        changes, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, changes), opt_state), loss

    @jax.jit
    def epoch(state: Any, rows: HeadRows, key: Key) -> tuple[Any, Any]:
        order = jax.random.permutation(key, len(rows.index))[: count * batch_size]

        def batch(carry: Any, chosen: Any) -> tuple[Any, Any]:
            return step(carry, jax.tree.map(lambda leaf: leaf[chosen], rows))

        state, losses = jax.lax.scan(batch, state, order.reshape(count, batch_size))
        return state, jnp.mean(losses)

    return epoch


def _info(
    level: Level, config: HeadConfig, loaded: LoadedPolicy, sizes: Sizes, rows: int
) -> dict[str, Any]:
    """What `head.json` says, but for where the labels come from."""
    return {
        "level": {"name": level.name, "digest": level.digest},
        "policy": config.policy,
        "policy_epoch": loaded.epoch,
        "seed": loaded.info.get("seed", 0),
        "head": config.head,
        "options": dict(config.options),
        "sizes": sizes._asdict(),
        "rows": rows,
        "config": dataclasses.asdict(config),
    }
