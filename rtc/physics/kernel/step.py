"""A step of a batch as a kernel: what goes in, what comes out, and how it is called."""

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
    """`step(state, *given) -> (state, yielded)` in one launch.

    step: of any batch; nothing traced is in its closure. reset: a state of so many environments,
    which shows where the batch is in each array, if it is there at all. given: what else goes
    in, for one environment; there, as in what is yielded, the batch comes first.
    """

    def __init__(self, step: Callable[..., Any], reset: Callable[[int], PyTree], *given: Any):
        one, two = (jax.eval_shape(lambda n=n: reset(n)) for n in (1, 2))
        self._step, self._given = step, (one, *given)
        self._batches = list(map(_axis, jax.tree.leaves(one), jax.tree.leaves(two)))

    @cached_property
    def source(self) -> Source:
        """The printed program; takes some seconds."""
        leaves, tree = jax.tree.flatten(self._given)

        def flat(*arrays: Array) -> list[Array]:
            with printing():
                results = self._step(*jax.tree.unflatten(tree, arrays))
            leaves, self._made = jax.tree.flatten(results)
            return leaves

        def batch(k: int) -> int | None:
            return self._batches[k] if k < len(self._batches) else 0

        inputs = [Port(tuple(x.shape), np.dtype(x.dtype), batch(k)) for k, x in enumerate(leaves)]
        return print_program(flat, inputs, batch)

    @cached_property
    def ptx(self) -> str:
        """For the device."""
        return nvidia.ptx_of(self.source)

    def __call__(self, state: PyTree, *given: Any) -> tuple[PyTree, Any]:
        arrays, handed_on = jax.tree.leaves((state, *given)), self.source.handed_on
        made = [k for k, same in enumerate(handed_on) if same is None]
        over = {k: n for n, k in enumerate(made) if k < len(self._batches)}
        outputs = iter(nvidia.launch(self.source, self.ptx, arrays, over))
        results = [next(outputs) if same is None else arrays[same] for same in handed_on]
        return jax.tree.unflatten(self._made, results)


def _axis(one: Any, two: Any) -> int | None:
    """Where arrays of one and of two environments differ."""
    differ = (axis for axis, (a, b) in enumerate(zip(one.shape, two.shape)) if a != b)
    return next(differ, None)
