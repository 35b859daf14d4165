"""Behaviour cloning at the paper's size: windows learned from a second, beside the plain form.

    python benchmarks/bench_policies.py [--level h17_unicycle] [--quick] [--json FILE]

Ours: the training stage as it is, from parquet. Plain: the same network and optimizer as one
writes them at first: all 679 observation entries, concatenated to every action token, minibatches
gathered on the host and sent one by one, a compiled step for each. Both take turns in one run, so
the ratio holds on a busy machine too; compilation is apart. "of ceiling" is the share of what
this device does in one large float32 matmul.
"""

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import plain_flow
import yaml
from flax import nnx
from machine import about, headline

import rtc
from rtc.config.sections import PolicyConfig, build
from rtc.datasets.parquet import dataset_schema, open_writer, write_rows
from rtc.datasets.play import Rows
from rtc.physics.observation import observation_spec
from rtc.training.feed import Feed
from rtc.training.learner import Learner, describe, init_params, make_optimizer, make_train
from rtc.training.windows import open_dataset

ROOT = Path(__file__).parents[1]
PAPER = {
    "batch_size": 512, "channel_dim": 256, "channel_hidden_dim": 512, "token_hidden_dim": 64,
    "num_layers": 4, "warmup_steps": 1000, "start_from": None, "objective": "flow",
}  # fmt: skip
SMALL = {"batch_size": 64, "channel_dim": 64, "channel_hidden_dim": 128, "token_hidden_dim": 16}
ACTIONS = 6


def load_config(quick: bool, precision: str) -> PolicyConfig:
    """The paper's policy, or a small one."""
    section = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())["policies"]["flow"]
    changes = PAPER | (SMALL if quick else {}) | {"precision": precision}
    return build(PolicyConfig, section | changes, "policies.flow")


def write_data(path: Path, observations: int, rows: int) -> None:
    """Random transitions of 64 environments in the form of the data stage."""
    rng, batch = np.random.default_rng(0), 64
    steps = rows // batch
    shape = (batch, steps)
    made = Rows(
        episode=np.zeros(shape, np.int32),
        expert=np.zeros(shape, np.int32),
        observation=rng.normal(size=(*shape, observations)).astype(np.float32),
        action=rng.uniform(-1, 1, size=(*shape, ACTIONS)).astype(np.float32),
        done=rng.random(shape) < 0.01,
        solved=np.zeros(shape, bool),
        episode_return=np.zeros(shape, np.float32),
        length=np.zeros(shape, np.int32),
    )
    schema = dataset_schema(observations, ACTIONS, {})
    with open_writer(path, schema) as writer:
        write_rows(writer, made, 0)


def first_learner(observations: int, config: PolicyConfig) -> tuple[Any, Learner]:
    """Structure and state of one seed."""
    graph, _ = describe(observations, ACTIONS, config)
    params = init_params(observations, ACTIONS, config, jax.random.split(jax.random.key(0), 1))
    return graph, Learner(params, jax.vmap(make_optimizer(config).init)(params))


def our_program(path: Path, observations: int, config: PolicyConfig, count: int) -> dict[str, Any]:
    """`call()` trains on `count` minibatches, the shuffle of an epoch included."""
    graph, learner = first_learner(observations, config)
    data = open_dataset(path, config.action_chunk_size)
    feed = Feed(data, config.batch_size, [0], [0])
    block = next(feed.epoch(1))
    keys = jax.random.split(jax.random.key(1), 1)
    train = make_train(graph, config, 1)
    began = time.perf_counter()
    compiled = train.lower(learner, block.rows, block.starts, keys, 0, 0).compile()
    seconds = time.perf_counter() - began
    state = {"learner": learner, "epoch": 1}

    def call() -> Any:
        # An epoch may be shorter than the measurement.
        left = count
        while left:
            block = next(feed.epoch(state["epoch"]))
            last = min(left, block.count)
            state["learner"], progress = compiled(
                state["learner"], block.rows, block.starts, keys, 0, last
            )
            state["epoch"] += 1
            left -= last
        return progress

    memory = compiled.memory_analysis()
    held = sum(leaf.nbytes for leaf in jax.tree.leaves((learner, block.rows)))
    return {"call": call, "compile": seconds, "bytes": memory.temp_size_in_bytes + held}


