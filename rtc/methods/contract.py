"""What every chunking method must satisfy, as checks that can be run on any of them.

    from rtc.methods.contract import check_method
    check_method(MyMethod(gain=2.0))

A small random policy stands in for a trained one, and `small(network)` for each network that a
method acts with: `check_method(MyMethod(), heads=[small(network)])`. Raises ContractError: which
method, which check, what was seen.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rtc.errors import RtcError
from rtc.flow import FlowPolicy, ModelConfig
from rtc.methods.interface import Context, EveryStep, Method

BATCH, CHUNK, OBSERVATIONS, ACTIONS, FLOW_STEPS = 3, 8, 5, 2, 4
CELLS = tuple((d, s) for d in range(5) for s in range(max(1, d), CHUNK - d + 1))
TOLERANCE = 1e-5


class ContractError(RtcError):
    """A method broke the contract."""


def small_policy(seed: int, chunk: int = CHUNK) -> FlowPolicy:
    """A random policy whose every layer acts (a fresh one ignores the flow time)."""
    config = ModelConfig(
        channel_dim=16,
        channel_hidden_dim=16,
        token_hidden_dim=8,
        num_layers=1,
        action_chunk_size=chunk,
    )
    sizes = {"obs_dim": OBSERVATIONS, "action_dim": ACTIONS}
    return small(FlowPolicy(**sizes, config=config, rngs=nnx.Rngs(seed)), seed)


def small(network: Any, seed: int = 0) -> Any:
    """The network with noise on its parameters, so that none is zero."""
    graph, state = nnx.split(network)
    leaves, tree = jax.tree.flatten(state)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    noisy = [x + 0.2 * jax.random.normal(key, x.shape) for x, key in zip(leaves, keys)]
    return nnx.merge(graph, jax.tree.unflatten(tree, noisy))


def example_context(method: Method, seed: int = 0) -> Context:
    """Random inputs for a batch of BATCH, at delay 0 and horizon 1."""
    obs_key, previous_key, noise_key, key = jax.random.split(jax.random.key(seed), 4)
    shape = (BATCH, CHUNK, ACTIONS)
    told = "forecast" in getattr(method, "needs", ())
    forecast = jax.random.normal(jax.random.key(seed + 1), (BATCH, OBSERVATIONS))
    return Context(
        obs=jax.random.normal(obs_key, (BATCH, OBSERVATIONS)),
        previous=jax.random.normal(previous_key, shape),
        delay=jnp.int32(0),
        horizon=jnp.int32(1),
        key=jax.random.split(key, BATCH),
        noise=jax.random.normal(noise_key, (method.samples, *shape)),
        forecast=forecast if told else None,
        own=jnp.arange(OBSERVATIONS) % 2 == 0 if told else None,
    )


class Trial:
    """A method compiled on the small policies; `traces` counts its compilations.

    run(context, carry) calls it for a chunk, act(obs, action, index, carry) for a step; `carry`
    None is a fresh one. heads: networks that it acts with.
    """

    def __init__(self, method: Method, heads: Sequence[nnx.Module] = ()):
        self.method = method
        self.acts = isinstance(method, EveryStep)
        self.name = type(method).__name__
        self.traces = 0
        weak = small_policy(1) if getattr(method, "weak_epoch", None) is not None else None
        graphs, self._states = nnx.split((small_policy(0), weak, tuple(heads)))

        def call(states: Any, context: Context, carry: Any, tracking: bool) -> Any:
            self.traces += 1
            policy, weak_policy, _ = nnx.merge(graphs, states)
            return method(policy, weak_policy, context, carry, FLOW_STEPS, tracking)

        def act(states: Any, obs: Any, action: Any, index: Any, carry: Any) -> Any:
            self.traces += 1
            policy, _, heads = nnx.merge(graphs, states)
            return method.act(policy, heads, obs, action, index, carry)

        self._call, self._act = jax.jit(call, static_argnums=3), jax.jit(act)

    def init(self, batch_size: int) -> Any:
        """A fresh carry."""
        sizes = (batch_size, CHUNK, ACTIONS, *((OBSERVATIONS,) if self.acts else ()))
        return self.method.init(*sizes)

    def run(self, context: Context, carry: Any = None, tracking: bool = False) -> Any:
        """`(chunk, carry)`, with tracking also the tracked steps."""
        batch_size = context.obs.shape[0]
        if carry is None:
            carry = self.init(batch_size)
        return self._traced(self._call, context, carry, tracking)

    def act(self, obs: Any, action: Any, index: Any, carry: Any = None) -> Any:
        """`(action, carry)`."""
        carry = self.init(len(obs)) if carry is None else carry
        return self._traced(self._act, obs, action, index, carry)

    def _traced(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(self._states, *arguments)
        except jax.errors.JAXTypeError as error:
            first = str(error).splitlines()[0]
            raise ContractError(f"{self.name}: an input was not traceable: {first}") from error

    def episode(self, context: Context, calls: int = 3) -> list[Any]:
        """The chunks of consecutive inferences at the context's delay and horizon, and between
        them the actions of the steps, where the method acts on them."""
        made, carry = [], None
        steps, late = int(context.horizon), int(context.delay)
        for _ in range(calls):
            chunk, carry = self.run(context, carry)
            made.append(chunk)
            for i in range(steps if self.acts else 0):
                held, place = (context.previous, i + steps) if i < late else (chunk, i)
                index = jnp.full(len(chunk), place, jnp.int32)
                action, carry = self.act(context.obs + i, held[:, i], index, carry)
                made.append(action)
            shifted = jnp.pad(chunk[:, steps:], ((0, 0), (0, steps), (0, 0)))
            context = context._replace(previous=shifted)
        return made

    def require(self, fact: bool, message: str) -> None:
        """Raises ContractError unless `fact`."""
        if not fact:
            raise ContractError(f"{self.name}: {message}")


def at_cell(context: Context, cell: tuple[int, int]) -> Context:
    """The same context at another (delay, horizon)."""
    return context._replace(delay=jnp.int32(cell[0]), horizon=jnp.int32(cell[1]))


def check_declaration(trial: Trial) -> None:
    """A frozen dataclass that states its samples, its promise and its cost."""
    method = trial.method
    frozen = dataclasses.is_dataclass(method) and method.__dataclass_params__.frozen
    trial.require(frozen, "must be a frozen dataclass")
    trial.require(isinstance(method.samples, int) and method.samples >= 1, "samples: int >= 1")
    trial.require(isinstance(method.keeps_prefix, bool), "keeps_prefix: True or False")
    cost = method.network_evaluations(FLOW_STEPS)
    trial.require(isinstance(cost, int) and cost >= 1, f"network_evaluations gave {cost!r}")
    half = hasattr(method, "act") != hasattr(method, "step_evaluations")
    trial.require(not half, "act and step_evaluations: offer both or neither")
    if trial.acts:
        cost = method.step_evaluations
        trial.require(isinstance(cost, int) and cost >= 0, f"step_evaluations is {cost!r}")


def check_shapes(trial: Trial) -> None:
    """The chunk is [b, h, a] float32 and finite; the carry keeps its form, batch first."""
    context = at_cell(example_context(trial.method), (1, 2))
    before = trial.init(BATCH)
    chunk, after = trial.run(context)
    expected = (BATCH, CHUNK, ACTIONS)
    trial.require(chunk.shape == expected, f"chunk has shape {chunk.shape}, not {expected}")
    trial.require(chunk.dtype == jnp.float32, f"chunk is {chunk.dtype}, not float32")
    trial.require(bool(jnp.all(jnp.isfinite(chunk))), "chunk is not finite")
    _require_same_form(trial, before, after)
    batched = all(leaf.shape[:1] == (BATCH,) for leaf in jax.tree.leaves(after))
    trial.require(batched, f"a leaf of the carry does not begin with the batch ({BATCH})")


def _require_same_form(trial: Trial, before: Any, after: Any) -> None:
    same = jax.tree.structure(before) == jax.tree.structure(after) and all(
        x.shape == y.shape and x.dtype == y.dtype
        for x, y in zip(jax.tree.leaves(before), jax.tree.leaves(after))
    )
    trial.require(same, "the carry that comes back differs in form from init's")


def check_determinism(trial: Trial) -> None:
    """The same inputs give the same bits."""
    context = at_cell(example_context(trial.method), (2, 3))
    for first, second in zip(trial.episode(context), trial.episode(context)):
        trial.require(bool(jnp.array_equal(first, second)), "two equal calls differ")


def check_batch_independence(trial: Trial) -> None:
    """A rollout's chunks do not depend on what else is in the batch."""
    context = at_cell(example_context(trial.method), (2, 3))
    order = jnp.array([2, 0, 1])
    turned, alone = _rows(context, order), _rows(context, jnp.array([0]))
    for whole, other, one in zip(
        trial.episode(context), trial.episode(turned), trial.episode(alone)
    ):
        worst = float(jnp.max(jnp.abs(whole[order] - other)))
        trial.require(worst < TOLERANCE, f"the order of the batch changes chunks by {worst:.1e}")
        worst = float(jnp.max(jnp.abs(whole[:1] - one)))
        trial.require(worst < TOLERANCE, f"batch size 1 changes chunks by {worst:.1e}")


