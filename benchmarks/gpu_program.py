"""What a GPU would run, seen without one: launches, waits of the host, bytes, operations.

Compiles a stage of the pipeline for a named GPU (no device needed, nothing is run) and counts the
scheduled program. A count is of one unit of the stage: an environment step of the whole batch, a
minibatch, a chunk of all slots. Loops whose length only the device knows (contacts) are counted as
often as --trips says. Seconds are those of XLA's compilation alone.

    python benchmarks/gpu_program.py [--stages ...] [--levels ...] [--batch 2048] [--gpu h100]
                                     [--trips 4] [--json FILE] [--quick] [--dump FOLDER]

In an environment with `pip install -e .[gpu-check]`.
"""

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gpu_target import GPUS, as_if_on_gpu, compile_for, prepare_process

prepare_process()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import yaml  # noqa: E402
from hlo import Program  # noqa: E402
from operations import operations_of  # noqa: E402

import rtc  # noqa: E402

ROOT = Path(__file__).parents[1]
LEVELS = sorted(path.stem for path in (ROOT / "config" / "levels").glob("*.yaml"))


class Work(NamedTuple):
    """A function with its arguments, and what its cost is divided by.

    units: environment steps of the batch, minibatches or chunks in one call. samples: what a
    unit yields, such as the environments of a batch. outer: turns counted of a loop of traced
    length around the units, if there is one.
    """

    function: Callable[..., Any]
    arguments: tuple
    units: float
    samples: float
    outer: tuple[float, ...] = ()


def paper(*section: str) -> dict[str, Any]:
    """A section of config.yaml with what paper.yaml says laid over it."""
    merged: dict[str, Any] = {}
    for name in ("config.yaml", "paper.yaml"):
        part = yaml.safe_load((ROOT / "config" / name).read_text())
        for key in section:
            part = part.get(key, {})
        merged |= part
    return merged


def step(level: str, batch: int) -> Work:
    """The environment alone, with its replay."""
    env = rtc.make_env(level)

    def roll(state: Any, actions: jax.Array) -> Any:
        def one(state: Any, action: jax.Array) -> Any:
            state, stepped = env.step(state, action)
            return env.replay(state, stepped.done), (stepped.obs, stepped.reward, stepped.distance)

        return jax.lax.scan(one, state, actions)

    actions = jnp.zeros((16, batch, env.action_size))
    return Work(roll, (env.reset(batch), actions), 16, batch)


def _experts(level: str) -> tuple[Any, Any, Any]:
    from rtc.config.build import build
    from rtc.config.sections import EnvConfig, ExpertConfig
    from rtc.env.wrappers import expert_stack
    from rtc.experts.ppo import init_training

    config = build(ExpertConfig, paper("experts"), "experts")
    env_config = build(EnvConfig, paper("env"), "env")
    task = expert_stack(rtc.make_env(level), env_config, config)
    keys = jax.random.split(jax.random.key(0), config.seeds_per_job)
    state = jax.eval_shape(lambda keys: init_training(task, config, keys), keys)
    return task, config, state


def rollout(level: str, batch: int) -> Work:
    """Steps in which experts learn: networks, noise, wrappers and physics; six seeds."""
    from rtc.experts.ppo import play

    task, config, state = _experts(level)
    function = partial(play, task, steps=config.rollout_steps)
    arguments = (state.learner.params, state.envs, state.key)
    return Work(function, arguments, config.rollout_steps, config.num_envs * len(state.key))


def train(level: str, batch: int) -> Work:
    """A whole update of six experts, a unit being one step of all environments."""
    from rtc.experts.ppo import train_interval

    task, config, state = _experts(level)
    arguments = (state, jnp.int32(1))
    samples = config.num_envs * len(state.key)
    function = partial(train_interval, task, config)
    return Work(function, arguments, config.rollout_steps, samples, (1,))


def collect(level: str, batch: int) -> Work:
    """Steps in which experts fill a data set."""
    from rtc.config.build import build
    from rtc.config.sections import DatasetConfig, EnvConfig
    from rtc.datasets.play import play_block, start_play
    from rtc.env.wrappers import collect_stack

    _, _, state = _experts(level)
    envs = build(DatasetConfig, paper("datasets"), "datasets").num_envs
    stack = collect_stack(rtc.make_env(level), build(EnvConfig, paper("env"), "env"), 4)
    params = state.learner.params
    begun = jax.eval_shape(partial(start_play, stack, 6, envs), jax.random.key(0))
    return Work(lambda p, s: play_block(stack, p, s, 64), (params, begun), 64, envs)


def policy(level: str, batch: int) -> Work:
    """A minibatch of a flow policy."""
    from rtc.config.build import build
    from rtc.config.sections import PolicyConfig
    from rtc.training.learner import (
        Learner,
        describe,
        init_params,
        make_optimizer,
        make_train,
    )
    from rtc.training.objectives import DeviceRows

    config = build(PolicyConfig, paper("policies", "flow"), "policies.flow")
    observations = rtc.make_env(level).observation_size
    graph, _ = describe(observations, 6, config)
    keys = jax.random.split(jax.random.key(0), 1)

    def learner(keys: jax.Array) -> Learner:
        params = init_params(observations, 6, config, keys)
        return Learner(params, jax.vmap(make_optimizer(config).init)(params))

    rows = DeviceRows(
        jnp.zeros((2**16, observations)), jnp.zeros((2**16, 6)), jnp.zeros(2**16, int)
    )
    starts = jnp.zeros((1, 64, config.batch_size), jnp.int32)
    arguments = (jax.eval_shape(learner, keys), rows, starts, keys, jnp.int32(0), jnp.int32(1))
    return Work(make_train(graph, config, 1), arguments, 1, config.batch_size, (1,))