def plain_program(rows: int, full: int, config: PolicyConfig, count: int) -> dict[str, Any]:
    """The same from host arrays with full observations."""
    graph, learner = first_learner(full, config)
    params = jax.tree.map(lambda leaf: leaf[0], learner.params)
    optimizer = optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm),
        optax.adamw(config.learning_rate, weight_decay=config.weight_decay),
    )
    rng, h = np.random.default_rng(0), config.action_chunk_size
    obs = rng.normal(size=(rows, full)).astype(np.float32)
    action = rng.uniform(-1, 1, size=(rows, ACTIONS)).astype(np.float32)
    done = rng.random(rows) < 0.01

    def loss_of(params: Any, obs: jax.Array, action: jax.Array, key: jax.Array) -> jax.Array:
        policy = nnx.merge(graph, params)
        noise_key, time_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, action.shape)
        t = jax.random.uniform(time_key, (len(obs),))
        x = (1 - t[:, None, None]) * noise + t[:, None, None] * action
        v = jax.vmap(lambda *sample: plain_flow.velocity(policy, *sample))(obs, x, t)
        return jnp.mean((v - (action - noise)) ** 2)

    @jax.jit
    def step(params: Any, opt_state: Any, obs: Any, action: Any, key: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(params, obs, action, key)
        changes, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, changes), opt_state, loss

    def batches() -> Any:
        order = rng.permutation(rows - h + 1)
        for first in range(0, count * config.batch_size, config.batch_size):
            starts = np.take(order, range(first, first + config.batch_size), mode="wrap")
            window = starts[:, None] + np.arange(h)
            over = np.cumsum(done[window], axis=1) > 0
            yield obs[starts], np.where(over[:, :, None], np.float32(0), action[window])

    state = {"params": params, "opt": optimizer.init(params)}
    began = time.perf_counter()
    arguments = (params, state["opt"], *next(batches()), jax.random.key(0))
    compiled = step.lower(*arguments).compile()
    seconds = time.perf_counter() - began

    def call() -> Any:
        for number, (o, a) in enumerate(batches()):
            key = jax.random.fold_in(jax.random.key(0), number)
            state["params"], state["opt"], loss = compiled(state["params"], state["opt"], o, a, key)
        return loss

    memory = compiled.memory_analysis()
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return {"call": call, "compile": seconds, "bytes": memory.temp_size_in_bytes + held}


def operations(observations: int, config: PolicyConfig) -> float:
    """Multiplications and additions in the matrix products of one window, forward and back."""
    h, c, layers = config.action_chunk_size, config.channel_dim, config.num_layers
    mixing = 2 * h * c * (config.token_hidden_dim + config.channel_hidden_dim)
    condition = 2 * c * c + layers * 6 * c * c + 2 * c * c
    projections = observations * c + 2 * h * ACTIONS * c
    return 3 * 2.0 * (layers * mixing + condition + projections)


def matmul_program() -> tuple[Callable[[], Any], float]:
    """A large float32 product and its operations: what the device can do at best."""
    side = 2048 if jax.default_backend() == "cpu" else 8192
    square = jax.random.normal(jax.random.key(0), (side, side))
    product = jax.jit(lambda x: jnp.matmul(x, x, precision=jax.lax.Precision.HIGHEST))
    return lambda: product(square), 2.0 * side**3


def alternate(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The best of `rounds` times of each call, after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            jax.block_until_ready(call())
            if turn:
                times[name].append(time.perf_counter() - began)
    return {name: min(values) for name, values in times.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--level", default="h17_unicycle", help="whose observation is taken")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--rows", type=int, default=65_536, help="transitions of the data set")
    parser.add_argument("--minibatches", type=int, help="in one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    config = load_config(options.quick, options.precision)
    rows = 8192 if options.quick else options.rows
    count = options.minibatches or (4 if jax.default_backend() == "cpu" else 500)
    spec = observation_spec(rtc.load_level(options.level))
    narrow, full = len(spec.indices), len(spec.constants)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write_data(path, narrow, rows)
        ours = our_program(path, narrow, config, count)
        plain = plain_program(rows, full, dataclasses.replace(config, precision="float32"), count)
        multiply, flops = matmul_program()
        calls = {"ours": ours["call"], "plain": plain["call"], "multiply": multiply}
        times = alternate(calls, options.rounds)
    samples = count * config.batch_size
    report = {
        "level": options.level,
        "observations": narrow,
        "batch": config.batch_size,
        "ours": samples / times["ours"],
        "plain": samples / times["plain"],
        "ratio": times["plain"] / times["ours"],
        "compile": ours["compile"],
        "plain_compile": plain["compile"],
        "megabytes": ours["bytes"] / 1e6,
        "plain_megabytes": (plain["bytes"] + rows * 4 * (full + ACTIONS)) / 1e6,
        "matmul_gflops": flops / times["multiply"] / 1e9,
        "of_ceiling": operations(narrow, config) * samples / times["ours"]
        / (flops / times["multiply"]),
        "plain_of_ceiling": operations(narrow, config) * samples / times["plain"]
        / (flops / times["multiply"]),
        "precision": config.precision,
    }  # fmt: skip
    print(headline())
    for name, value in report.items():
        print(f"{name:16} {value:,.3f}" if isinstance(value, float) else f"{name:16} {value}")
    if options.json:
        options.json.write_text(json.dumps(about() | report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
