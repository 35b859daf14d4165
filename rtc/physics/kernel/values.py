"""Arrays as the printed program knows them.

An index is an int or the name of a C variable; an element is a C expression without side effects.
Numbers of one environment are local variables; what loops run over or choose from is memory.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product

import numpy as np

Index = tuple[int | str, ...]
C_TYPES = {"float32": "float", "int32": "int", "uint32": "unsigned", "bool": "int"}
UNROLLED = 16  # arrays up to this size are printed number by number, larger ones as loops


class StaleError(RuntimeError):
    """Memory was read after it had been overwritten: the printed program would be wrong."""


class Value:
    """An array. shape, dtype: as in jax, with 1 for the batch."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def at(self, index: Index) -> str:
        """One element."""
        raise NotImplementedError

    def places(self) -> Iterator[Index]:
        """All indices."""
        return product(*map(range, self.shape))


class Constant(Value):
    """Known when the program is printed."""

    def __init__(self, printer: "Printer", array: np.ndarray) -> None:
        super().__init__(array.shape, array.dtype)
        self.array, self._printer = array, printer

    def at(self, index: Index) -> str:
        if all(isinstance(i, int) for i in index):
            return literal(self.array[index])
        if (self.array == self.array.flat[0]).all():
            return literal(self.array.flat[0])
        return f"{self._printer.table(self.array)}[{flat(index, self.shape)}]"


class Scalars(Value):
    """Every element has a name. names: an object array."""

    def __init__(self, names: np.ndarray, dtype: np.dtype) -> None:
        super().__init__(names.shape, dtype)
        self.names = names

    def at(self, index: Index) -> str:
        return self.names[index]


class Lazy(Value):
    """A formula, printed where an element is asked for, once in each block of the program."""

    def __init__(
        self,
        printer: "Printer",
        shape: tuple[int, ...],
        dtype: np.dtype,
        element: Callable[[Index], str],
    ) -> None:
        super().__init__(shape, dtype)
        self._printer, self._element = printer, element

    def at(self, index: Index) -> str:
        index = tuple(0 if n == 1 else i for i, n in zip(index, self.shape))
        return self._printer.once((id(self), index), lambda: self._element(index), self)


class Buffer:
    """Memory of one thread. version: counts what was written to it."""

    def __init__(self, name: str) -> None:
        self.name, self.version = name, 0


class Stored(Value):
    """What a buffer held at one version."""

    def __init__(self, buffer: Buffer, shape: tuple[int, ...], dtype: np.dtype) -> None:
        super().__init__(shape, dtype)
        self.buffer, self._version = buffer, buffer.version

    def at(self, index: Index) -> str:
        if self._version != self.buffer.version:
            raise StaleError(self.buffer.name)
        return f"{self.buffer.name}[{flat(index, self.shape)}]"


class Outside(Value):
    """An array of all environments in the device's memory. batch: the axis of the environments,
    None if it has none."""

    def __init__(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype, batch: int | None
    ) -> None:
        super().__init__(shape, dtype)
        self.name, self.batch = name, batch

    def at(self, index: Index) -> str:
        inner = flat(index, self.shape)
        if self.batch is None:
            return f"{self.name}[{inner}]"
        if self.batch == 0:
            return f"{self.name}[e * {self.size} + {inner}]"
        return f"{self.name}[({inner}) * batch + e]"


