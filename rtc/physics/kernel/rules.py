"""What each primitive of jax becomes in the printed program."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from rtc.physics.kernel.values import (
    C_TYPES,
    UNROLLED,
    Constant,
    Index,
    Lazy,
    Printer,
    Scalars,
    Stored,
    Value,
    flat,
)

FORMULAS = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "rem": "{} % {}",
    "neg": "-{}",
    "square": "{0} * {0}",
    "sqrt": "sqrtf({})",
    "sin": "sinf({})",
    "cos": "cosf({})",
    "tanh": "tanhf({})",
    "log": "logf({})",
    "atan2": "atan2f({}, {})",
    "eq": "{} == {}",
    "ne": "{} != {}",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "shift_left": "{} << {}",
    "shift_right_arithmetic": "{} >> {}",
    "population_count": "POPULATION({})",
    "copy": "{}",
    "stop_gradient": "{}",
    "is_finite": "{0} - {0} == 0.0f",
}
# By the kind of number: f float, b bool, i and u whole.
BY_KIND = {
    "max": {"f": "LARGER({}, {})", "": "({0} > {1} ? {0} : {1})"},
    "min": {"f": "SMALLER({}, {})", "": "({0} < {1} ? {0} : {1})"},
    "abs": {"f": "fabsf({})", "": "abs({})"},
    "not": {"b": "!{}", "": "~{}"},
    "and": {"": "{} & {}"},
    "or": {"": "{} | {}"},
    "xor": {"": "{} ^ {}"},
    "sign": {"f": "SIGN({})", "": "({0} > 0) - ({0} < 0)"},
}
REDUCTIONS = {
    "reduce_sum": "add",
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_or": "or",
    "reduce_and": "and",
}
FOLDED = 8  # reductions over up to this many elements are printed without a loop


class Unknown(NotImplementedError):
    """A primitive that nobody has needed so far."""


def formula(name: str, kind: str) -> str | None:
    """A C expression with places for the operands."""
    if name in BY_KIND:
        return BY_KIND[name].get(kind, BY_KIND[name].get(""))
    return FORMULAS.get(name)


def elementwise(
    printer: Printer, shape: Sequence[int], dtype: Any, text: str, operands: Sequence[Value]
) -> Value:
    """One formula for every element; operands of no axes count for all."""
    operands = [for_loops(printer, x, shape) for x in operands]

    def element(index: Index) -> str:
        return text.format(*(x.at(fitted(index, x)) for x in operands))

    return printed(printer, Lazy(printer, tuple(shape), dtype, element))


def for_loops(printer: Printer, operand: Value, shape: Sequence[int]) -> Value:
    """The operand of a result of this shape: in memory if loops will run over it."""
    named = isinstance(operand, Scalars) and operand.size > 1
    return printer.stored(operand) if named and np.prod(shape) > UNROLLED else operand


def fitted(index: Index, operand: Value) -> Index:
    """The index for an operand that is the same along axes of extent 1, or has no axes."""
    return tuple(0 if n == 1 else i for i, n in zip(index, operand.shape))


def printed(printer: Printer, value: Value) -> Value:
    """Small arrays at once, number by number; larger ones where they are asked for."""
    return printer.named(value) if value.size <= UNROLLED else value


def view(
    printer: Printer, shape: Sequence[int], operand: Value, place: Callable[[Index], Index]
) -> Value:
    """The same elements in other places."""
    shape = tuple(shape)
    operand = for_loops(printer, operand, shape)
    if isinstance(operand, Scalars):
        names = np.empty(shape, object)
        for index in np.ndindex(shape):
            names[index] = operand.at(place(index))
        return Scalars(names, operand.dtype)
    lazy = Lazy(printer, shape, operand.dtype, lambda index: operand.at(place(index)))
    return printed(printer, lazy)


def broadcast_in_dim(printer: Printer, params: dict, operand: Value) -> Value:
    axes = params["broadcast_dimensions"]

    def place(index: Index) -> Index:
        return tuple(0 if n == 1 else index[axis] for axis, n in zip(axes, operand.shape))

    return view(printer, params["shape"], operand, place)


def reshape(printer: Printer, shape: Sequence[int], operand: Value) -> Value:
    """Axes of extent 1 come and go; other changes go by way of memory."""
    kept = [axis for axis, n in enumerate(shape) if n != 1]
    old = [axis for axis, n in enumerate(operand.shape) if n != 1]
    if [shape[a] for a in kept] == [operand.shape[a] for a in old]:
        source = dict(zip(old, kept))

        def place(index: Index) -> Index:
            return tuple(index[source[a]] if a in source else 0 for a in range(len(operand.shape)))

        return view(printer, shape, operand, place)
    stored = printer.stored(operand)
    return printed(printer, Stored(stored.buffer, tuple(shape), operand.dtype))


def cut(printer: Printer, params: dict, operand: Value, shape: Sequence[int]) -> Value:
    """A slice with fixed ends."""
    strides = params["strides"] or [1] * len(shape)

    def place(index: Index) -> Index:
        return tuple(
            shifted(i, s, step) for i, s, step in zip(index, params["start_indices"], strides)
        )

    return view(printer, shape, operand, place)


def shifted(i: int | str, start: int, step: int = 1) -> int | str:
    """i * step + start, an index."""
    if isinstance(i, int):
        return i * step + start
    scaled = i if step == 1 else f"{i} * {step}"
    return scaled if start == 0 else f"({scaled} + {start})"


def transpose(printer: Printer, params: dict, operand: Value, shape: Sequence[int]) -> Value:
    order = params["permutation"]
    back = np.argsort(order)
    return view(printer, shape, operand, lambda index: tuple(index[k] for k in back))


def concatenate(
    printer: Printer, axis: int, parts: Sequence[Value], shape: Sequence[int], dtype: Any
) -> Value:
    """One after the other: names if few, else memory."""
    starts = np.cumsum([0, *(part.shape[axis] for part in parts)])
    if np.prod(shape) <= UNROLLED:
        names = np.empty(tuple(shape), object)
        for part, start in zip(parts, starts):
            for index in part.places():
                to = (*index[:axis], index[axis] + int(start), *index[axis + 1 :])
                names[to] = printer.scalar(dtype, part.at(index))
        return Scalars(names, dtype)
    buffer = printer.allocate(tuple(shape), dtype)
    for part, start in zip(parts, starts):

        def to(index: Index, start: int = int(start)) -> str:
            return flat((*index[:axis], shifted(index[axis], start), *index[axis + 1 :]), shape)

        if part.size:
            printer.store(buffer, part, to)
    buffer.version += 1
    return Stored(buffer, tuple(shape), dtype)


def pad(
    printer: Printer, params: dict, operand: Value, filling: Value, shape: Sequence[int]
) -> Value:
    """At the ends only."""
    low = [lo for lo, _, _ in params["padding_config"]]
    if any(inner for _, _, inner in params["padding_config"]) or min(low) < 0:
        raise Unknown("pad with gaps, or cutting")

    def element(index: Index) -> str:
        inside, tests = [], []
        for i, lo, n, whole in zip(index, low, operand.shape, shape):
            inside.append(shifted(i, -lo))
            if isinstance(i, int):
                if not lo <= i < lo + n:
                    return filling.at(())
            elif n < whole:
                tests.append(f"{i} >= {lo} && {i} < {lo + n}")
        if not tests:
            return operand.at(tuple(inside))
        return f"({' && '.join(tests)}) ? {operand.at(tuple(inside))} : {filling.at(())}"

    operand = printer.stored(operand) if np.prod(shape) > UNROLLED else operand
    return printed(printer, Lazy(printer, tuple(shape), operand.dtype, element))


def reduce(
    printer: Printer, name: str, axes: Sequence[int], operand: Value, shape: Sequence[int]
) -> Value:
    """Over some axes, by a loop where there are many elements."""
    text = formula(REDUCTIONS[name], operand.dtype.kind)
    extents = [operand.shape[axis] for axis in axes]

    def whole(index: Index, inner: Index) -> Index:
        chosen, rest = dict(zip(axes, inner)), iter(index)
        return tuple(chosen[k] if k in chosen else next(rest) for k in range(len(operand.shape)))

    def element(index: Index) -> str:
        first = operand.at(whole(index, (0,) * len(axes)))
        if np.prod(extents) <= FOLDED or isinstance(operand, Scalars):
            for inner in list(np.ndindex(*extents))[1:]:
                first = printer.scalar(
                    operand.dtype, text.format(first, operand.at(whole(index, inner)))
                )
            return first
        total = printer.fresh("r")
        start = first if name not in ("reduce_sum", "reduce_or") else "0"
        printer.emit(f"{C_TYPES[operand.dtype.name]} {total} = {start};")

        def visit(inner: Index) -> None:
            printer.emit(f"{total} = {text.format(total, operand.at(whole(index, inner)))};")

        printer.each(extents, False, visit)
        return total

    if np.prod(extents) == 0:
        raise Unknown("reduction over nothing")
    return printed(printer, Lazy(printer, tuple(shape), operand.dtype, element))


def convert(printer: Printer, dtype: Any, operand: Value) -> Value:
    """Another kind of number."""
    kinds = operand.dtype.kind, np.dtype(dtype).kind
    text = (
        "{} != 0"
        if kinds[1] == "b" and kinds[0] != "b"
        else f"({C_TYPES[np.dtype(dtype).name]}){{}}"
    )
    return elementwise(printer, operand.shape, dtype, text, [operand])


def select(
    printer: Printer, shape: Sequence[int], condition: Value, no: Value, yes: Value
) -> Value:
    """Where the condition is known, only what it chooses is printed."""
    condition, no, yes = (for_loops(printer, x, shape) for x in (condition, no, yes))

    def element(index: Index) -> str:
        chosen = condition.at(fitted(index, condition))
        if chosen in ("0", "1"):
            return (yes if chosen == "1" else no).at(index)
        return f"{chosen} ? {yes.at(index)} : {no.at(index)}"

    return printed(printer, Lazy(printer, tuple(shape), no.dtype, element))


def gather(
    printer: Printer, params: dict, operand: Value, indices: Value, shape: Sequence[int]
) -> Value:
    """Elements by number; every number is within bounds, as all of the physics' are."""
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    gone = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    window = [axis for axis in range(len(operand.shape)) if axis not in gone]
    if not isinstance(indices, Constant) and not isinstance(operand, Constant):
        operand = printer.stored(operand)

    def element(index: Index) -> str:
        batch = [index[k] for k in range(len(shape)) if k not in numbers.offset_dims]
        place: list[int | str] = [0] * len(operand.shape)
        for axis, k in zip(window, numbers.offset_dims):
            place[axis] = index[k]
        pairs = zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims)
        for axis, k in pairs:
            place[axis] = batch[k]
        for k, axis in enumerate(numbers.start_index_map):
            if operand.shape[axis] == 1 or sizes[axis] == operand.shape[axis]:
                continue
            start = indices.at((*batch, k))
            start = int(start) if start.isdigit() else start
            inner = place[axis]
            if inner == 0:
                place[axis] = start
            elif isinstance(start, int):
                place[axis] = shifted(inner, start)
            else:
                place[axis] = f"({start} + {inner})"
        return operand.at(tuple(place))

    return printed(printer, Lazy(printer, tuple(shape), operand.dtype, element))


