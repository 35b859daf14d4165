"""Experts and data sets: how fast, beside the plain form (stock engine, 679-wide observations).

Ours and the plain form take turns in one run, so their ratio holds on a busy machine too. Levels
of the same sizes share the plain programs, which do not depend on the level: compiled once.
Steps count with everything: physics, networks, learning; for data sets the writing of parquet.
"of ceiling" is the learning's share of what this device does in one large float32 matmul.

    python benchmarks/bench_training.py [--levels ...] [--json FILE] [--quick]
"""

import argparse
import dataclasses
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import yaml
from machine import about, headline
from plain_experts import FullEnv, init_plain, plain_play, plain_update

import rtc
from rtc.config.sections import EnvConfig, ExpertConfig, build
from rtc.datasets.collect import _blocks
from rtc.datasets.parquet import dataset_schema, open_writer, write_rows
from rtc.datasets.play import play_block, start_play
from rtc.env import make_env
from rtc.env.kinetix import KinetixEngine
from rtc.env.wrappers import Stack, collect_stack, expert_stack
from rtc.experts.actor_critic import init_actor_critic
from rtc.experts.ppo import init_training, play, train_interval
from rtc.experts.ppo import learn as learn_once

ROOT = Path(__file__).parents[1]
LEVELS = sorted(path.stem for path in (ROOT / "config" / "levels").glob("*.yaml"))


def load_configs(quick: bool) -> tuple[EnvConfig, ExpertConfig]:
    """The paper's expert (256 environments x 256 steps), or a small one."""
    sections = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    config = build(ExpertConfig, sections["experts"], "experts")
    size = {"num_envs": 32 if quick else 256, "rollout_steps": 32 if quick else 256}
    return build(EnvConfig, sections["env"], "env"), dataclasses.replace(config, **size)


class PlainPrograms:
    """Compiled plain forms; levels of the same sizes share one, so it is compiled once.

    A function here takes (engine, start, *arguments), start being the level's state, batch 1.
    """

    def __init__(self) -> None:
        self.programs: dict[Any, tuple[Callable[..., Any], float, int]] = {}

    def get(
        self, what: str, function: Callable[..., Any], level: rtc.Level, *arguments: Any
    ) -> tuple[Callable[..., Any], float, int]:
        """(program of the arguments, seconds of its compilation, bytes)."""
        engine = KinetixEngine(level, "reference")
        start = engine.reset(1)
        key = (what, level.static, level.params)
        if key not in self.programs:
            self.programs[key] = compile_program(partial(function, engine), start, *arguments)
        program, *costs = self.programs[key]
        return partial(program, start), *costs


def compile_program(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float, int]:
    """(program, seconds of compilation, bytes it needs beside its arguments)."""
    began = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    seconds = time.perf_counter() - began
    memory = program.memory_analysis()
    return program, seconds, memory.temp_size_in_bytes + memory.output_size_in_bytes


