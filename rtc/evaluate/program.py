"""The compiled programs of one method on one level: delay, horizon and estimate are traced.

There are two, called in turns: one makes a chunk for every slot, the other executes it. The
second, which holds the physics and takes most of the compilation, does not know the method, so
methods of a level share it: within a process, and through the compilation cache across jobs. A
method that acts on every step has a second one of its own. Before the two, where the method's
entry asks for it, a third one makes a forecast.

Bits: on the CPU a row of a matrix product may differ in its last bit with the number of rows,
and a robot that touches something makes much of a last bit. So the number of slots there is
always `CPU_SLOTS`, and results are the same, bit for bit, whatever `rollouts_per_batch` says. On
an accelerator more slots are faster, and results of different batchings agree as far as its
arithmetic does; equal batchings agree bit for bit.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rtc.config.cells import delay_probabilities
from rtc.config.sections import Cell
from rtc.evaluate.forecast import foresee
from rtc.evaluate.noise import Streams, normal_at
from rtc.evaluate.scene import Scene
from rtc.evaluate.slots import (
    Plan,
    Start,
    Sweep,
    begin,
    make_chunk,
    play_acting,
    play_chunk,
)
from rtc.flow import sample
from rtc.types import Array, PyTree

# A CPU gains next to nothing from more rows at once, and loses those of slots that have run dry: at
# 64 rollouts 16 take half of the time that 64 take, at 512 as much, within a tenth either way.
CPU_SLOTS = 16
# Networks are matrix products, whose code is not LLVM's: half of its compilation, and a twentieth
# of the run, are saved. Not for physics, which would be slower by up to a third.
NETWORK_OPTIONS = {"xla_backend_optimization_level": 1}
# Chunks between two looks at the progress; where all rollouts are finished, they cost nothing.
CHUNKS_PER_LOOK = 32


class Program(NamedTuple):
    """Jitted functions. slots: how many rollouts are played side by side.

    start(policies, streams) -> Start. begin(start) -> Sweep. carry(start) -> the method's state.
    foresee(plan, slots) -> the forecast, or None.
    make(policies, streams, plan, slots, carry, forecast) -> chunk, carry.
    play(streams, plan, start, sweep, chunk) -> Sweep, in which that chunk has been executed.
    act(streams, plan, start, sweep, chunk, policies, carry) -> Sweep, carry: in place of `play`
    for a method that acts on every step, else None.
    """

    slots: int
    start: Callable[..., Start]
    begin: Callable[..., Sweep]
    carry: Callable[..., PyTree]
    foresee: Callable[..., Array | None]
    make: Callable[..., tuple[Array, PyTree]]
    play: Callable[..., Sweep]
    act: Callable[..., tuple[Sweep, PyTree]] | None


def slot_count(rollouts: int, rollouts_per_batch: int, platform: str) -> int:
    """Returns how many rollouts are played side by side, a multiple of CPU_SLOTS."""
    if platform == "cpu":
        return CPU_SLOTS
    return -(-min(rollouts, rollouts_per_batch) // CPU_SLOTS) * CPU_SLOTS


def make_program(
    scene: Scene, rollouts: int, slots: int, known: dict[Any, Callable] | None = None
) -> Program:
    """Returns the programs that play `rollouts` episodes in `slots` slots.

    known: programs of other methods on the same level, policy, rollouts and slots; what does not
    know the method is taken from there, or put there.
    """
    known = {} if known is None else known

    def carry(start: Start) -> PyTree:
        return scene.init(slots, *start.chunks.shape[1:])

    return Program(
        slots=slots,
        start=known.setdefault(
            ("start", scene.flow_steps, scene.graphs[1] is None),
            _start_in_groups(scene, rollouts, slots),
        ),
        begin=known.setdefault("begin", jax.jit(lambda start: begin(scene, start, slots))),
        carry=jax.jit(carry),
        foresee=_forecast(scene, known),
        make=jax.jit(
            partial(make_chunk, scene), donate_argnums=4, compiler_options=_network_options()
        ),
        play=known.setdefault("play", jax.jit(partial(play_chunk, scene), donate_argnums=3)),
        act=jax.jit(partial(play_acting, scene), donate_argnums=(3, 6)) if scene.acts else None,
    )


def _network_options() -> dict[str, Any] | None:
    return NETWORK_OPTIONS if jax.default_backend() == "cpu" else None


def _forecast(scene: Scene, known: dict[Any, Callable]) -> Callable[..., Array | None]:
    """What makes the method's forecasts; methods with the same forecaster share it."""
    if scene.forecaster is None:
        return lambda plan, slots: None
    digest = scene.forecaster.level.digest
    return known.setdefault(("foresee", digest), jax.jit(partial(foresee, scene)))


