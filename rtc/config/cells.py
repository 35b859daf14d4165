"""The cells of a sweep: which inference delays and execution horizons are evaluated.

A chunk holds H actions. At each inference d of them have to come from the previous chunk
(the delay), then the new one is executed up to its s-th (the horizon). Both chunks reach far
enough if d <= s <= H - d. Nothing here imports more than the standard library, so that a
workflow can check its configuration in milliseconds.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rtc.config.build import check_keys
from rtc.config.sections import Cell
from rtc.config.text import short
from rtc.errors import ConfigError, did_you_mean

KEYWORDS = ("all", "paper")
MOST_STEPS = 1000
# What says which cell a row of `evaluations.csv` or of a rollout parquet belongs to.
CELL_COLUMNS = ("level", "policy", "seed", "method", "delay", "horizon", "estimate")


def parse_cells(spec: Any, chunk_size: int, where: str = "evaluation.cells") -> list[Cell]:
    """Returns the cells that `spec` names, in order, none twice.

    spec: "all" (every valid pair; 24 for H = 8), "paper" (the cells of the paper's figure:
        s = max(d, 1) for every d, and every s at d = 1), {delays: [...], horizons: [...]}
        (their product), or a list of {delay, horizon, estimate}. A delay is a number of
        steps, {uniform: [low, high]} or {choices: {steps: probability}}; the latter two are
        drawn for each chunk and need an `estimate`, the delay the method is told.
    chunk_size: H, actions in a chunk.
    Raises ConfigError naming the key's path.
    """
    if isinstance(spec, str):
        return _named(spec, chunk_size, where)
    if isinstance(spec, Mapping):
        cells = _product(spec, chunk_size, where)
    elif isinstance(spec, Sequence) and not isinstance(spec, bytes):
        cells = [_listed(entry, chunk_size, f"{where}.{i}") for i, entry in enumerate(spec)]
    else:
        raise ConfigError(
            f"{where}: expected all, paper, {{delays: [...], horizons: [...]}} or a list of cells, "
            f"got {short(spec)}"
        )
    if not cells:
        raise ConfigError(f"{where}: no cell; give at least one delay and one horizon")
    return _without_twins(cells, where)


def _named(spec: str, chunk_size: int, where: str) -> list[Cell]:
    if spec not in KEYWORDS:
        raise ConfigError(
            f"{where}: unknown sweep {short(spec)!r}{did_you_mean(short(spec), KEYWORDS)}"
        )
    pairs = [
        (delay, horizon)
        for delay in range(chunk_size // 2 + 1)
        for horizon in range(max(1, delay), chunk_size - delay + 1)
    ]
    if spec == "paper":
        pairs = [(d, s) for d, s in pairs if s == max(d, 1) or d == 1]
    return [Cell(delay=d, horizon=s, estimate=d) for d, s in pairs]


def _product(spec: Mapping, chunk_size: int, where: str) -> list[Cell]:
    keys = ("delays", "horizons", "estimate")
    check_keys(spec, keys, where)
    for key in ("delays", "horizons"):
        value = spec.get(key)
        if not isinstance(value, list | tuple) or not value:
            raise ConfigError(f"{where}.{key}: expected a list of steps, got {short(value)}")
    estimate = {"estimate": spec["estimate"]} if spec.get("estimate") is not None else {}
    return [
        _listed({"delay": delay, "horizon": horizon} | estimate, chunk_size, where)
        for delay in spec["delays"]
        for horizon in spec["horizons"]
    ]


def _listed(entry: Any, chunk_size: int, where: str) -> Cell:
    keys = ("delay", "horizon", "estimate")
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: expected a mapping with delay and horizon, got {short(entry)}")
    check_keys(entry, keys, where)
    for key in ("delay", "horizon"):
        if key not in entry:
            raise ConfigError(f"{where}.{key}: missing")
    horizon = _steps(entry["horizon"], f"{where}.horizon")
    delay = _delay(entry["delay"], chunk_size, f"{where}.delay")
    estimate = entry.get("estimate")
    if estimate is None:
        if not isinstance(delay, int):
            raise ConfigError(
                f"{where}.estimate: missing; a delay drawn from a distribution needs the number "
                f"of steps that the method is told"
            )
        estimate = delay
    estimate = _steps(estimate, f"{where}.estimate")
    _check_pair(max(delay_support(delay)), horizon, chunk_size, "delay", where)
    _check_pair(estimate, horizon, chunk_size, "estimate", where)
    return Cell(delay=delay, horizon=horizon, estimate=estimate)


def _check_pair(delay: int, horizon: int, chunk_size: int, name: str, where: str) -> None:
    low, high = max(delay, 1), chunk_size - delay
    if low <= horizon <= high:
        return
    if low > high:
        hint = f"a chunk of {chunk_size} allows a {name} of at most {chunk_size // 2}"
    else:
        hint = f"did you mean horizon {min(max(horizon, low), high)}?"
    raise ConfigError(
        f"{where}: {name} {delay} with horizon {horizon} is impossible "
        f"({name} <= horizon <= {chunk_size} - {name}); {hint}"
    )


def _steps(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_STEPS:
        raise ConfigError(f"{where}: expected steps, 0 to {MOST_STEPS}, got {short(value)}")
    return value


def _delay(value: Any, chunk_size: int, where: str) -> int | dict[str, Any]:
    if not isinstance(value, Mapping):
        return _steps(value, where)
    if len(value) != 1 or next(iter(value)) not in ("uniform", "choices"):
        raise ConfigError(
            f"{where}: expected steps, {{uniform: [low, high]}} or "
            f"{{choices: {{steps: probability}}}}, got {short(dict(value))}"
        )
    kind, body = next(iter(value.items()))
    if kind == "uniform":
        if not isinstance(body, list | tuple) or len(body) != 2:
            raise ConfigError(f"{where}.uniform: expected [low, high], got {short(body)}")
        low, high = (_steps(v, f"{where}.uniform.{i}") for i, v in enumerate(body))
        if low > high or high > chunk_size:
            raise ConfigError(
                f"{where}.uniform: expected low <= high <= {chunk_size}, got [{low}, {high}]"
            )
        return {"uniform": [low, high]}
    return {"choices": _choices(body, f"{where}.choices")}


def _choices(body: Any, where: str) -> dict[int, float]:
    if not isinstance(body, Mapping) or not body:
        raise ConfigError(f"{where}: expected {{steps: probability}}, got {short(body)}")
    choices = {}
    for key, weight in body.items():
        # JSON and command lines turn the keys of a mapping into text.
        written = isinstance(key, str) and len(key) <= 4 and key.isascii() and key.isdigit()
        steps = _steps(int(key) if written else key, where)
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight <= 1:
            raise ConfigError(
                f"{where}.{steps}: expected a probability above 0, got {short(weight)}"
            )
        choices[steps] = choices.get(steps, 0.0) + float(weight)
    total = math.fsum(choices.values())
    if abs(total - 1) > 1e-6:
        raise ConfigError(f"{where}: probabilities add up to {total:g}, expected 1")
    return dict(sorted(choices.items()))


def _without_twins(cells: list[Cell], where: str) -> list[Cell]:
    seen = set()
    for cell in cells:
        name = cell_name(cell)
        if name in seen:
            raise ConfigError(
                f"{where}: delay {delay_label(cell.delay)}, horizon {cell.horizon}, "
                f"estimate {cell.estimate} is given twice"
            )
        seen.add(name)
    return cells


def delay_support(delay: int | Mapping[str, Any]) -> list[int]:
    """Returns the delays, in steps, that a cell's `delay` can take."""
    if isinstance(delay, int):
        return [delay]
    if "uniform" in delay:
        low, high = delay["uniform"]
        return list(range(low, high + 1))
    return sorted(int(steps) for steps in delay["choices"])


