"""Loops, branches and calls of the printed program; a jaxpr is read equation by equation.

Memory is overwritten in place where the old content is not asked for again; whatever would read
it nevertheless raises StaleError when the program is printed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rtc.physics.kernel import rules
from rtc.physics.kernel.values import (
    C_TYPES,
    Buffer,
    Constant,
    Index,
    Lazy,
    Printer,
    Scalars,
    Stored,
    Value,
    flat,
)

KEPT = "kept_in_memory"  # name of calls whose results are stored, see `rtc.physics.stages`
EMPTY = "not_yet_written"  # and of calls whose results are of no matter


class Frame:
    """The variables of one jaxpr. owned: buffers that nothing outside of it reads."""

    def __init__(self, printer: Printer, jaxpr: Any, values: Sequence[Value], owned: set) -> None:
        self.printer, self.jaxpr, self.owned = printer, jaxpr, set(owned)
        given = {value.buffer for value in values if isinstance(value, Stored)}
        self.foreign = given - self.owned
        self.values = dict(zip(jaxpr.invars, values))
        self.last: dict[Any, int] = {}
        for number, eqn in enumerate(jaxpr.eqns):
            for var in eqn.invars:
                if not hasattr(var, "val"):
                    self.last[var] = number
        for var in jaxpr.outvars:
            if not hasattr(var, "val"):
                self.last[var] = len(jaxpr.eqns)

    def read(self, var: Any) -> Value:
        """The value of a variable or of a literal."""
        if hasattr(var, "val"):
            return Constant(self.printer, np.asarray(var.val, var.aval.dtype))
        return self.values[var]

    def spare(self, eqn: Any, number: int, position: int) -> Buffer | None:
        """The buffer of an operand that may be overwritten by this equation."""
        var = eqn.invars[position]
        value = self.read(var)
        if not isinstance(value, Stored) or value.buffer not in self.owned:
            return None
        later = self.last.get(var, -1) > number
        twice = sum(other is var for other in eqn.invars) > 1
        return None if later or twice else value.buffer


def run(printer: Printer, closed: Any, values: Sequence[Value], owned: set = frozenset()) -> list:
    """Prints a jaxpr; returns the values of its results. closed: with its constants."""
    jaxpr, consts = closed.jaxpr, closed.consts
    frame = Frame(printer, jaxpr, values, owned)
    for var, const in zip(jaxpr.constvars, consts):
        frame.values[var] = Constant(printer, np.asarray(const))
    for number, eqn in enumerate(jaxpr.eqns):
        for var, value in zip(eqn.outvars, equation(frame, eqn, number)):
            frame.values[var] = value
            if isinstance(value, Stored) and value.buffer not in frame.foreign:
                frame.owned.add(value.buffer)
    return [frame.read(var) for var in jaxpr.outvars]


def equation(frame: Frame, eqn: Any, number: int) -> list[Value]:
    """The results of one equation."""
    printer, name = frame.printer, eqn.primitive.name
    operands = [frame.read(var) for var in eqn.invars]
    if name in ("jit", "pjit", "closed_call", "custom_jvp_call"):
        return call(frame, eqn, number, operands)
    if name == "while":
        return while_loop(frame, eqn, number, operands)
    if name == "scan":
        return scan(frame, eqn, number, operands)
    if name == "cond":
        return branch(frame, eqn, number, operands)
    if all(isinstance(x, Constant) for x in operands):
        return [Constant(printer, array) for array in rules.evaluated(eqn, operands)]
    if name == "dynamic_update_slice":
        return [update(frame, eqn, number, operands)]
    return [single(printer, eqn, operands)]


def single(printer: Printer, eqn: Any, operands: Sequence[Value]) -> Value:
    """An equation with one result, without memory of its own."""
    name, params, out = eqn.primitive.name, eqn.params, eqn.outvars[0].aval
    first = operands[0]
    if name == "broadcast_in_dim":
        return rules.broadcast_in_dim(printer, params, first)
    if name in ("reshape", "squeeze", "expand_dims"):
        return rules.reshape(printer, out.shape, first)
    if name == "slice":
        return rules.cut(printer, params, first, out.shape)
    if name == "transpose":
        return rules.transpose(printer, params, first, out.shape)
    if name == "concatenate":
        return rules.concatenate(printer, params["dimension"], operands, out.shape, out.dtype)
    if name == "pad":
        return rules.pad(printer, params, first, operands[1], out.shape)
    if name in rules.REDUCTIONS:
        return rules.reduce(printer, name, params["axes"], first, out.shape)
    if name == "convert_element_type":
        return rules.convert(printer, out.dtype, first)
    if name == "select_n":
        return rules.select(printer, out.shape, *operands)
    if name == "gather":
        return rules.gather(printer, params, first, operands[1], out.shape)
    if name == "dynamic_slice":
        return row_of(printer, first, operands[1:], out.shape)
    text = rules.formula(name, first.dtype.kind)
    if text is None:
        raise rules.Unknown(f"the kernel printer does not know {name}: {eqn}")
    return rules.elementwise(printer, out.shape, out.dtype, text, operands)


def row_of(printer: Printer, table: Value, start: Sequence[Value], shape: Sequence[int]) -> Value:
    """A piece of a table whose place is known at run time only."""
    table, moved = printer.stored(table), moves(table, start, shape)
    lazy = Lazy(printer, tuple(shape), table.dtype, lambda index: table.at(moved(index)))
    return rules.printed(printer, lazy)


def moves(table: Value, start: Sequence[Value], shape: Sequence[int]) -> Any:
    """index in a piece -> index in the table."""

    def moved(index: Index) -> Index:
        place = []
        for i, s, whole, part in zip(index, start, table.shape, shape):
            first = s.at(()) if whole != part else "0"
            if first.isdigit():
                place.append(rules.shifted(i, int(first)))
            else:
                place.append(first if i == 0 else f"({first} + {i})")
        return tuple(place)

    return moved


def update(frame: Frame, eqn: Any, number: int, operands: Sequence[Value]) -> Value:
    """A table with a piece replaced, in place where nobody asks for the old one."""
    printer = frame.printer
    table, piece, *start = operands
    buffer = frame.spare(eqn, number, 0) or printer.copied(table).buffer
    moved = moves(table, start, piece.shape)
    if not isinstance(piece, Scalars) and piece.size > 4:
        piece = printer.stored(piece) if piece.size > rules.UNROLLED else printer.named(piece)
    printer.store(buffer, piece, lambda index: flat(moved(index), table.shape))
    buffer.version += 1
    return Stored(buffer, table.shape, table.dtype)


def call(frame: Frame, eqn: Any, number: int, operands: Sequence[Value]) -> list[Value]:
    """Printed where it is called."""
    closed = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
    if eqn.params.get("name") == EMPTY:
        return [_room(frame, var.aval) for var in eqn.outvars]
    spare = {frame.spare(eqn, number, k) for k in range(len(operands))} - {None}
    results = run(frame.printer, closed, operands, spare)
    if eqn.params.get("name") == KEPT:
        results = [frame.printer.stored(x) if isinstance(x, Lazy) else x for x in results]
    return results


def _room(frame: Frame, aval: Any) -> Stored:
    buffer = frame.printer.allocate(aval.shape, aval.dtype)
    return Stored(buffer, aval.shape, aval.dtype)


class Carry:
    """What a loop hands from turn to turn: a variable for one number, else memory."""

    def __init__(self, frame: Frame, value: Value, spare: Buffer | None) -> None:
        self.printer, self.shape, self.dtype = frame.printer, value.shape, value.dtype
        self.buffer, self.variable = None, None
        if value.size == 1:
            self.variable = self.printer.fresh("c")
            first = value.at((0,) * len(value.shape))
            self.printer.emit(f"{C_TYPES[value.dtype.name]} {self.variable} = {first};")
        else:
            self.buffer = spare or self.printer.copied(value).buffer
            # What was read of it before must not be asked for inside: turns after the first
            # would find something else.
            self.buffer.version += 1

    def now(self) -> Value:
        """Its value at this place of the program."""
        if self.variable is None:
            return Stored(self.buffer, self.shape, self.dtype)
        names = np.empty(self.shape, object)
        names[...] = self.printer.scalar(self.dtype, self.variable)
        return Scalars(names, self.dtype)

    def prepared(self, value: Value) -> Value:
        """A new value, in a form that outlives the change of the others."""
        if self.variable is not None:
            return self.printer.named(value)
        return self.printer.stored(value)

    def change(self, value: Value) -> None:
        """Takes the new value over."""
        if self.variable is not None:
            self.printer.emit(f"{self.variable} = {value.at((0,) * len(self.shape))};")
        elif value.buffer is not self.buffer:
            self.printer.store(self.buffer, value, lambda index: flat(index, self.shape))
            self.buffer.version += 1


def turn(
    printer: Printer, body: Any, given: Sequence[Value], loop: Sequence[Any], extra: Sequence[Value]
) -> list[Value]:
    """Prints one turn; returns what it yields beside the carried values."""
    kept = [value if isinstance(value, Value) else value.now() for value in loop]
    owned = {x.buffer for x, c in zip(kept, loop) if isinstance(c, Carry) and isinstance(x, Stored)}
    results = run(printer, body, [*given, *kept, *extra], owned)
    changed = [
        (carry, carry.prepared(value))
        for carry, value in zip(loop, results)
        if isinstance(carry, Carry)
    ]
    for carry, value in changed:
        carry.change(value)
    return results[len(loop) :]


def constant_places(body: Any, first: int, count: int) -> list[bool]:
    """Which carried values a loop's body hands on as they are."""
    jaxpr = body.jaxpr
    return [jaxpr.outvars[k] is jaxpr.invars[first + k] for k in range(count)]


