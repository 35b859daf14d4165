"""What a level tells before anything runs: which bodies move, which pairs can meet.

All of it is numpy, worked out once when the program is traced. Bodies are counted anew: those
that move come first (polygons, then circles), so that the state holds only them; whatever
belongs to a fixed body is a constant of the program.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped

from rtc.errors import LevelError
from rtc.levels import Level

LARGEST_KIND = 32  # bodies of one kind: their numbers are packed into a few bits (queue.py)
MEETS_ALL = 2  # collision mode; 1 meets 1 and 2, 0 meets only 2
GOAL, FORBIDDEN = 2, 3  # products of the roles: green (1) with blue (2), green with red (3)


@dataclass(frozen=True, eq=False)
class Bodies:
    """The active polygons, or the active circles; those that move come first.

    slots: [k] their numbers in the level, within their kind. ids: [k] the same, counted as
    joints count bodies (circles after all polygons). moving: how many of them move.
    first_row: place of the first moving one among all moving bodies.
    """

    level: Level
    kind: str
    slots: np.ndarray
    ids: np.ndarray
    moving: int
    first_row: int

    def __len__(self) -> int:
        return len(self.slots)

    def __getitem__(self, field: str) -> np.ndarray:
        """A field of the level for these bodies, [k, ...]."""
        return self.level[f"{self.kind}/{field}"][self.slots]

    @property
    def roles(self) -> np.ndarray:
        """[k] 0 none, 1 green, 2 blue, 3 red."""
        return self.level[f"{self.kind}_shape_roles"][self.slots]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of one type of contact of which at least one body moves; arrays are [rows].

    kinds: what a and b count in. a, b: numbers within `kinds`; a is the circle of a circle and
    a polygon, else the lower of the two in the level. slot: place among the `slots` pairs of
    the padded scene. batches: into how many the solver deals the pairs that touch.
    candidate: the solver counts it when it touches. resolvable: it also exchanges impulses.
    role: product of the roles. fixed: pairs of two fixed bodies, for which `candidate`,
    `slot` and `role` matter alone; None within `fixed` itself.
    """

    kinds: tuple[Bodies, Bodies]
    a: np.ndarray
    b: np.ndarray
    slot: np.ndarray
    slots: int
    batches: int
    padded: bool
    candidate: np.ndarray
    resolvable: np.ndarray
    role: np.ndarray
    fixed: "Pairs | None"

    def __len__(self) -> int:
        return len(self.a)


@dataclass(frozen=True, eq=False)
class Scene:
    """A level, ready for tracing. moving: [m] ids of the moving bodies, in the state's order."""

    level: Level
    polygons: Bodies
    circles: Bodies
    moving: np.ndarray
    polygon_polygon: Pairs
    circle_polygon: Pairs
    circle_circle: Pairs

    @property
    def contacts(self) -> tuple[Pairs, Pairs, Pairs]:
        """The pairs in the order in which the solver visits them."""
        return self.polygon_polygon, self.circle_polygon, self.circle_circle

    def row(self, body: int) -> int | None:
        """Place of a body (an id) in the state; None if it is fixed."""
        found = np.flatnonzero(self.moving == body)
        return int(found[0]) if len(found) else None

    def of(self, field: str) -> np.ndarray:
        """A field of the level for the moving bodies, [m, ...]."""
        return body_field(self.level, field)[self.moving]


def body_field(level: Level, name: str) -> Shaped[np.ndarray, "n ..."]:
    """A field of all bodies, polygons first and then circles, as joints count them."""
    return np.concatenate([level[f"polygon/{name}"], level[f"circle/{name}"]])


def moving_bodies(level: Level) -> Bool[np.ndarray, " n"]:
    """Active bodies whose place or speed can ever change.

    A body stays where it is if its mass and its inertia are infinite, it starts at rest, and
    it lies within the square that positions are clipped to.
    """
    pushed = (body_field(level, "inverse_mass") != 0) | (body_field(level, "inverse_inertia") != 0)
    drifts = (body_field(level, "velocity") != 0).any(axis=1)
    spins = body_field(level, "angular_velocity") != 0
    outside = (np.abs(body_field(level, "position")) > level.params.clip_position).any(axis=1)
    return body_field(level, "active") & (pushed | drifts | spins | outside)