NUMPY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "gt": np.greater,
    "select_n": lambda which, no, yes: np.where(which, yes, no),
}


def evaluated(eqn: Any, operands: Sequence[Constant]) -> list[np.ndarray]:
    """What an equation of constants yields: by numpy, as jax would compile each anew."""
    name, params, out = eqn.primitive.name, eqn.params, eqn.outvars[0].aval
    arrays = [x.array for x in operands]
    if name in NUMPY:
        return [np.asarray(NUMPY[name](*arrays), out.dtype)]
    if name in ("reshape", "squeeze", "expand_dims", "convert_element_type"):
        return [arrays[0].reshape(out.shape).astype(out.dtype)]
    if name == "broadcast_in_dim":
        shape = [1] * len(out.shape)
        for axis, extent in zip(params["broadcast_dimensions"], arrays[0].shape):
            shape[axis] = extent
        return [np.broadcast_to(arrays[0].reshape(shape), out.shape)]
    if name == "slice":
        steps = params["strides"] or [1] * len(out.shape)
        bounds = zip(params["start_indices"], params["limit_indices"], steps)
        return [arrays[0][tuple(slice(a, b, c) for a, b, c in bounds)]]
    with jax.ensure_compile_time_eval():
        result = eqn.primitive.bind(*arrays, **params)
    many = result if eqn.primitive.multiple_results else [result]
    return [np.asarray(x) for x in many]