def _loop(frame: Frame, eqn: Any, number: int, body: Any, consts: int, first: int, initial) -> list:
    same = constant_places(body, consts, len(initial))
    return [
        value if fixed else Carry(frame, value, frame.spare(eqn, number, first + k))
        for k, (value, fixed) in enumerate(zip(initial, same))
    ]


def after(loop: Sequence[Any]) -> list[Value]:
    """The values when the loop is over."""
    return [value.now() if isinstance(value, Carry) else value for value in loop]


def while_loop(frame: Frame, eqn: Any, number: int, operands: Sequence[Value]) -> list[Value]:
    printer, params = frame.printer, eqn.params
    n, m = params["cond_nconsts"], params["body_nconsts"]
    asked, given, initial = operands[:n], operands[n : n + m], operands[n + m :]
    body = params["body_jaxpr"]
    loop = _loop(frame, eqn, number, body, m, n + m, initial)
    with printer.block("for (;;)"):
        (go,) = run(printer, params["cond_jaxpr"], [*asked, *after(loop)])
        printer.emit(f"if (!{go.at(())}) break;")
        turn(printer, body, given, loop, [])
    return after(loop)


def scan(frame: Frame, eqn: Any, number: int, operands: Sequence[Value]) -> list[Value]:
    printer, params = frame.printer, eqn.params
    n, m, length = params["num_consts"], params["num_carry"], params["length"]
    given, initial, rows = operands[:n], operands[n : n + m], operands[n + m :]
    if params["reverse"]:
        raise rules.Unknown("a scan in reverse")
    body = params["jaxpr"]
    loop = _loop(frame, eqn, number, body, n, n, initial)
    made = [_room(frame, var.aval) for var in eqn.outvars[m:]]
    i = printer.fresh("i")
    printer.emit("ROLLED")
    with printer.block(f"for (int {i} = 0; {i} < {length}; ++{i})"):
        parts = [rules.view(printer, x.shape[1:], x, lambda index: (i, *index)) for x in rows]
        yielded = turn(printer, body, given, loop, parts)
        for room, value in zip(made, yielded):
            shape = room.shape
            printer.store(room.buffer, value, lambda index, s=shape: flat((i, *index), s))
    for room in made:
        room.buffer.version += 1
    return [*after(loop), *(Stored(x.buffer, x.shape, x.dtype) for x in made)]


