"""What every chunking method must satisfy, as checks that can be run on any of them.

    from rtc.methods.contract import check_method
    check_method(MyMethod(gain=2.0))

A small random policy stands in for a trained one. Raises ContractError: which method, which
check, what was seen.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rtc.errors import RtcError
from rtc.flow import FlowPolicy, ModelConfig
from rtc.methods.interface import Context, Method

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
    policy = FlowPolicy(
        obs_dim=OBSERVATIONS, action_dim=ACTIONS, config=config, rngs=nnx.Rngs(seed)
    )
    graph, state = nnx.split(policy)
    leaves, tree = jax.tree.flatten(state)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    noisy = [x + 0.2 * jax.random.normal(key, x.shape) for x, key in zip(leaves, keys)]
    return nnx.merge(graph, jax.tree.unflatten(tree, noisy))


def example_context(method: Method, seed: int = 0) -> Context:
    """Random inputs for a batch of BATCH, at delay 0 and horizon 1."""
    obs_key, previous_key, noise_key, key = jax.random.split(jax.random.key(seed), 4)
    shape = (BATCH, CHUNK, ACTIONS)
    return Context(
        obs=jax.random.normal(obs_key, (BATCH, OBSERVATIONS)),
        previous=jax.random.normal(previous_key, shape),
        delay=jnp.int32(0),
        horizon=jnp.int32(1),
        key=jax.random.split(key, BATCH),
        noise=jax.random.normal(noise_key, (method.samples, *shape)),
    )


class Trial:
    """A method compiled on the small policies; `traces` counts its compilations.

    run(context, carry) and tracked(context, carry) call it; `carry` None is a fresh one.
    """

    def __init__(self, method: Method):
        self.method = method
        self.name = type(method).__name__
        self.traces = 0
        weak = small_policy(1) if getattr(method, "weak_epoch", None) is not None else None
        graphs, self._states = nnx.split((small_policy(0), weak))

        def call(states: Any, context: Context, carry: Any, tracking: bool) -> Any:
            self.traces += 1
            policy, weak_policy = nnx.merge(graphs, states)
            return method(policy, weak_policy, context, carry, FLOW_STEPS, tracking)

        self._call = jax.jit(call, static_argnums=3)

    def run(self, context: Context, carry: Any = None, tracking: bool = False) -> Any:
        """`(chunk, carry)`, with tracking also the tracked steps."""
        batch_size = context.obs.shape[0]
        if carry is None:
            carry = self.method.init(batch_size, CHUNK, ACTIONS)
        try:
            return self._call(self._states, context, carry, tracking)
        except jax.errors.JAXTypeError as error:
            first = str(error).splitlines()[0]
            raise ContractError(f"{self.name}: an input was not traceable: {first}") from error

    def episode(self, context: Context, calls: int = 3) -> list[Any]:
        """The chunks of consecutive inferences at the context's delay and horizon."""
        chunks, carry = [], None
        for _ in range(calls):
            chunk, carry = self.run(context, carry)
            chunks.append(chunk)
            steps = int(context.horizon)
            shifted = jnp.pad(chunk[:, steps:], ((0, 0), (0, steps), (0, 0)))
            context = context._replace(previous=shifted)
        return chunks

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


def check_shapes(trial: Trial) -> None:
    """The chunk is [b, h, a] float32 and finite; the carry keeps its form, batch first."""
    context = at_cell(example_context(trial.method), (1, 2))
    before = trial.method.init(BATCH, CHUNK, ACTIONS)
    chunk, after = trial.run(context)
    expected = (BATCH, CHUNK, ACTIONS)
    trial.require(chunk.shape == expected, f"chunk has shape {chunk.shape}, not {expected}")
    trial.require(chunk.dtype == jnp.float32, f"chunk is {chunk.dtype}, not float32")
    trial.require(bool(jnp.all(jnp.isfinite(chunk))), "chunk is not finite")
    same = jax.tree.structure(before) == jax.tree.structure(after) and all(
        x.shape == y.shape and x.dtype == y.dtype
        for x, y in zip(jax.tree.leaves(before), jax.tree.leaves(after))
    )
    trial.require(same, "the carry that comes back differs in form from init's")
    batched = all(leaf.shape[:1] == (BATCH,) for leaf in jax.tree.leaves(after))
    trial.require(batched, f"a leaf of the carry does not begin with the batch ({BATCH})")


def check_determinism(trial: Trial) -> None:
    """The same inputs give the same bits."""
    context = at_cell(example_context(trial.method), (2, 3))
    for first, second in zip(trial.episode(context), trial.episode(context)):
        trial.require(bool(jnp.array_equal(first, second)), "two equal calls differ")


def check_batch_independence(trial: Trial) -> None:
    """A rollout's chunks do not depend on what else is in the batch."""
    context = at_cell(example_context(trial.method), (2, 3))
    order = jnp.array([2, 0, 1])
    turned = context._replace(
        obs=context.obs[order],
        previous=context.previous[order],
        key=context.key[order],
        noise=context.noise[:, order],
    )
    alone = context._replace(
        obs=context.obs[:1],
        previous=context.previous[:1],
        key=context.key[:1],
        noise=context.noise[:, :1],
    )
    for whole, other, one in zip(
        trial.episode(context), trial.episode(turned), trial.episode(alone)
    ):
        worst = float(jnp.max(jnp.abs(whole[order] - other)))
        trial.require(worst < TOLERANCE, f"the order of the batch changes chunks by {worst:.1e}")
        worst = float(jnp.max(jnp.abs(whole[:1] - one)))
        trial.require(worst < TOLERANCE, f"batch size 1 changes chunks by {worst:.1e}")


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
    "determinism": check_determinism,
    "batch independence": check_batch_independence,
    "traced cells": check_traced_cells,
    "prefix": check_prefix,
    "tracking": check_tracking,
}


def check_method(method: Method) -> list[str]:
    """Runs every check on `method`; returns their names. Raises ContractError at the first
    that fails."""
    trial = Trial(method)
    for check in CHECKS.values():
        check(trial)
    return list(CHECKS)
