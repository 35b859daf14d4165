"""Stages of the program that the compiler keeps apart.

XLA's CPU backend fuses every producer into all of its consumers and computes it again in each:
the chain of a contact would be worked out once for every number it yields. A function marked
as a stage is compiled as a call of its own, so what it returns is computed once and stored.
The printer of the GPU's kernel (`rtc.physics.kernel`) stores what stages return, too. Elsewhere a
stage is an ordinary function.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import jax
from jax.experimental.xla_metadata import set_xla_metadata

F = TypeVar("F", bound=Callable)
_printing = ContextVar("printing", default=False)


@contextmanager
def printing() -> Iterator[None]:
    """What is traced inside is for the kernel: a batch of one environment."""
    token = _printing.set(True)
    yield
    _printing.reset(token)


def in_kernel() -> bool:
    """Whether a single environment is traced, for which rows are memory that can be written."""
    return _printing.get()


def kernel_call(name: str, function: Callable) -> Callable:
    """A call that the printer knows by its name; wrapped anew, as jax remembers what it traced."""

    def call(*arrays):
        return function(*arrays)

    call.__name__ = name
    return jax.jit(call)


def stage(function: F) -> F:
    """Marks a function of arrays as a stage. What is static goes in by closure or `partial`."""

    @functools.wraps(function)
    def kept_apart(*arrays):
        if in_kernel():
            return kernel_call("kept_in_memory", function)(*arrays)
        if jax.default_backend() != "cpu":
            return function(*arrays)
        with set_xla_metadata(inlineable="false"):
            return jax.jit(function)(*arrays)

    return kept_apart


def single(function: F) -> F:
    """Marks a stage that XLA's CPU backend shall compile into one piece of machine code.

    For loops over many small operations: each would otherwise be a task of its own.
    """

    @functools.wraps(function)
    def in_one_piece(*arrays):
        if jax.default_backend() != "cpu" or in_kernel():
            return function(*arrays)
        with set_xla_metadata(inlineable="false", xla_cpu_small_call="true"):
            return jax.jit(function)(*arrays)

    return in_one_piece