def analyse(level: Level) -> Scene:
    """Raises LevelError if the level is beyond what the specialised engine is written for."""
    _check(level)
    static = level.static
    moves = moving_bodies(level)
    polygons = _bodies(level, "polygon", moves[: static.num_polygons], 0, 0)
    circles = _bodies(
        level, "circle", moves[static.num_polygons :], static.num_polygons, polygons.moving
    )
    walls = static.num_static_fixated_polys
    both_walls = np.less.outer(np.arange(static.num_polygons), walls)
    both_walls = both_walls[:, None] & both_walls[None]
    triangle = np.triu(np.ones((static.num_polygons,) * 2, bool), 1) & ~both_walls
    grid = np.ones((static.num_circles, static.num_polygons), bool)
    corner = np.triu(np.ones((static.num_circles,) * 2, bool), 1)
    return Scene(
        level=level,
        polygons=polygons,
        circles=circles,
        moving=np.concatenate([k.ids[: k.moving] for k in (polygons, circles)]),
        polygon_polygon=_pairs(level, polygons, polygons, triangle),
        circle_polygon=_pairs(level, circles, polygons, grid),
        circle_circle=_pairs(level, circles, circles, corner),
    )


def _check(level: Level) -> None:
    static = level.static
    way_out = "set `env.engine: kinetix`, the stock engine, for this level"
    if static.max_polygon_vertices != 4:
        raise LevelError(
            f"level {level.name}: the specialised engine knows polygons of up to 4 vertices, "
            f"not {static.max_polygon_vertices}; {way_out}"
        )
    largest = max(static.num_polygons, static.num_circles)
    if largest > LARGEST_KIND:
        raise LevelError(
            f"level {level.name}: the specialised engine takes up to {LARGEST_KIND} polygons and "
            f"{LARGEST_KIND} circles, not {largest}; {way_out}"
        )


def _bodies(
    level: Level, kind: str, moves: Bool[np.ndarray, " k"], offset: int, first_row: int
) -> Bodies:
    active = level[f"{kind}/active"]
    slots = np.concatenate([np.flatnonzero(active & moves), np.flatnonzero(active & ~moves)])
    return Bodies(level, kind, slots, slots + offset, int(moves.sum()), first_row)


def _pairs(level: Level, first: Bodies, second: Bodies, in_scene: Bool[np.ndarray, "n m"]) -> Pairs:
    """in_scene: which combinations of level slots are pairs at all, in slot order."""
    i, j = np.indices((len(first), len(second)))
    once = (i < j) | (first is not second)
    moves = (i < first.moving) | (j < second.moving)
    fixed = _table(level, (first, second), np.nonzero(once & ~moves), in_scene, None)
    return _table(level, (first, second), np.nonzero(once & moves), in_scene, fixed)


def _table(
    level: Level,
    kinds: tuple[Bodies, Bodies],
    rows: tuple[np.ndarray, np.ndarray],
    in_scene: Bool[np.ndarray, "n m"],
    fixed: Pairs | None,
) -> Pairs:
    first, second = kinds
    i, j = rows
    if first is second:  # a is the lower one in the level
        swap = first.slots[i] > second.slots[j]
        i, j = np.where(swap, j, i), np.where(swap, i, j)
    a, b = first.slots[i], second.slots[j]
    slots = int(in_scene.sum())
    numbers = np.cumsum(in_scene).reshape(in_scene.shape) - 1
    mode_a, mode_b = first["collision_mode"][i], second["collision_mode"][j]
    meets = (mode_a == MEETS_ALL) | (mode_b == MEETS_ALL) | (mode_a * mode_b > 0)
    candidate = in_scene[a, b] & meets
    finite = (first["inverse_mass"][i] != 0) | (second["inverse_mass"][j] != 0)
    allowed = level["collision_matrix"][first.ids[i], second.ids[j]]
    batches, padded = _batches(level, slots)
    return Pairs(
        kinds=kinds,
        a=i,
        b=j,
        slot=numbers[a, b],
        slots=slots,
        batches=batches,
        padded=padded,
        candidate=candidate,
        resolvable=candidate & finite & allowed,
        role=np.where(in_scene[a, b], first.roles[i] * second.roles[j], 0),
        fixed=fixed,
    )


def _batches(level: Level, slots: int) -> tuple[int, bool]:
    """Solver batches, and whether their index lists are padded (see `Pairs.padded`)."""
    size = level.static.solver_batch_size
    batches = max(1, -(-slots // size))
    padding = batches * size - slots
    if 0 < padding < batches:
        raise LevelError(
            f"level {level.name}: the specialised engine cannot deal {slots} pairs into solver "
            f"batches of {size}; set `env.engine: kinetix`, the stock engine, for this level"
        )
    return batches, padding > 0