def _rows(context: Context, order: Any) -> Context:
    """The context of some of the robots."""
    told = context.forecast is not None
    return context._replace(
        obs=context.obs[order],
        previous=context.previous[order],
        key=context.key[order],
        noise=context.noise[:, order],
        forecast=context.forecast[order] if told else None,
    )


def check_act(trial: Trial) -> None:
    """Where the method acts on every step: [b, a] float32 and finite, one compilation for every
    place in a chunk, the carry keeps its form."""
    if not trial.acts:
        return
    context = example_context(trial.method)
    _, carry = trial.run(context)
    before = trial.traces
    for index in range(CHUNK):
        places = jnp.full(BATCH, index, jnp.int32)
        action, after = trial.act(context.obs, context.previous[:, index], places, carry)
        expected = (BATCH, ACTIONS)
        trial.require(action.shape == expected, f"act gave {action.shape}, not {expected}")
        trial.require(action.dtype == jnp.float32, f"act gave {action.dtype}, not float32")
        trial.require(bool(jnp.all(jnp.isfinite(action))), "an action is not finite")
        _require_same_form(trial, carry, after)
    count = trial.traces - before
    trial.require(count <= 1, f"act was compiled {count} times over the places in a chunk")


def check_forecast(trial: Trial) -> None:
    """A method that needs a forecast makes something of it."""
    context = at_cell(example_context(trial.method), (2, 3))
    if context.forecast is None:
        return
    chunk, _ = trial.run(context)
    other, _ = trial.run(context._replace(forecast=context.forecast + 1))
    trial.require(not bool(jnp.array_equal(chunk, other)), "the forecast it needs is not used")