def seconds_of(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - began


def alternate(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The best of `rounds` times of each call, after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            seconds = seconds_of(call)
            if turn:
                times[name].append(seconds)
    return {name: min(values) for name, values in times.items()}


def bench_experts(
    name: str,
    env: EnvConfig,
    config: ExpertConfig,
    rounds: int,
    plain_steps: int,
    programs: PlainPrograms,
) -> dict[str, float]:
    """Environment steps a second, learning included, of one seed."""
    task = expert_stack(make_env(name), env, config)
    ours = jax.jit(lambda keys: init_training(task, config, keys))(jax.random.split(_key(), 1))
    program, compiling, memory = compile_program(
        partial(train_interval, task, config), ours, np.int32(1)
    )
    short = dataclasses.replace(config, rollout_steps=plain_steps)

    def slow(engine: KinetixEngine, start: Any) -> Stack:
        return expert_stack(FullEnv(engine, start), env, short)

    def begin(engine: KinetixEngine, start: Any, key: jax.Array) -> Any:
        return init_plain(slow(engine, start), short, key)

    def learn(engine: KinetixEngine, start: Any, carry: Any, key: jax.Array) -> Any:
        return plain_update(slow(engine, start), short, carry, key)

    level = rtc.load_level(name)
    carry = programs.get("begin", begin, level, _key())[0](_key())
    plain, plain_compiling, plain_memory = programs.get("experts", learn, level, carry, _key())
    times = alternate(
        {
            "ours": lambda: program(ours, np.int32(1)),
            "plain": lambda: plain(carry, _key()),
        },
        rounds,
    )
    steps, plain_rows = (c.num_envs * c.rollout_steps for c in (config, short))
    return {
        "ours": steps / times["ours"],
        "plain": plain_rows / times["plain"],
        "compile": compiling,
        "plain_compile": plain_compiling,
        "bytes_per_step": memory / steps,
        "plain_bytes_per_step": plain_memory / plain_rows,
        "of_ceiling": _learning_share(task, config, rounds),
    }


def _learning_share(task: Any, config: ExpertConfig, rounds: int) -> float:
    """Learning's floating-point operations a second, over the matmul ceiling's."""
    keys = jax.random.split(_key(), 1)
    state = jax.jit(lambda keys: init_training(task, config, keys))(keys)
    _, experience, _ = jax.jit(lambda s: play(task, s.learner.params, s.envs, keys, 2))(state)
    grow = config.rollout_steps // 2
    experience = jax.tree.map(lambda x: jnp.concatenate([x] * grow), experience)
    learner = jax.tree.map(lambda x: x[0], state.learner)
    last = task.observe(state.envs)
    learn, _, _ = compile_program(
        partial(learn_once, config=config), learner, experience, last, _key()
    )
    side = 4096 if jax.default_backend() != "cpu" else 2048
    square = jax.random.normal(_key(), (side, side))
    multiply, _, _ = compile_program(jnp.matmul, square, square)
    times = alternate(
        {
            "learn": lambda: learn(learner, experience, last, _key()),
            "multiply": lambda: multiply(square, square),
        },
        max(rounds, 3),
    )
    operations = update_operations(task.observation_size, config)
    return operations / times["learn"] / (2 * side**3 / times["multiply"])


def update_operations(width: int, config: ExpertConfig) -> float:
    """Multiplications and additions in the matmuls of one update of one seed.

    Forward once for the values and in each epoch; backward two products a layer, but one in the
    first (nobody asks for the gradient of the observation).
    """
    total = 0.0
    for out in (6, 1):
        sizes = (width, *config.hidden_sizes, out)
        layers = [2.0 * i * o for i, o in itertools.pairwise(sizes)]
        total += config.epochs * (3 * sum(layers) - layers[0]) + (sum(layers) if out == 1 else 0)
    return total * config.num_envs * config.rollout_steps


def bench_data(
    name: str,
    env: EnvConfig,
    experts: int,
    steps: int,
    plain_steps: int,
    rounds: int,
    programs: PlainPrograms,
) -> dict[str, float]:
    """Transitions a second with 128 environments, parquet included on our side."""
    built, batch = make_env(name), 128
    stack = collect_stack(built, env, 4)
    params = _random_experts(stack.observation_size, experts)
    state = jax.jit(lambda key: start_play(stack, experts, batch, key))(_key())
    program, compiling, _ = compile_program(
        lambda s, p: play_block(stack, p, s, steps), state, params
    )

    def slow(engine: KinetixEngine, start: Any) -> Stack:
        return collect_stack(FullEnv(engine, start), env, 4)

    def begin(engine: KinetixEngine, start: Any) -> Any:
        stack = slow(engine, start)
        return _random_experts(stack.observation_size, experts), stack.reset(batch)

    def collect(
        engine: KinetixEngine, start: Any, params: Any, state: Any, expert: Any, keys: jax.Array
    ) -> Any:
        return plain_play(slow(engine, start), params, state, expert, keys)

    level, keys = rtc.load_level(name), jax.random.split(_key(), plain_steps)
    begun = *programs.get("begin data", begin, level)[0](), jnp.zeros(batch, jnp.int32)
    plain, plain_compiling, _ = programs.get("data", collect, level, *begun, keys)
    schema = dataset_schema(built.observation_size, built.action_size, {})

    def write() -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            open_writer(Path(folder) / "rows.parquet", schema) as writer,
        ):
            for first, rows in _blocks(program, state, params, 4 * steps, steps):
                write_rows(writer, rows, first)

    times = alternate({"ours": write, "plain": lambda: plain(*begun, keys)}, rounds)
    return {
        "ours": 4 * steps * batch / times["ours"],
        "plain": plain_steps * batch / times["plain"],
        "compile": compiling,
        "plain_compile": plain_compiling,
    }


def _random_experts(width: int, count: int) -> Any:
    keys = jax.random.split(_key(), count)
    return jax.vmap(lambda key: init_actor_critic(key, width, 6, (256, 256)))(keys)


def _key() -> jax.Array:
    return jax.random.key(0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", nargs="+", default=LEVELS)
    parser.add_argument("--experts", type=int, default=2, help="that play for the data set")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.levels, options.rounds = ["cartpole_thrust"], 1
    env, config = load_configs(options.quick)
    print(f"{headline()}; {config.num_envs} x {config.rollout_steps} steps")
    print(
        f"{'level':18} {'stage':8} {'ours /s':>9} {'plain /s':>9} {'ratio':>6} {'compile s':>9} "
        f"{'plain s':>8} {'bytes/step':>10} {'plain':>8} {'of ceiling':>10}"
    )
    rows, programs = [], PlainPrograms()
    for name in options.levels:
        stages = {
            "experts": bench_experts(
                name, env, config, options.rounds, 4 if options.quick else 16, programs
            ),
            "data": bench_data(
                name,
                env,
                options.experts,
                *((32, 2) if options.quick else (256, 8)),
                options.rounds,
                programs,
            ),
        }
        for stage, r in stages.items():
            rows.append({"level": name, "stage": stage, **r, "ratio": r["ours"] / r["plain"]})
            extra = (
                f"{r['bytes_per_step']:10,.0f} {r['plain_bytes_per_step']:8,.0f} "
                f"{r['of_ceiling']:10.0%}"
                if stage == "experts"
                else ""
            )
            print(
                f"{name:18} {stage:8} {r['ours']:9,.0f} {r['plain']:9,.0f} "
                f"{r['ours'] / r['plain']:6.1f} {r['compile']:9.1f} {r['plain_compile']:8.1f} "
                + extra,
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(about() | {"rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