class Printer:
    """The lines of the program so far."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.tables: dict[bytes, tuple[str, np.ndarray]] = {}
        self._count = 0
        self._seen: list[dict] = [{}]
        self._kept: list[Value] = []

    def fresh(self, prefix: str) -> str:
        """A name that is not in use."""
        self._count += 1
        return f"{prefix}{self._count}"

    def emit(self, line: str) -> None:
        """Adds a line to the current block."""
        self.lines.append("  " * len(self._seen) + line)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """What is printed inside stands in braces after `head`."""
        self.emit(head + " {")
        self._seen.append({})
        yield
        self._seen.pop()
        self.emit("}")

    def once(self, key: tuple, element: Callable[[], str], owner: Value) -> str:
        """A name for an element, printed in this block unless an outer one has it."""
        for seen in self._seen:
            if key in seen:
                return seen[key]
        self._kept.append(owner)  # an id is only its own while the object lives
        self._seen[-1][key] = name = self.scalar(owner.dtype, element())
        return name

    def scalar(self, dtype: np.dtype, expression: str) -> str:
        """A new variable that holds the expression."""
        name = self.fresh("v")
        self.emit(f"const {C_TYPES[np.dtype(dtype).name]} {name} = {expression};")
        return name

    def table(self, array: np.ndarray) -> str:
        """The name of a constant array."""
        key = array.tobytes() + str(array.dtype).encode()
        if key not in self.tables:
            self.tables[key] = (f"table{len(self.tables)}", array)
        return self.tables[key][0]

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype) -> Buffer:
        """Room for an array."""
        buffer = Buffer(self.fresh("m"))
        size = max(1, int(np.prod(shape)))
        self.emit(f"{C_TYPES[np.dtype(dtype).name]} {buffer.name}[{size}];")
        return buffer

    def each(self, shape: tuple[int, ...], unroll: bool, visit: Callable[[Index], None]) -> None:
        """Prints `visit` for every index, as loops or one after the other."""
        if unroll or np.prod(shape) <= 1:
            for index in product(*map(range, shape)):
                visit(index)
            return
        self._nest(shape, (), visit)

    def _nest(self, shape: tuple[int, ...], index: Index, visit: Callable[[Index], None]) -> None:
        if len(index) == len(shape):
            visit(index)
            return
        extent = shape[len(index)]
        if extent == 1:
            self._nest(shape, (*index, 0), visit)
            return
        i = self.fresh("i")
        self.emit("ROLLED")
        with self.block(f"for (int {i} = 0; {i} < {extent}; ++{i})"):
            self._nest(shape, (*index, i), visit)

    def store(self, buffer: Buffer, value: Value, place: Callable[[Index], str]) -> None:
        """Writes all elements of a value to `buffer[place(index)]`."""
        unroll = isinstance(value, Scalars) or value.size <= 4
        if isinstance(value, Constant) and len(np.unique(value.array)) > 1:
            unroll = value.size <= UNROLLED
        self.each(
            value.shape,
            unroll,
            lambda index: self.emit(f"{buffer.name}[{place(index)}] = {value.at(index)};"),
        )

    def stored(self, value: Value) -> Stored:
        """The value in memory of its own, unless it is there already."""
        return value if isinstance(value, Stored) else self.copied(value)

    def copied(self, value: Value) -> Stored:
        """The value in new memory."""
        buffer = self.allocate(value.shape, value.dtype)
        self.store(buffer, value, lambda index: flat(index, value.shape))
        return Stored(buffer, value.shape, value.dtype)

    def named(self, value: Value) -> Scalars:
        """Every element in a variable."""
        names = np.empty(value.shape, object)
        for index in value.places():
            names[index] = self.scalar(value.dtype, value.at(index))
        return Scalars(names, value.dtype)


def flat(index: Index, shape: tuple[int, ...]) -> str:
    """The place of an element in row-major order."""
    fixed, parts, stride = 0, [], 1
    for i, n in zip(reversed(index), reversed(shape)):
        if isinstance(i, int):
            fixed += i * stride
        elif n > 1:
            parts.append(i if stride == 1 else f"{i} * {stride}")
        stride *= n
    return " + ".join([*parts, str(fixed)] if fixed or not parts else parts)


def literal(number: np.generic) -> str:
    """A number as C writes it."""
    if number.dtype == np.bool_:
        return str(int(number))
    if number.dtype.kind in "iu":
        text = str(int(number)) + ("u" if number.dtype.kind == "u" else "")
        return f"({text})" if number < 0 else text
    if np.isnan(number):
        return "NAN_"
    if np.isinf(number):
        return "(-INF_)" if number < 0 else "INF_"
    text = f"{float(number):.9g}"
    text = text if any(c in text for c in ".e") else text + ".0"
    return f"({text}f)" if text[0] == "-" else f"{text}f"
