"""Named tuples of numbers in one array: between stages, and as rows of tables.

A formula takes and gives named tuples of numbers [b]: a vector, a contact point, half a joint. On
the way from one stage to the next, and in memory, such a tuple is one array, whose rows lie
beside each other and are worked out together.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from rtc.physics.stages import in_kernel, stage
from rtc.types import Array, Int, PyTree

T = TypeVar("T", bound=tuple)
F = TypeVar("F", bound=Callable)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["array"], meta_fields=["tree"])
@dataclass(frozen=True, eq=False)
class Packed(Generic[T]):
    """A named tuple of numbers [b] in one array [f, b], or a table of such rows, [w, f, b].

    tree: the structure of the tuple.
    """

    array: Array
    tree: Any

    @property
    def numbers(self) -> T:
        """The named tuple, of numbers [b] or, of a table, [w, b]."""
        return self.tree.unflatten(_unstack(self.array, -2))

    @property
    def parts(self) -> list["Packed"]:
        """Its fields, each packed."""
        trees = self.tree.children()
        ends = np.cumsum([0, *(tree.num_leaves for tree in trees)])
        return [
            Packed(self.array[..., start:end, :], tree)
            for tree, start, end in zip(trees, ends, ends[1:])
        ]

    @property
    def rows(self) -> list["Packed[T]"]:
        """All rows of a table."""
        return [Packed(row, self.tree) for row in _unstack(self.array, 0)]

    def load(self, row: Int[Array, ""]) -> "Packed[T]":
        """One row of a table."""
        return Packed(jax.lax.dynamic_index_in_dim(self.array, row, 0, False), self.tree)

    def store(self, row: Int[Array, ""], values: "Packed[T]") -> "Packed[T]":
        """The table with one row replaced."""
        array = jax.lax.dynamic_update_index_in_dim(self.array, values.array, row, 0)
        return Packed(array, self.tree)

    def load_each(self, *rows: Int[Array, " b"]) -> list["Packed[T]"]:
        """For each of `rows` a row of its own for each environment."""
        index = jnp.broadcast_to(jnp.stack(rows)[:, None], (len(rows), *self.array.shape[1:]))
        array = jnp.take_along_axis(self.array, index, axis=0, mode="promise_in_bounds")
        return Packed(array, self.tree).rows

    def pick(self, number: Int[Array, " b"]) -> "Packed[T]":
        """Of the numbers [f, k] of k things those of one for each environment."""
        array = jnp.asarray(self.array).at[:, number].get(mode="promise_in_bounds")
        return Packed(array, self.tree)

    def add_each(self, row: Int[Array, " b"], change: "Packed[T]") -> "Packed[T]":
        """The table with numbers added to a row of each environment; the last row stays."""
        last = len(self.array) - 1
        if in_kernel():
            change = jnp.where(row < last, change.array, 0.0)
            return self.store(row[0], Packed(self.load(row[0]).array + change, self.tree))
        numbers = np.append(np.arange(last, dtype=np.int32), np.int32(-1))
        hit = numbers[:, None, None] == row[None, None]
        return Packed(self.array + jnp.where(hit, change.array[None], 0.0), self.tree)


def pack(numbers: T) -> Packed[T]:
    """All real, or all whole. Of numpy arrays the packed one is numpy's too."""
    leaves, tree = jax.tree.flatten(numbers)
    module = np if all(isinstance(leaf, np.ndarray) for leaf in leaves) else jnp
    return Packed(module.stack(leaves, axis=-2), tree)


def _unstack(array: Array, axis: int) -> list[Array]:
    places = range(array.shape[axis])
    return [jax.lax.index_in_dim(array, k, axis, keepdims=False) for k in places]


def table(rows: list[Packed[T]]) -> Packed[T]:
    """Rows, one above the other."""
    return Packed(jnp.stack([row.array for row in rows]), rows[0].tree)


def opened(tree: PyTree) -> PyTree:
    """With named tuples in place of all that is packed."""

    def packed(x: Any) -> bool:
        return isinstance(x, Packed)

    return jax.tree.map(lambda x: x.numbers if packed(x) else x, tree, is_leaf=packed)


def formula(function: F) -> F:
    """Marks a function of named tuples as a stage: they come packed, and go so if there are any."""

    @functools.wraps(function)
    def of_packed(*given: PyTree) -> PyTree:
        result = function(*opened(given))
        return result if isinstance(result, jax.Array) else pack(result)

    return stage(of_packed)