def _evaluation(level: str, batch: int, method: Any) -> tuple:
    from flax import nnx

    from rtc.config.sections import Cell
    from rtc.evaluate.noise import make_streams
    from rtc.evaluate.program import make_plan
    from rtc.evaluate.scene import make_scene
    from rtc.evaluate.slots import Start, begin
    from rtc.evaluate.tally import used_actions
    from rtc.flow import FlowPolicy, ModelConfig

    env = rtc.make_env(level)
    network = FlowPolicy(
        obs_dim=env.observation_size, action_dim=6, config=ModelConfig(), rngs=nnx.Rngs(0)
    )
    used = used_actions(rtc.load_level(level))
    scene, policies = make_scene(
        env, method, network, None, used=used, action_noise=0.1, flow_steps=5
    )
    start = Start(jnp.zeros(env.observation_size), jnp.zeros((batch, 8, 6)))
    sweep = jax.eval_shape(lambda start: begin(scene, start, batch), start)
    plan = make_plan(Cell(delay=1, horizon=2, estimate=1), 8)
    return scene, policies, make_streams(0, level, 0), plan, start, sweep


def execute(level: str, batch: int) -> Work:
    """Steps of an evaluation: a chunk is executed; counted with one step of it."""
    from rtc.evaluate.slots import play_chunk
    from rtc.methods.naive import Naive

    scene, _, streams, plan, start, sweep = _evaluation(level, batch, Naive())
    chunk = jnp.zeros((batch, 8, 6))
    return Work(partial(play_chunk, scene), (streams, plan, start, sweep, chunk), 1, batch, (1,))


def _infer(method: Any, level: str, batch: int) -> Work:
    from rtc.evaluate.slots import make_chunk

    scene, policies, streams, plan, start, sweep = _evaluation(level, batch, method)
    slots = sweep.slots._replace(env=())
    carry = scene.method.init(batch, *start.chunks.shape[1:])
    arguments = (policies, streams, plan, slots, carry)
    return Work(partial(make_chunk, scene), arguments, 1, batch)


def naive(level: str, batch: int) -> Work:
    """A chunk of every slot, without guidance."""
    from rtc.methods.naive import Naive

    return _infer(Naive(), level, batch)


def realtime(level: str, batch: int) -> Work:
    """A chunk of every slot, guided."""
    from rtc.methods.realtime import Realtime

    return _infer(Realtime(schedule="exp", beta=5.0), level, batch)


STAGES = {f.__name__: f for f in (step, rollout, train, collect, policy, naive, realtime, execute)}


def measure(
    stage: str, level: str, batch: int, gpu: str, trips: float, dump: Path | None
) -> dict[str, Any]:
    """One row of the table, per unit and, bytes and operations, per sample of a unit."""
    with as_if_on_gpu():  # some branches are taken when a program is put together
        work = STAGES[stage](level, batch)
    compiled = compile_for(gpu, work.function, *work.arguments)
    if dump:
        dump.mkdir(parents=True, exist_ok=True)
        (dump / f"{stage}_{level}.hlo").write_text(compiled.text)
    program = Program(compiled.text, (*work.outer, trips))
    cost = program.cost() * (1 / work.units)
    counted = operations_of(work.function, *work.arguments, trips=trips)
    # The loop around the units was counted as often as those over contacts.
    counted = counted * work.outer[0] / trips if work.outer else counted
    return {
        "stage": stage,
        "level": level,
        "gpu": gpu,
        "samples": work.samples,
        "launches": cost.launches,
        "waits": cost.waits,
        "bytes_per_sample": cost.bytes / work.samples,
        "operations_per_sample": counted / work.units / work.samples,
        "compile_seconds": compiled.seconds,
        "loops": program.loops(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--levels", nargs="+", default=["h17_unicycle"])
    parser.add_argument("--batch", type=int, default=2048, help="of step, naive, realtime, execute")
    parser.add_argument("--gpu", choices=GPUS, default="h100")
    parser.add_argument("--trips", type=float, default=4, help="contacts of an environment")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--dump", type=Path, help="a folder for the programs")
    parser.add_argument("--quick", action="store_true", help="one stage of one level")
    options = parser.parse_args()
    if options.quick:
        options.stages, options.levels = ["step"], ["cartpole_thrust"]
    print(f"compiled for {GPUS[options.gpu]['name']}, not run on a GPU; jax {jax.__version__}")
    heads = ("launches", "waits", "bytes", "operations", "compile s")
    print(f"{'level':18} {'stage':9} {'samples':>8}" + "".join(f"{head:>12}" for head in heads))
    rows = []
    for level in options.levels:
        for stage in options.stages:
            row = measure(stage, level, options.batch, options.gpu, options.trips, options.dump)
            rows.append(row)
            print(
                f"{level:18} {stage:9} {row['samples']:8}{row['launches']:12,.1f}"
                f"{row['waits']:12,.1f}{row['bytes_per_sample']:12,.0f}{row['operations_per_sample']:12,.0f}"
                f"{row['compile_seconds']:12.1f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps({"jax": jax.__version__, "rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