def _start_in_groups(scene: Scene, rollouts: int, slots: int) -> Callable[..., Start]:
    """The first observation, and a naive sample from it for each rollout."""

    @partial(jax.jit, compiler_options=_network_options())
    def group(policies: PyTree, streams: Streams, first: Any) -> tuple[Any, Any]:
        policy, _ = scene.merge(policies)
        obs = scene.env.observe(scene.env.reset(slots))
        rollout = first + jnp.arange(slots, dtype=jnp.int32)
        shape = (policy.action_chunk_size, policy.action_dim)
        noise = normal_at(streams.first, rollout, jnp.zeros_like(rollout), shape)
        observed = scene.policy_observation(obs)
        return obs[0], sample(policy, observed, noise, scene.flow_steps)

    def start(policies: PyTree, streams: Streams) -> Start:
        groups = [group(policies, streams, jnp.int32(i)) for i in range(0, rollouts, slots)]
        return Start(groups[0][0], jnp.concatenate([chunks for _, chunks in groups])[:rollouts])

    return start


def make_plan(cell: Cell, chunk_size: int) -> Plan:
    """Returns the cell as numbers."""
    probabilities = np.asarray(delay_probabilities(cell.delay, chunk_size))
    cumulative = np.cumsum(probabilities)
    # Rounding must not leave a gap below 1 after the last delay that can happen.
    cumulative[np.flatnonzero(probabilities)[-1] :] = 1.0
    return Plan(
        cumulative=jnp.asarray(cumulative, jnp.float32),
        horizon=jnp.int32(cell.horizon),
        estimate=jnp.int32(cell.estimate),
    )


def next_chunk(
    program: Program,
    policies: PyTree,
    streams: Streams,
    plan: Plan,
    start: Start,
    sweep: Sweep,
    carry: PyTree,
) -> tuple[Sweep, PyTree]:
    """Makes and plays one chunk in every slot; `sweep` and `carry` are used up."""
    forecast = program.foresee(plan, sweep.slots)
    slots = sweep.slots._replace(env=())
    chunk, carry = program.make(policies, streams, plan, slots, carry, forecast)
    if program.act is not None:
        return program.act(streams, plan, start, sweep, chunk, policies, carry)
    return program.play(streams, plan, start, sweep, chunk), carry


def warm_up(
    program: Program, policies: PyTree, streams: Streams, plan: Plan, start: Start
) -> float:
    """Compiles by playing one chunk, of any plan; returns the seconds that took."""
    begun = time.perf_counter()
    sweep, carry = program.begin(start), program.carry(start)
    jax.block_until_ready(next_chunk(program, policies, streams, plan, start, sweep, carry))
    return time.perf_counter() - begun


def play_cell(
    program: Program,
    policies: PyTree,
    streams: Streams,
    plan: Plan,
    start: Start,
    progress: Callable[[int], None] = lambda finished: None,
) -> tuple[dict[str, np.ndarray], int]:
    """Plays all rollouts of one cell.

    progress: called now and then with the number of rollouts finished so far.
    Returns each metric [n] by rollout, and how many chunks were made.
    """
    sweep, carry, running = program.begin(start), program.carry(start), True
    while running:
        for _ in range(CHUNKS_PER_LOOK):
            sweep, carry = next_chunk(program, policies, streams, plan, start, sweep, carry)
        alive = int(jnp.sum(sweep.slots.alive))
        running, finished = alive > 0, int(sweep.next_rollout) - alive
        progress(finished)
    return {name: np.asarray(metric) for name, metric in sweep.results.items()}, int(sweep.chunks)
