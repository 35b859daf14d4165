"""Chunks per second of every method at the paper's policy size, beside the plain formulas.

    python benchmarks/bench_methods.py [--quick] [--json out.json]

Compile and run time apart. The programs take turns, so that whatever else the machine does hits
all of them; the fastest turn counts. `ratio` is the speed over the plain transcription of the
same formula (benchmarks/plain_flow.py), for the two methods that have one. `ceiling` is the share
of what this device does in one large float32 product; only the mixers' products count, which
every form needs, so what a form computes beside them lowers its share.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import plain_flow
from flax import nnx
from machine import about, headline

from rtc.config.sections import MethodConfig
from rtc.flow import FlowPolicy, ModelConfig
from rtc.methods import Context, make_method

OBSERVATIONS, ACTIONS, FLOW_STEPS, BETA, DELAY, HORIZON = 679, 6, 5, 5.0, 1, 2
ENTRIES = {
    "naive": ("naive", {}),
    "realtime": ("realtime", {"schedule": "exp", "beta": BETA}),
    "realtime identity": (
        "realtime",
        {"schedule": "exp", "beta": BETA, "jacobian": "identity"},
    ),
    "bid": ("bid", {"samples": 32, "keep": 3, "weak_epoch": 8}),
    "bid rejection": ("bid", {"samples": 16}),
    "te": ("te", {"m": 0.01}),
    "ttrtc": ("ttrtc", {}),
    "diffuser_overwrite": ("diffuser_overwrite", {}),
}
PLAIN = {"naive": "plain naive", "realtime": "plain realtime"}


def make_policy(config: ModelConfig, seed: int) -> FlowPolicy:
    """A random policy of the given size, none of whose layers is zero."""
    policy = FlowPolicy(
        obs_dim=OBSERVATIONS, action_dim=ACTIONS, config=config, rngs=nnx.Rngs(seed)
    )
    graph, state = nnx.split(policy)
    key = jax.random.key(seed)
    return nnx.merge(
        graph, jax.tree.map(lambda x: x + 0.02 * jax.random.normal(key, x.shape), state)
    )


def programs(batch: int, names: list[str], policy: FlowPolicy, weak: FlowPolicy) -> dict:
    """Name -> (function, arguments); delay and horizon are arguments, hence traced."""
    keys = jax.random.split(jax.random.key(0), 3)
    chunk = (batch, policy.action_chunk_size, ACTIONS)
    obs = jax.random.normal(keys[0], (batch, OBSERVATIONS))
    previous = jax.random.normal(keys[1], chunk)
    end = policy.action_chunk_size - HORIZON
    found = {}
    for name in names:
        method = make_method(MethodConfig(ENTRIES[name][0], "flow", ENTRIES[name][1]), name)
        noise = jax.random.normal(keys[2], (method.samples, *chunk))
        context = Context(obs, previous, jnp.int32(DELAY), jnp.int32(HORIZON), keys[2], noise)
        carry = method.init(batch, *chunk[1:])

        def run(policy, weak, context, carry, method=method):
            return method(policy, weak, context, carry, FLOW_STEPS)

        found[name] = (run, (policy, weak, context, carry))
        if name == "naive":
            found[PLAIN[name]] = (
                lambda policy, obs, noise: plain_flow.naive(policy, obs, noise, FLOW_STEPS),
                (policy, obs, noise[0]),
            )
        if name == "realtime":
            found[PLAIN[name]] = (
                lambda policy, obs, noise, previous, delay, end: plain_flow.realtime(
                    policy, obs, noise, FLOW_STEPS, previous, delay, end, BETA
                ),
                (policy, obs, noise[0], previous, jnp.int32(DELAY), jnp.int32(end)),
            )
    return found


def measure(found: dict, seconds: float, turns: int) -> dict:
    """Name -> compile time and seconds a call, of the fastest of `turns` turns."""
    results, compiled = {}, {}
    for name, (function, arguments) in found.items():
        start = time.perf_counter()
        compiled[name] = jax.jit(function).lower(*arguments).compile()
        results[name] = {"compile_s": time.perf_counter() - start, "run_s": float("inf")}
        start = time.perf_counter()
        jax.block_until_ready(compiled[name](*arguments))
        results[name]["calls"] = max(1, int(seconds / (time.perf_counter() - start)))
    for _ in range(turns):
        for name, (_, arguments) in found.items():
            calls = results[name]["calls"]
            start = time.perf_counter()
            for _ in range(calls):
                output = compiled[name](*arguments)
            jax.block_until_ready(output)
            one = (time.perf_counter() - start) / calls
            results[name]["run_s"] = min(results[name]["run_s"], one)
    return results


def mixer_operations(name: str, config: ModelConfig) -> float:
    """Multiplications and additions of the mixers in one chunk of a method.

    The gradient with respect to the chunk takes as many products as the velocity.
    """
    method = make_method(MethodConfig(ENTRIES[name][0], "flow", ENTRIES[name][1]), name)
    hidden = config.token_hidden_dim + config.channel_hidden_dim
    layer = 2 * 2 * config.action_chunk_size * config.channel_dim * hidden
    return method.network_evaluations(FLOW_STEPS) * config.num_layers * layer


def matmul_ceiling() -> float:
    """Operations a second of a large float32 product."""
    side = 2048 if jax.default_backend() == "cpu" else 8192
    square = jax.random.normal(jax.random.key(0), (side, side))
    product = jax.jit(lambda x: jnp.matmul(x, x, precision=jax.lax.Precision.HIGHEST))
    found = {"product": (product, (square,))}
    return 2.0 * side**3 / measure(found, 0.2, 5)["product"]["run_s"]


def report(batch: int, results: dict, config: ModelConfig, ceiling: float) -> list[dict]:
    """Rows of the table for one batch size, printed as they are made."""
    rows = []
    for name, result in results.items():
        rate = batch / result["run_s"]
        row = {"method": name, "batch": batch, "chunks_per_s": rate, **result}
        if name in PLAIN:
            row["ratio"] = results[PLAIN[name]]["run_s"] / result["run_s"]
        rows.append(row)
        row["of_ceiling"] = rate * mixer_operations(name.removeprefix("plain "), config) / ceiling
        ratio = f"{row['ratio']:7.2f}" if "ratio" in row else ""
        print(
            f"{name:20s} {batch:6d} {result['compile_s']:10.2f} {1e3 * result['run_s']:10.3f}"
            f" {rate:12.0f} {row['of_ceiling']:8.0%} {ratio}"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small network, for a smoke test")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 256])
    parser.add_argument("--methods", nargs="+", default=list(ENTRIES), choices=list(ENTRIES))
    parser.add_argument("--precision", default="float32")
    options = parser.parse_args()
    small = {"channel_dim": 32, "channel_hidden_dim": 32, "token_hidden_dim": 16, "num_layers": 1}
    config = ModelConfig(precision=options.precision, **(small if options.quick else {}))
    # As for a robot or a sweep: what no observation enters is computed once a checkpoint.
    policy, weak = (make_policy(config, seed).prepare(FLOW_STEPS) for seed in (0, 1))
    print(headline())
    print(f"{config}, {FLOW_STEPS} flow steps")
    ceiling = matmul_ceiling()
    print(f"one large product: {ceiling / 1e9:.1f} GF/s")
    print("method                batch  compile s     run ms     chunks/s  ceiling  ratio to plain")
    rows = []
    for batch in [1, 8] if options.quick else options.batches:
        found = programs(batch, options.methods, policy, weak)
        seconds, turns = (0.0, 1) if options.quick else (0.2, 5)
        rows += report(batch, measure(found, seconds, turns), config, ceiling)
    if options.json:
        facts = about() | {"quick": options.quick, "ceiling": ceiling, "rows": rows}
        options.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