def delay_probabilities(delay: int | Mapping[str, Any], chunk_size: int) -> list[float]:
    """Returns the probability of each delay 0..H//2, as one list that adds up to 1."""
    support = delay_support(delay)
    probabilities = [0.0] * (chunk_size // 2 + 1)
    for steps in support:
        if isinstance(delay, int) or "uniform" in delay:
            probabilities[steps] = 1 / len(support)
        else:
            probabilities[steps] = delay["choices"][steps]
    return probabilities


def delay_label(delay: int | Mapping[str, Any]) -> str:
    """Returns how tables write a delay: "2", "uniform 1-4" or "choices 1:0.7 4:0.3"."""
    if isinstance(delay, int):
        return str(delay)
    if "uniform" in delay:
        low, high = delay["uniform"]
        return f"uniform {low}-{high}"
    return "choices " + " ".join(f"{d}:{p:g}" for d, p in sorted(delay["choices"].items()))


def cell_name(cell: Cell) -> str:
    """Returns a file name for a cell; different cells have different names."""
    delay = str(cell.delay)
    if not isinstance(cell.delay, int):
        text = json.dumps(cell.delay, sort_keys=True)
        delay = next(iter(cell.delay)) + "-" + hashlib.sha256(text.encode()).hexdigest()[:10]
    return f"delay_{delay}_horizon_{cell.horizon}_estimate_{cell.estimate}"
