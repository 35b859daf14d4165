"""Many steps one after another; on a GPU all of a step but the networks is one kernel."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rtc.env.wrappers import Task
from rtc.physics.kernel.nvidia import kernel_at_hand
from rtc.physics.kernel.step import StepKernel
from rtc.physics.stages import printing
from rtc.types import Array, Float, PyTree


def roll(
    task: Task,
    draw: Callable[[PyTree], PyTree],
    judge: Callable[..., tuple[Array, ...]],
    turn: Callable[..., tuple[tuple, PyTree]],
    state: tuple[PyTree, PyTree],
    keys: PyTree,
) -> tuple[tuple[PyTree, PyTree], PyTree]:
    """For each key of `keys` [t, ...]: state, row = turn(state, *judge(state, draw(key))).

    state: (envs of the task, what else goes from step to step [b, ...]). draw: what is random in
    a step. judge: the networks, and what a turn needs of the draw, [b, ...]. turn: all else, of
    any batch; nothing traced is in its closure, as a kernel may be printed of it. Returns the
    state after and rows [t, b, ...].
    """
    if not (kernel_at_hand() and task.printable):

        def step(state, key):
            return turn(state, *judge(state, draw(key)))

        return jax.lax.scan(step, state, keys)

    def only(tree, batch=1):
        return jax.tree.map(lambda x: jnp.zeros((batch, *x.shape[1:]), x.dtype), tree)

    def reset(batch):
        return task.reset(batch), only(state[1], batch)

    def packed_turn(state, packed):
        state, row = turn(state, *_unpacked(packed, rows))
        return state, _packed(row)

    rows = only(jax.eval_shape(lambda: judge(state, draw(jax.tree.map(lambda x: x[0], keys)))))
    with printing():
        row = jax.eval_shape(turn, reset(1), *rows)[1]
    kernel = StepKernel(packed_turn, reset, jax.eval_shape(_packed, rows))

    def step(state, drawn):
        return kernel(state, _packed(judge(state, drawn)))

    state, packed = jax.lax.scan(step, state, jax.vmap(draw)(keys))
    return state, _unpacked(packed, row)


def _packed(rows: PyTree) -> Float[Array, "b k"]:
    """Rows [b, ...] as one array, for which one launch is enough; whole numbers up to 2^24."""
    parts = [x.reshape(len(x), -1).astype(jnp.float32) for x in jax.tree.leaves(rows)]
    return jnp.concatenate(parts, axis=1)


def _unpacked(packed: Float[Array, "*t b k"], like: PyTree) -> PyTree:
    """The rows as they were, [*t, b, ...]; like: them, [1, ...]."""
    leaves, tree = jax.tree.flatten(like)
    parts, first = [], 0
    for x in leaves:
        part = jax.lax.slice_in_dim(packed, first, first + x.size, axis=-1)
        parts.append(part.reshape(*packed.shape[:-1], *x.shape[1:]).astype(x.dtype))
        first += x.size
    return jax.tree.unflatten(tree, parts)
