"""An evaluation cell: rollouts under inference delay, ours beside the plain form.

Chunks made and executed at d = 1, s = 2 with a random policy of the quick default's size (or the
paper's, --paper), network, physics and metrics together. The plain form is the reference's: stock
Kinetix engine, observation projected for every token and step, AdaLN and VJP for each sample, all
679 observations. Both take turns; the best turn counts; compilation apart.

    python benchmarks/bench_evaluation.py [--levels ...] [--paper] [--json FILE] [--quick]
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import plain_flow
import yaml
from flax import nnx
from machine import about, headline

from rtc.config.sections import Cell
from rtc.env import make_env
from rtc.evaluate.noise import make_streams
from rtc.evaluate.program import make_plan, make_program, next_chunk, slot_count, warm_up
from rtc.evaluate.scene import make_scene
from rtc.evaluate.tally import used_actions
from rtc.flow import FlowPolicy, ModelConfig
from rtc.levels import load_level
from rtc.methods.naive import Naive
from rtc.methods.realtime import Realtime

ROOT = Path(__file__).parents[1]
DELAY, HORIZON, FLOW_STEPS, BETA = 1, 2, 5, 5.0


@dataclasses.dataclass(frozen=True)
class Plain(Naive):
    """naive, or realtime, by the plain formulas."""

    guided: bool = False

    def __call__(self, policy, weak_policy, context, carry, flow_steps, return_tracking=False):
        obs, noise = context.obs, context.noise[0]
        if not self.guided:
            return plain_flow.naive(policy, obs, noise, flow_steps), carry
        end = policy.action_chunk_size - context.horizon
        chunk = plain_flow.realtime(
            policy, obs, noise, flow_steps, context.previous, context.delay, end, BETA
        )
        return chunk, carry


METHODS = {
    "naive": (Naive(), Plain()),
    "realtime": (Realtime(schedule="exp", beta=BETA), Plain(guided=True)),
}


def model_config(paper: bool) -> ModelConfig:
    """The size of the paper's policy, which is ModelConfig's default, or the quick default's."""
    if paper:
        return ModelConfig()
    flow = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())["policies"]["flow"]
    names = [field.name for field in dataclasses.fields(ModelConfig)]
    return ModelConfig(**{name: flow[name] for name in names})


def prepare(
    level: str, engine: str, method: Any, model: ModelConfig, rollouts: int, chunks: int
) -> tuple[Callable[[], float], float]:
    """(a turn that returns environment steps a second, seconds of compilation)."""
    env = make_env(level, engine=engine)
    stock = engine == "kinetix"
    width = len(env.observation_constants) if stock else env.observation_size
    policy = FlowPolicy(obs_dim=width, action_dim=6, config=model, rngs=nnx.Rngs(0))
    used = used_actions(load_level(level))
    scene, policies = make_scene(
        env, method, policy, None, used=used, action_noise=0.1, flow_steps=FLOW_STEPS
    )
    slots = slot_count(rollouts, rollouts, jax.default_backend())
    program = make_program(scene, rollouts, slots)
    streams = make_streams(0, level, 0)
    start = program.start(policies, streams)
    plan = make_plan(Cell(delay=DELAY, horizon=HORIZON, estimate=DELAY), policy.action_chunk_size)
    compiling = warm_up(program, policies, streams, plan, start)

    def turn() -> float:
        sweep, carry = program.begin(start), program.carry(start)
        jax.block_until_ready((sweep, carry))
        began = time.perf_counter()
        for _ in range(chunks):
            sweep, carry = next_chunk(program, policies, streams, plan, start, sweep, carry)
        made = int(sweep.chunks)
        return made * HORIZON / (time.perf_counter() - began)

    return turn, compiling


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", nargs="+", default=["h17_unicycle", "mjc_swimmer"])
    parser.add_argument("--rollouts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--paper", action="store_true", help="a policy of the paper's size")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.levels, options.rollouts, options.rounds = ["cartpole_thrust"], 64, 1
    model = model_config(options.paper)
    print(headline())
    print(f"{model}, {FLOW_STEPS} flow steps")
    print("environment steps a second of a cell, d = 1, s = 2")
    print(
        f"{'level':18} {'method':9} {'ours':>9} {'plain':>9} {'ratio':>6} compile s, ours / plain"
    )
    rows = []
    for level in options.levels:
        for name, (method, plain) in METHODS.items():
            ours, compiling = prepare(level, "specialised", method, model, options.rollouts, 16)
            slow, plain_compiling = prepare(level, "kinetix", plain, model, options.rollouts, 2)
            rates = np.array([(ours(), slow()) for _ in range(options.rounds)]).max(axis=0)
            row = {
                "level": level,
                "method": name,
                "ours": rates[0],
                "plain": rates[1],
                "ratio": rates[0] / rates[1],
                "compile": compiling,
                "plain_compile": plain_compiling,
            }
            rows.append(row)
            print(
                f"{level:18} {name:9} {rates[0]:9,.0f} {rates[1]:9,.0f} {row['ratio']:6.1f} "
                f"{compiling:9.1f} / {plain_compiling:.1f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(about() | {"rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