def branch(frame: Frame, eqn: Any, number: int, operands: Sequence[Value]) -> list[Value]:
    """One of several; an operand's memory takes the result where it may."""
    printer, (which, *given) = frame.printer, operands
    branches = eqn.params["branches"]
    results = []
    for k, var in enumerate(eqn.outvars):
        spare = None
        for closed in branches:
            out = closed.jaxpr.outvars[k]
            if out in closed.jaxpr.invars and spare is None:
                spare = frame.spare(eqn, number, 1 + closed.jaxpr.invars.index(out))
        if np.prod(var.aval.shape) == 1:
            name = printer.fresh("c")
            printer.emit(f"{C_TYPES[var.aval.dtype.name]} {name};")
            results.append(name)
        else:
            results.append(spare or printer.allocate(var.aval.shape, var.aval.dtype))
    index = printer.scalar(np.int32, which.at(()))
    for number_of, closed in enumerate(branches):
        with printer.block(f"if ({index} == {number_of})"):
            values = run(printer, closed, given)
            values = [printer.stored(x) if isinstance(x, Lazy) else x for x in values]
            for result, value in zip(results, values):
                _settle(printer, result, value)
    return [_settled(result, var.aval) for result, var in zip(results, eqn.outvars)]


def _settle(printer: Printer, result: Buffer | str, value: Value) -> None:
    if isinstance(result, str):
        printer.emit(f"{result} = {value.at((0,) * len(value.shape))};")
    elif not (isinstance(value, Stored) and value.buffer is result):
        printer.store(result, value, lambda index: flat(index, value.shape))


def _settled(result: Buffer | str, aval: Any) -> Value:
    if isinstance(result, str):
        names = np.empty(aval.shape, object)
        names[...] = result
        return Scalars(names, aval.dtype)
    result.version += 1
    return Stored(result, aval.shape, aval.dtype)
