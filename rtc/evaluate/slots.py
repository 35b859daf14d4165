"""Slots: the places in which rollouts are played side by side, one chunk after another.

A chunk is made for all slots at once, its steps are executed, and a slot whose episode has
ended takes the next rollout from the queue. So no rollout is stepped or inferred beyond the
chunk in which its first episode ended, and memory grows with the slots, not with the rollouts.

Only `make_chunk` knows the method: `play_chunk` is one program for all methods of a level that
do not act on every step. Those that do have one of their own, `play_acting`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rtc.evaluate.noise import Streams, chunk_noise, draw_delays, keys_at, normal_at
from rtc.evaluate.scene import Scene
from rtc.evaluate.tally import Tally, count_chunk, count_step, empty_tally, outcomes
from rtc.methods import Context
from rtc.types import Array, Bool, Int, PyTree


class Plan(NamedTuple):
    """A cell as traced numbers, so that all cells share one program.

    cumulative: [d] probability of a delay of at most 0, 1, ... steps. horizon: [] steps that a
    chunk is executed for. estimate: [] delay that the method is told.
    """

    cumulative: Array
    horizon: Array
    estimate: Array


class Slots(NamedTuple):
    """What is played; first axis b of every leaf but the environment's own.

    env: its state. obs: [b, o]. rollout: [b] number played; that of no rollout if idle.
    alive: [b] its episode has not ended. previous: [b, h, a] chunk in execution, aligned to
    now. made: [b] chunks made in this episode. source: [b] number of the chunk that the last
    action was of. tally: sums so far.
    """

    env: PyTree
    obs: Array
    rollout: Array
    alive: Array
    previous: Array
    made: Array
    source: Array
    tally: Tally


class Start(NamedTuple):
    """How episodes begin. obs: [o] first observation, the same for all. chunks: [n, h, a] what
    each of the n rollouts executes until its first own chunk is ready."""

    obs: Array
    chunks: Array


class Sweep(NamedTuple):
    """One cell under way. next_rollout: [] first that no slot has begun. results: a [n]
    array of each metric, filled where a rollout is finished. chunks: [] made by all slots."""

    slots: Slots
    next_rollout: Array
    results: dict[str, Array]
    chunks: Array


def begin(scene: Scene, start: Start, width: int) -> Sweep:
    """Returns the sweep with the first rollouts in `width` slots."""
    rollouts = start.chunks.shape[0]
    rollout = jnp.minimum(jnp.arange(width, dtype=jnp.int32), rollouts)
    slots = _fresh(scene, start, scene.env.reset(width), rollout)
    results = {
        name: jnp.zeros(rollouts, metric.dtype) for name, metric in outcomes(slots.tally).items()
    }
    return Sweep(slots, jnp.int32(min(width, rollouts)), results, jnp.int32(0))


def _fresh(scene: Scene, start: Start, env: PyTree, rollout: Int[Array, "b"]) -> Slots:
    """Slots whose episodes are about to begin."""
    width, (rollouts, _, action_size) = rollout.shape[0], start.chunks.shape
    return Slots(
        env=env,
        obs=jnp.broadcast_to(start.obs[None], (width, *start.obs.shape)),
        rollout=rollout,
        alive=rollout < rollouts,
        previous=start.chunks[jnp.minimum(rollout, rollouts - 1)],
        made=jnp.zeros(width, jnp.int32),
        source=jnp.full(width, -1, jnp.int32),
        tally=empty_tally(width, action_size),
    )


def make_chunk(
    scene: Scene,
    policies: PyTree,
    streams: Streams,
    plan: Plan,
    slots: Slots,
    carry: PyTree,
    forecast: Array | None = None,
) -> tuple[Array, PyTree]:
    """Returns each slot's new chunk [b, h, a] and the method's new state.

    carry: the method's state after the last step; a slot whose episode begins forgets it.
    forecast: [b, o] of `rtc.evaluate.forecast`. Nothing is computed when no slot is alive.
    """
    carry = _where(slots.made == 0, scene.init(*slots.previous.shape), carry)

    def infer_all() -> tuple[Array, PyTree]:
        return infer(scene, policies, streams, plan, slots, carry, forecast)

    return jax.lax.cond(jnp.any(slots.alive), infer_all, lambda: (slots.previous, carry))


def infer(
    scene: Scene,
    policies: PyTree,
    streams: Streams,
    plan: Plan,
    slots: Slots,
    carry: PyTree,
    forecast: Array | None = None,
) -> tuple[Array, PyTree]:
    """Returns the method's chunk [b, h, a] for every slot, alive or not, and its new state."""
    policy, weak_policy = scene.merge(policies)
    time, shape = slots.tally.length, slots.previous.shape[1:]
    context = Context(
        obs=scene.policy_observation(slots.obs),
        previous=slots.previous,
        delay=plan.estimate,
        horizon=plan.horizon,
        key=keys_at(streams.method, slots.rollout, time),
        noise=chunk_noise(streams.chunk, slots.rollout, time, scene.method.samples, shape),
        forecast=None if forecast is None else scene.policy_observation(forecast),
        own=None if forecast is None else scene.own,
    )
    return scene.method(policy, weak_policy, context, carry, scene.flow_steps)


