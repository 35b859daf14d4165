"""Counts what a scheduled XLA program for a GPU does: launches, waits of the host, bytes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# What costs no launch of its own.
FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "iota"),
    *("copy-done", "async-done", "partition-id", "add-dependency", "opt-barrier"),
}
BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2, "s64": 8, "u64": 8}
SHAPE = re.compile(r"([a-z]+\d*)\[([\d,]*)\]")
HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
LINE = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")


@dataclass(frozen=True)
class Cost:
    """launches: kernels, copies and library calls. waits: iterations and branches for which the
    host reads a flag off the device. bytes: read and written by all launches."""

    launches: float = 0.0
    waits: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.launches + other.launches, self.waits + other.waits, self.bytes + other.bytes
        )

    def __mul__(self, times: float) -> "Cost":
        return Cost(self.launches * times, self.waits * times, self.bytes * times)


@dataclass(frozen=True)
class Instruction:
    """One line. shape: as written. rest: everything after the opening bracket."""

    name: str
    shape: str
    opcode: str
    rest: str
    root: bool

    @property
    def operands(self) -> list[str]:
        """Names of what it reads."""
        inner, depth = "", 1
        for letter in self.rest:
            depth += (letter in "({") - (letter in ")}")
            if depth == 0:
                break
            inner += letter
        return re.findall(r"%([\w.\-]+)", inner)

    def called(self, what: str) -> list[str]:
        """Names of the computations under an attribute."""
        found = re.search(rf"\b{what}=(\{{[^}}]*\}}|%[\w.\-]+)", self.rest)
        return re.findall(r"%([\w.\-]+)", found.group(1)) if found else []


def size_of(shape: str) -> int:
    """Bytes of a shape or of a tuple of them."""
    total = 0
    for kind, dims in SHAPE.findall(shape):
        count = 1
        for dim in filter(None, dims.split(",")):
            count *= int(dim)
        total += count * BYTES.get(kind, 4)
    return total


@dataclass
class Program:
    """A module by its computations. trips: of loops whose length only the device knows, by
    depth of nesting; the last counts for all deeper ones."""

    text: str
    trips: tuple[float, ...]
    computations: dict[str, list[Instruction]] = field(default_factory=dict)
    entry: str = ""

    def __post_init__(self) -> None:
        current: list[Instruction] = []
        for line in self.text.splitlines():
            if head := HEAD.match(line):
                current = self.computations.setdefault(head.group(2), [])
                self.entry = head.group(2) if head.group(1) else self.entry
            elif found := LINE.match(line):
                root, name, shape, opcode, rest = found.groups()
                current.append(Instruction(name, shape, opcode, rest, bool(root)))

    def cost(self) -> Cost:
        """Of one call."""
        return self._cost(self.entry, 0)

    def loops(self) -> list[tuple[str, float | None]]:
        """(name, trips; None where only the device knows) of every loop."""
        return [
            (line.name, _known_trips(line))
            for lines in self.computations.values()
            for line in lines
            if line.opcode == "while"
        ]

    def _cost(self, name: str, depth: int) -> Cost:
        total = Cost()
        for line in self.computations[name]:
            total = total + self._of(line, name, depth)
        return total

    def _of(self, line: Instruction, home: str, depth: int) -> Cost:
        if line.opcode in FREE:
            return Cost()
        if line.opcode == "while":
            known = _known_trips(line)
            times = self.trips[min(depth, len(self.trips) - 1)] if known is None else known
            body = self._cost(line.called("body")[0], depth + 1) * times
            # A condition is launched and read once more than the body.
            check = Cost() if known is not None else Cost(1, 1) * (times + 1)
            return body + check
        if line.opcode == "conditional":
            names = line.called("branch_computations") or [
                *line.called("true_computation"),
                *line.called("false_computation"),
            ]
            branches = [self._cost(branch, depth) for branch in names]
            return Cost(1, 1) + max(branches, key=lambda cost: cost.launches)
        if line.opcode in ("call", "async-start"):
            return self._cost((line.called("to_apply") or line.called("calls"))[0], depth)
        return Cost(1, 0, self._traffic(line, home))

    def _traffic(self, line: Instruction, home: str) -> float:
        shapes = {other.name: other.shape for other in self.computations[home]}
        if line.opcode != "fusion":
            return size_of(line.shape) + sum(size_of(shapes.get(n, "")) for n in line.operands)
        inside = self.computations[line.called("calls")[0]]
        return sum(_read(inside)) + _written(inside)


def _known_trips(line: Instruction) -> float | None:
    found = re.search(r'known_trip_count":\{"n":"(\d+)"', line.rest)
    return float(found.group(1)) if found else None


def _read(inside: list[Instruction]) -> Iterator[float]:
    """Bytes that a fusion reads of each parameter: of those it only slices, the slices."""
    for parameter in inside:
        if parameter.opcode != "parameter":
            continue
        users = [line for line in inside if parameter.name in line.operands]
        if users and all(line.opcode in ("dynamic-slice", "slice", "gather") for line in users):
            yield sum(size_of(line.shape) for line in users)
        elif users and all(
            line.opcode == "dynamic-update-slice" and line.operands[0] == parameter.name
            for line in users
        ):
            yield 0.0  # updated in place
        else:
            yield size_of(parameter.shape)


def _written(inside: list[Instruction]) -> float:
    by_name = {line.name: line for line in inside}
    root = next(line for line in inside if line.root)
    results = [by_name[n] for n in root.operands] if root.opcode == "tuple" else [root]
    total = 0.0
    for line in results:
        while line.opcode == "bitcast":
            line = by_name[line.operands[0]]
        if line.opcode == "dynamic-update-slice":
            total += size_of(by_name[line.operands[1]].shape)
        else:
            total += size_of(line.shape)
    return total
