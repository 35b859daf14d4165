"""A function of one environment as a C program for many: a thread, or a turn of a loop, each."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from rtc.physics.kernel.control import run
from rtc.physics.kernel.values import C_TYPES, Outside, Printer, Stored, Value, literal

THREADS = 32  # of a block: 2,048 environments then spread over 64 processors
MEMORY_TYPES = C_TYPES | {"bool": "unsigned char"}

COMMON = """
#define SIGN(x) ((x) != (x) ? (x) : (float)(((x) > 0) - ((x) < 0)))
"""
# Larger and smaller hand on what is not a number, as jax does.
HOST = """#include <math.h>
#include <stdlib.h>
#define ROLLED
#define INF_ INFINITY
#define NAN_ NAN
#define POPULATION(x) __builtin_popcount(x)
static inline float LARGER(float a, float b) { return a != a || a > b ? a : b; }
static inline float SMALLER(float a, float b) { return a != a || a < b ? a : b; }
"""
DEVICE = """
#define ROLLED _Pragma("unroll 1")
#define INF_ __int_as_float(0x7f800000)
#define NAN_ __int_as_float(0x7fffffff)
#define POPULATION(x) __popc(x)
__device__ __forceinline__ float LARGER(float a, float b) {
  float c; asm("max.NaN.f32 %0, %1, %2;" : "=f"(c) : "f"(a), "f"(b)); return c;
}
__device__ __forceinline__ float SMALLER(float a, float b) {
  float c; asm("min.NaN.f32 %0, %1, %2;" : "=f"(c) : "f"(a), "f"(b)); return c;
}
"""


class Port(NamedTuple):
    """An array of all environments. shape: with 1 for the batch. batch: which axis that is, None
    if all environments read the same."""

    shape: tuple[int, ...]
    dtype: np.dtype
    batch: int | None

    @property
    def size(self) -> int:
        """Numbers of one environment."""
        return int(np.prod(self.shape))

    @property
    def stride(self) -> str:
        """Numbers of one batch, in the program."""
        return f"(size_t){self.size}" + ("" if self.batch is None else " * batch")

    def of(self, environments: int) -> jax.ShapeDtypeStruct:
        """Of so many environments."""
        shape = list(self.shape)
        if self.batch is not None:
            shape[self.batch] = environments
        return jax.ShapeDtypeStruct(tuple(shape), self.dtype)


class Source(NamedTuple):
    """What is printed: constants and the body of the function. inputs, outputs: its arrays, of
    which one may be the other's memory. handed_on: of each result of the function the input that
    it is; None if it is the next of the outputs."""

    tables: str
    body: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    handed_on: tuple[int | None, ...]

    def batch_of(self, shapes: Sequence[tuple[int, ...]]) -> int:
        """Environments of inputs of these shapes."""
        ports = [(shape, port.batch) for shape, port in zip(shapes, self.inputs)]
        (batch,) = {shape[axis] for shape, axis in ports if axis is not None}
        return batch

    def cuda(self) -> str:
        """`step(count [1], inputs, outputs)`; blocks along y are batches that lie one after the
        other, such as those of a vmap."""
        bound = f"__launch_bounds__({THREADS})"
        place = "  const int e = blockIdx.x * blockDim.x + threadIdx.x, batch = count[0];"
        moves = "\n".join(
            f"  {name} += blockIdx.y * {port.stride};" for name, port in self._named()
        )
        tables = self.tables.replace("static const", "__device__ const")
        return (
            f"{COMMON}{DEVICE}{tables}\n"
            f'extern "C" __global__ void {bound}\nstep({self._arguments()}) {{\n'
            f"{place}\n  if (e >= batch) return;\n{moves}\n{self.body}}}\n"
        )

    def c(self) -> str:
        """`void step(count, inputs, outputs)`, for a C compiler."""
        return (
            f"{HOST}{COMMON}{self.tables}\nvoid step({self._arguments()}) {{\n"
            "  const int batch = count[0];\n"
            f"  for (int e = 0; e < batch; ++e) {{\n{self.body}  }}\n}}\n"
        )

    def _named(self) -> list[tuple[str, Port]]:
        ports = [("in", self.inputs), ("out", self.outputs)]
        return [(f"{name}{k}", port) for name, group in ports for k, port in enumerate(group)]

    def _arguments(self) -> str:
        pointers = ["const int *count"]
        for name, port in self._named():
            constant = "const " if name.startswith("in") else ""
            pointers.append(f"{constant}{MEMORY_TYPES[port.dtype.name]} *{name}")
        return ", ".join(pointers)


def print_program(
    function: Callable[..., Any], inputs: Sequence[Port], batch_of_output: Callable[[int], int]
) -> Source:
    """Traces `function` of flat arrays for one environment, and prints it.

    batch_of_output: which axis of the k-th result is the batch.
    """
    shapes = [jax.ShapeDtypeStruct(port.shape, port.dtype) for port in inputs]
    closed = jax.make_jaxpr(function)(*shapes)
    printer = Printer()
    # All is read before anything is written, so that outputs may lie where inputs did.
    values: list[Value] = []
    for k, port in enumerate(inputs):
        given = Outside(f"in{k}", port.shape, port.dtype, port.batch)
        values.append(printer.named(given) if port.size == 1 else printer.copied(given))
    results = run(printer, closed, values, {v.buffer for v in values if isinstance(v, Stored)})
    given = closed.jaxpr.invars
    handed_on = tuple(given.index(v) if v in given else None for v in closed.jaxpr.outvars)
    outputs = []
    for k, (value, aval) in enumerate(zip(results, closed.out_avals)):
        if handed_on[k] is None:
            port = Port(tuple(aval.shape), np.dtype(aval.dtype), batch_of_output(k))
            _write(printer, Outside(f"out{len(outputs)}", *port), value)
            outputs.append(port)
    body = "\n".join(printer.lines) + "\n"
    return Source(_tables(printer), body, tuple(inputs), tuple(outputs), handed_on)


def _write(printer: Printer, place: Outside, value: Value) -> None:
    few = value.size <= 4
    value = value if few else printer.stored(value)
    printer.each(
        value.shape, few, lambda index: printer.emit(f"{place.at(index)} = {value.at(index)};")
    )


def _tables(printer: Printer) -> str:
    lines = []
    for name, array in printer.tables.values():
        numbers = ", ".join(literal(x) for x in array.ravel())
        lines.append(
            f"static const {C_TYPES[array.dtype.name]} {name}[{array.size}] = {{{numbers}}};"
        )
    return "\n".join(lines)
