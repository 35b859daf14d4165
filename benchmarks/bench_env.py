"""Environment steps a second: this project's engine beside Kinetix's stock one.

A step is the physics, the observation, the reward and the replay of finished episodes, under
random actions, in one compiled scan. Both engines take turns and the median of the repeats
counts, so the ratio holds on a busy machine too. The stock program does not depend on the level,
so it is compiled once for each batch. Memory is what the program needs for one environment.
"of ceiling": floating-point operations a second, over those of one long fused chain.

    python benchmarks/bench_env.py [--levels ...] [--batches 1 256 2048 16384]
                                   [--json FILE] [--quick] [--engines specialised kinetix]
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from machine import about, headline
from operations import elementwise_ceiling, operations_of

import rtc
from rtc.env import Env
from rtc.physics.tiles import TILE

LEVELS = sorted(p.stem for p in (Path(__file__).parents[1] / "config" / "levels").glob("*.yaml"))
ENGINES = ("specialised", "kinetix")
LONG_ENOUGH = 10.0  # seconds of turns, after which no other begins
WARM_UP = 128  # steps before anything is measured, so that episodes are at all stages


@dataclass
class Program:
    """A compiled run of `steps` steps of `batch` environments, and where it stands.

    compiling: seconds. bytes: arguments and temporaries. start: the level's start, batch 1.
    function: the same before compilation.
    """

    call: Callable[..., Any]
    function: Callable[..., Any]
    state: Any
    start: Any
    steps: int
    batch: int
    compiling: float
    bytes: int
    turns: int = 0

    def advance(self) -> None:
        """Runs once and waits."""
        self.turns += 1
        self.state, _ = jax.block_until_ready(
            self.call(self.state, self.start, jax.random.key(self.turns))
        )

    def rate(self) -> float:
        """Steps a second of one run."""
        began = time.perf_counter()
        self.advance()
        return self.steps * self.batch / (time.perf_counter() - began)


def roll(env: Env, engine: str, batch: int, steps: int) -> Callable[..., Any]:
    """The function that is measured: (state, start, key) -> (state, checksum)."""

    def replayed(state: Any, start: Any, done: jax.Array) -> Any:
        if engine == "specialised":
            return env.replay(state, done)

        def fresh(now: jax.Array, first: jax.Array) -> jax.Array:
            return jnp.where(done.reshape(batch, *[1] * (now.ndim - 1)), first, now)

        return jax.tree.map(fresh, state, start)

    def run(state: Any, start: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        def one(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
            action = jax.random.uniform(key, (batch, env.action_size), minval=-1.0)
            state, step = env.step(state, action)
            checksum = step.obs.sum() + step.reward.sum() + step.distance.sum()
            return replayed(state, start, step.done), checksum

        return jax.lax.scan(one, state, jax.random.split(key, steps))

    return run


def prepare(level: str, engine: str, batch: int, steps: int, old: Program | None) -> Program:
    """old: a stock program of the same sizes to take over, started from this level."""
    env = rtc.make_env(level, engine=engine)
    state, start = jax.tree.map(jnp.array, (env.reset(batch), env.reset(1)))
    if old:
        return Program(old.call, old.function, state, start, steps, batch, old.compiling, old.bytes)
    run = roll(env, engine, batch, steps)
    began = time.perf_counter()
    compiled = jax.jit(run).lower(state, start, jax.random.key(0)).compile()
    compiling = time.perf_counter() - began
    memory = compiled.memory_analysis()
    size = memory.temp_size_in_bytes + memory.argument_size_in_bytes
    return Program(compiled, run, state, start, steps, batch, compiling, size)


def contact_turns(program: Program) -> float:
    """How many contacts the solver visits, mean over the pieces a batch is worked in."""
    used = np.sort(np.asarray(program.state.memory.used))
    pieces = -(-len(used) // TILE) if jax.default_backend() == "cpu" else 1
    return float(np.mean([part.max() for part in np.array_split(used, pieces)]))


def alternate(programs: dict[str, Program], repeats: int) -> dict[str, float]:
    """The median steps a second of each, taken in turns; fewer turns where they take long."""
    rates: dict[str, list[float]] = {name: [] for name in programs}
    began = time.perf_counter()
    for _ in range(repeats):
        if rates[next(iter(programs))] and time.perf_counter() - began > LONG_ENOUGH:
            break
        for name, program in programs.items():
            rates[name].append(program.rate())
    return {name: statistics.median(values) for name, values in rates.items()}


def bench(
    level: str,
    batch: int,
    engines: list[str],
    stock: dict[Any, Program],
    ceiling: float,
    quick: bool,
    warm: dict[str, Any],
) -> dict[str, Any]:
    """One row of the table.

    stock: programs by sizes, filled as they are compiled. warm: our states by levels, those of
    the last batch that was measured; a multiple of it starts from copies of them.
    """
    steps = {"specialised": 256 if batch == 1 else max(4, 8192 // batch), "kinetix": 1}
    steps["kinetix"] = 64 if batch == 1 else 1
    sizes = rtc.load_level(level)
    key = (sizes.static, sizes.params, batch)
    programs = {}
    for engine in engines:
        old = stock.get(key) if engine == "kinetix" else None
        programs[engine] = prepare(level, engine, batch, steps[engine], old)
    if "kinetix" in programs:
        stock[key] = programs["kinetix"]
    ours = programs.get("specialised")
    known = len(warm[level].timestep) if level in warm else 0
    copied = bool(ours and known and batch % known == 0)
    if copied:
        copies = batch // known
        ours.state = jax.tree.map(lambda x: jnp.concatenate([x] * copies, -1), warm[level])
    for program in programs.values():
        program.advance()
    while ours and not copied and not quick and ours.turns * ours.steps < WARM_UP:
        ours.advance()
    rates = alternate(programs, 1 if quick else 5)
    if ours and batch >= TILE:
        warm[level] = ours.state
    row: dict[str, Any] = {"level": level, "batch": batch}
    for engine, program in programs.items():
        trips = contact_turns(program) if engine == "specialised" else 1.0
        counted = operations_of(
            program.function, program.state, program.start, jax.random.key(0), trips=trips
        )
        per_step = counted / (program.steps * batch)
        row[engine] = {
            "steps_per_second": rates[engine],
            "compile_seconds": program.compiling,
            "bytes_per_environment": program.bytes / batch,
            "operations_per_step": per_step,
            "of_ceiling": per_step * rates[engine] / ceiling,
        }
    if len(rates) == 2:
        row["ratio"] = rates["specialised"] / rates["kinetix"]
    return row


def show(row: dict[str, Any]) -> str:
    cells = [f"{row['level']:18} {row['batch']:6}"]
    for engine in ENGINES:
        r = row.get(engine)
        cells.append(
            f"{r['steps_per_second']:11,.0f} {r['compile_seconds']:7.1f} "
            f"{r['bytes_per_environment'] / 1000:7.1f} {r['operations_per_step'] / 1000:7.1f} "
            f"{r['of_ceiling']:5.0%}"
            if r
            else f"{'-':>11} {'-':>7} {'-':>7} {'-':>7} {'-':>5}"
        )
    return " | ".join([*cells, f"{row['ratio']:6.1f}" if "ratio" in row else "     -"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", nargs="+", default=LEVELS)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 256, 2048, 16384])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--json", "--output", type=Path)
    parser.add_argument("--quick", action="store_true", help="one level, one batch, one repeat")
    options = parser.parse_args()
    if options.quick:
        options.levels, options.batches = ["cartpole_thrust"], [64]
    ceiling = elementwise_ceiling()
    print(f"{headline()}; fused elementwise ceiling {ceiling / 1e9:.1f} GF/s")
    part = f"{'steps/s':>11} {'compile':>7} {'kB/env':>7} {'kF/step':>7} {'ceil':>5}"
    print(f"{'':25} | {'ours':^41} | {'stock':^41}")
    print(f"{'level':18} {'batch':>6} | {part} | {part} | {'ratio':>6}")
    rows, stock, warm = [], {}, {}
    for level in options.levels:
        for batch in options.batches:
            row = bench(level, batch, options.engines, stock, ceiling, options.quick, warm)
            rows.append(row)
            print(show(row), flush=True)
    for batch in options.batches:
        ratios = [row["ratio"] for row in rows if row["batch"] == batch and "ratio" in row]
        if ratios:
            print(
                f"batch {batch}: ours / stock {min(ratios):.1f} at least, "
                f"{statistics.median(ratios):.1f} in the median of {len(ratios)} levels"
            )
    if options.json:
        facts = about() | {"ceiling": ceiling, "rows": rows}
        options.json.write_text(json.dumps(facts, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