def play_chunk(
    scene: Scene, streams: Streams, plan: Plan, start: Start, sweep: Sweep, chunk: Array
) -> Sweep:
    """Executes each slot's new chunk [b, h, a], and refills the slots that are free."""
    return _play(scene, streams, plan, start, sweep, chunk, None, ())[0]


def play_acting(
    scene: Scene,
    streams: Streams,
    plan: Plan,
    start: Start,
    sweep: Sweep,
    chunk: Array,
    policies: PyTree,
    carry: PyTree,
) -> tuple[Sweep, PyTree]:
    """The same where the method acts on every step; also returns its new state."""
    return _play(scene, streams, plan, start, sweep, chunk, scene.act(policies), carry)


def _play(
    scene: Scene,
    streams: Streams,
    plan: Plan,
    start: Start,
    sweep: Sweep,
    chunk: Array,
    act: Callable | None,
    carry: PyTree,
) -> tuple[Sweep, PyTree]:
    slots = sweep.slots
    made = jnp.sum(slots.alive, dtype=jnp.int32)
    time = slots.tally.length
    delay = draw_delays(streams.delay, slots.rollout, time, plan.cumulative)
    mismatched = count_chunk(slots.tally, chunk, slots.previous, delay, scene.used)
    tally = _where(slots.alive, mismatched, slots.tally)
    slots = slots._replace(tally=tally)
    slots, carry = execute(scene, streams, plan, slots, chunk, delay, act, carry)
    shifted = jnp.concatenate([chunk, jnp.zeros_like(chunk)], axis=1)
    shifted = jax.lax.dynamic_slice_in_dim(shifted, plan.horizon, chunk.shape[1], axis=1)
    slots = slots._replace(previous=shifted, made=slots.made + 1)
    return refill(scene, start, sweep._replace(slots=slots, chunks=sweep.chunks + made)), carry


def execute(
    scene: Scene,
    streams: Streams,
    plan: Plan,
    slots: Slots,
    chunk: Array,
    delay: Array,
    act: Callable | None,
    carry: PyTree,
) -> tuple[Slots, PyTree]:
    """Executes `horizon` steps: `delay` [b] actions of the previous chunk, then the new one's.

    act: what a method makes of each, with its state `carry`; None, and () for the state, where it
    does not. Ends early where no slot is alive. What happens to a slot after its episode is not
    counted.
    """

    def step(state: tuple[Array, Slots, PyTree]) -> tuple[Array, Slots, PyTree]:
        index, slots, carry = state
        new = index >= delay
        old_action = jax.lax.dynamic_index_in_dim(slots.previous, index, 1, keepdims=False)
        new_action = jax.lax.dynamic_index_in_dim(chunk, index, 1, keepdims=False)
        action = jnp.where(new[:, None], new_action, old_action)
        if act is not None:
            place = jnp.where(new, index, index + plan.horizon)
            action, carry = act(slots.obs, action, place, carry)
        source = jnp.where(new, slots.made, slots.made - 1)
        time = slots.tally.length
        noise = normal_at(streams.action, slots.rollout, time, action.shape[1:])
        env = slots.env
        if scene.kicks is not None:
            env = scene.env.push(env, scene.kicks.changes(streams.action, slots.rollout, time))
        env, stepped = scene.env.step(env, action + scene.action_noise * noise)
        switched = (time > 0) & (source != slots.source)
        tally = count_step(
            slots.tally, action, switched, stepped.reward, stepped.solved & stepped.done, scene.used
        )
        return (
            index + 1,
            slots._replace(
                env=env,
                obs=stepped.obs,
                alive=slots.alive & ~stepped.done,
                source=source,
                tally=_where(slots.alive, tally, slots.tally),
            ),
            carry,
        )

    def unfinished(state: tuple[Array, Slots, PyTree]) -> Array:
        index, slots, _ = state
        return (index < plan.horizon) & jnp.any(slots.alive)

    return jax.lax.while_loop(unfinished, step, (jnp.int32(0), slots, carry))[1:]


def refill(scene: Scene, start: Start, sweep: Sweep) -> Sweep:
    """Writes down the episodes that have ended and puts the next rollouts in their slots."""
    slots, rollouts = sweep.slots, start.chunks.shape[0]
    free = ~slots.alive
    # An idle slot's number is out of range, and so it writes nothing.
    place = jnp.where(free, slots.rollout, rollouts)
    results = {
        name: sweep.results[name].at[place].set(metric, mode="drop")
        for name, metric in outcomes(slots.tally).items()
    }
    order = jnp.cumsum(free, dtype=jnp.int32) - 1
    rollout = jnp.where(free, jnp.minimum(sweep.next_rollout + order, rollouts), slots.rollout)
    # `replay` chooses by itself; where the environment keeps its batch axis is its own affair.
    env = scene.env.replay(slots.env, free)
    fresh = _fresh(scene, start, (), rollout)
    next_rollout = jnp.minimum(sweep.next_rollout + jnp.sum(free, dtype=jnp.int32), rollouts)
    return sweep._replace(
        slots=_where(free, fresh, slots._replace(env=()))._replace(env=env),
        next_rollout=next_rollout,
        results=results,
    )


def _where(mask: Bool[Array, "b"], yes: PyTree, no: PyTree) -> PyTree:
    """Chooses between two trees whose leaves have the batch first."""

    def choose(a: Array, b: Array) -> Array:
        return jnp.where(mask.reshape(mask.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, yes, no)
