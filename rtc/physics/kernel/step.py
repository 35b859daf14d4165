"""A step of an engine as a kernel: what goes in, what comes out, and how it is called."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import numpy as np

from rtc.physics.kernel import nvidia
from rtc.physics.kernel.program import Port, Source, print_program
from rtc.physics.stages import printing
from rtc.types import Array, PyTree


class StepKernel:
    """`step(state, action) -> (state, outcome)` in one launch.

    step: of any batch. state: an example with a batch of one, which is its arrays' last axis;
    that of actions and outcomes is the first. actions: entries of an action.
    """

    def __init__(self, step: Callable[..., Any], state: PyTree, actions: int) -> None:
        self._step = step
        self._given = (state, jax.ShapeDtypeStruct((1, actions), np.float32))
        self._yields = jax.eval_shape(step, *self._given)

    @cached_property
    def source(self) -> Source:
        """The printed program; takes some seconds."""
        tree = jax.tree.structure(self._given)

        def flat(*arrays: Array) -> list[Array]:
            with printing():
                return jax.tree.leaves(self._step(*jax.tree.unflatten(tree, arrays)))

        inputs = [
            Port(tuple(x.shape), np.dtype(x.dtype), batch) for x, batch in self._ports(self._given)
        ]
        batches = [batch for _, batch in self._ports(self._yields)]
        return print_program(flat, inputs, batches.__getitem__)

    @cached_property
    def ptx(self) -> str:
        """For the device."""
        return nvidia.ptx_of(self.source)

    def __call__(self, state: PyTree, action: Array) -> tuple[PyTree, Any]:
        arrays = jax.tree.leaves((state, action))
        results = nvidia.launch(self.source, self.ptx, arrays, len(arrays) - 1)
        return jax.tree.unflatten(jax.tree.structure(self._yields), results)

    @staticmethod
    def _ports(pair: tuple[PyTree, Any]) -> list[tuple[Any, int]]:
        state, beside = (jax.tree.leaves(part) for part in pair)
        return [*((x, len(x.shape) - 1) for x in state), *((x, 0) for x in beside)]