def check_traced_cells(trial: Trial) -> None:
    """One compilation serves every delay and horizon, and every chunk is finite."""
    context = example_context(trial.method)
    trial.run(context)
    before = trial.traces
    for cell in CELLS:
        chunk, _ = trial.run(at_cell(context, cell))
        trial.require(bool(jnp.all(jnp.isfinite(chunk))), f"not finite at (d, s) = {cell}")
    count = trial.traces - before
    trial.require(count == 0, f"compiled {count} more times over the cells")


def check_prefix(trial: Trial) -> None:
    """Where the method promises it, the first `delay` actions are those of the previous chunk."""
    context = example_context(trial.method)
    for cell in CELLS if trial.method.keeps_prefix else ():
        chunk, _ = trial.run(at_cell(context, cell))
        kept = jnp.array_equal(chunk[:, : cell[0]], context.previous[:, : cell[0]])
        trial.require(bool(kept), f"prefix not kept at (d, s) = {cell}")


def check_tracking(trial: Trial) -> None:
    """Tracking changes no bit of the chunk, and its steps lead from `noise` to `x_1`."""
    context = at_cell(example_context(trial.method), (2, 3))
    chunk, carry = trial.run(context)
    result = trial.run(context, tracking=True)
    trial.require(len(result) == 3, "return_tracking=True must return (chunk, carry, tracked)")
    trial.require(bool(jnp.array_equal(result[0], chunk)), "tracking changes the chunk")
    same = jax.tree.all(jax.tree.map(jnp.array_equal, carry, result[1]))
    trial.require(bool(same), "tracking changes the carry")
    tracked = result[2]
    missing = {"x_t", "v_t", "x_1_pred", "time", "noise", "x_1"} - set(tracked)
    trial.require(not missing, f"tracked steps lack {sorted(missing)}")
    for name in ("x_t", "v_t", "x_1_pred", "correction", "error"):
        expected = (FLOW_STEPS, BATCH, CHUNK, ACTIONS)
        shape = tracked[name].shape if name in tracked else expected
        trial.require(shape == expected, f"tracked {name} has shape {shape}, not {expected}")
    moved = tracked["v_t"] + tracked.get("correction", 0.0)
    end = tracked["noise"] + jnp.sum(moved, axis=0) / FLOW_STEPS
    worst = float(np.max(np.abs(end - tracked["x_1"])))
    trial.require(worst < TOLERANCE, f"the tracked steps miss x_1 by {worst:.1e}")


CHECKS: dict[str, Callable[[Trial], None]] = {
    "declaration": check_declaration,
    "shapes": check_shapes,
    "act": check_act,
    "determinism": check_determinism,
    "batch independence": check_batch_independence,
    "traced cells": check_traced_cells,
    "prefix": check_prefix,
    "tracking": check_tracking,
    "forecast": check_forecast,
}


def check_method(method: Method, heads: Sequence[nnx.Module] = ()) -> list[str]:
    """Runs every check on `method`, with the networks it acts with; returns their names. Raises
    ContractError at the first that fails."""
    trial = Trial(method, heads)
    for check in CHECKS.values():
        check(trial)
    return list(CHECKS)
