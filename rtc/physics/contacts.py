"""The contacts of a substep: found, put in the solver's order and worked out one by one."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from rtc.physics.bodies import Body, Catalogue, Touch, catalogue
from rtc.physics.circle_contacts import circle_circle, circle_polygon
from rtc.physics.geometry import Sides
from rtc.physics.packed import Packed, opened, pack, table
from rtc.physics.points import Point, Points, Who, no_points, recall, store
from rtc.physics.polygon_polygon import polygon_polygon
from rtc.physics.queue import Next, pop, turns_of
from rtc.physics.resting import circles_rest, circles_rest_on_polygons, polygons_rest
from rtc.physics.scene import Pairs, Scene
from rtc.physics.stages import stage
from rtc.physics.state import NO_POINT, Memory, Motion
from rtc.physics.touching import circles_touch, circles_touch_polygons, polygons_touch
from rtc.physics.vector import Vec, dot, turning
from rtc.types import Array, Int


@jax.tree_util.register_static
@dataclass(frozen=True, eq=False)
class Kind:
    """One type of contact of a level.

    pairs: that can touch. points: contact points a pair can have. first_number, first_batch:
    where its points and its solver batches are counted from. always: which pairs of two fixed
    bodies touch. find: [rows, b] which pairs touch. meet: the points of one pair each.
    """

    scene: Scene
    pairs: Pairs
    points: int
    first_number: int
    first_batch: int
    always: np.ndarray
    find: Callable[[Motion], Array]
    meet: Callable[[tuple[Catalogue, Catalogue], Body, Body], tuple[Touch, ...]]

    @property
    def width(self) -> int:
        """Rows that suffice whatever touches."""
        return self.points * int(self.pairs.resolvable.sum())


def work_out(
    scene: Scene,
    sides: Sides,
    kinds: tuple[Kind, ...],
    keys: list[Array],
    motion: Motion,
    memory: Memory,
) -> tuple[Points, Int[Array, ""]]:
    """The contact points in the solver's order, and how many rows are used.

    motion: with the velocities that restitution goes by.
    """
    points = no_points(*memory.point.shape)
    used = jnp.int32(0)
    books = {
        "polygon": catalogue(scene.polygons, sides, motion),
        "circle": catalogue(scene.circles, None, motion),
    }
    for kind, own in zip(kinds, keys):
        if kind.width:
            own_books = tuple(books[bodies.kind] for bodies in kind.pairs.kinds)
            points, used = _append(kind, own, own_books, memory, points, used)
    return points, used


def _append(
    kind: Kind,
    keys: Int[Array, "q b"],
    books: tuple[Catalogue, Catalogue],
    memory: Memory,
    points: Points,
    used: Int[Array, ""],
) -> tuple[Points, Int[Array, ""]]:
    """All first points of a type of contact, then those second ones that any environment has."""
    turns = turns_of(keys)

    def one_more(turn: Array, carry: tuple[Array, Array, Points]) -> tuple:
        last, seconds, points = carry
        nxt = pop(kind.pairs, keys, last)
        a, b = books[0].pick(nxt.a), books[1].pick(nxt.b)
        who, what = _describe(kind, nxt, a, b, kind.meet(books, a, b))
        number = who.numbers.number
        new = Points(who, what, recall(memory, number))
        rows = (used + turn, used + turns + seconds)
        for row, point in zip(rows, zip(*(part.rows for part in new))):
            points = store(points, row, Points(*point))
        if kind.points == 2:
            seconds += jnp.any(number[1] != NO_POINT).astype(jnp.int32)
        return nxt.key, seconds, points

    start = jnp.full(keys.shape[1:], -1, jnp.int32)
    _, seconds, points = jax.lax.fori_loop(0, turns, one_more, (start, jnp.int32(0), points))
    return points, used + turns + seconds


@stage
def _describe(
    kind: Kind, nxt: Next, a: Body, b: Body, touches: tuple[Touch, ...]
) -> tuple[Packed[Who], Packed[Point]]:
    """The points of one pair of each environment, a row for each."""
    a, b, touches = opened((a, b, touches))
    points = [_point(kind, k, nxt, a, b, touch) for k, touch in enumerate(touches)]
    who, what = ([pack(part) for part in parts] for parts in zip(*points))
    return table(who), table(what)


def _point(kind: Kind, k: int, nxt: Next, a: Body, b: Body, touch: Touch) -> tuple[Who, Point]:
    params, nobody = kind.scene.level.params, len(kind.scene.moving)
    active = nxt.found if touch.active is None else nxt.found & touch.active

    def there(body: Body) -> Vec:
        arm = touch.point - body.motion.placed.position
        return body.motion.velocity + turning(body.motion.spin, arm)

    bounce = jnp.minimum(a.material.restitution, b.material.restitution)
    # Overlap beyond the slop is undone at a share of it per substep (Baumgarte).
    rate = params.baumgarte_coefficient_collision / params.dt
    push = -rate * jnp.minimum(0.0, params.slop - touch.penetration)
    grip = jnp.sqrt(
        jnp.square(a.material.friction * params.base_friction)
        + jnp.square(b.material.friction * params.base_friction)
    )
    number = kind.first_number + kind.points * nxt.slot + k
    batch = kind.first_batch + k * kind.pairs.batches + nxt.batch
    who = Who(
        number=jnp.where(active, number, NO_POINT),
        batch=jnp.where(nxt.found, batch, NO_POINT),
        a=jnp.where(active, a.row, nobody),
        b=jnp.where(active, b.row, nobody),
    )
    return who, Point(
        place=touch.point,
        normal=touch.normal,
        target=push - dot(there(b) - there(a), touch.normal) * bounce,
        grip=grip,
        inverse_mass=(a.material.inverse_mass, b.material.inverse_mass),
        inverse_inertia=(a.material.inverse_inertia, b.material.inverse_inertia),
    )


def kinds_of_contact(scene: Scene, sides: Sides) -> tuple[Kind, ...]:
    """The types of contact that can occur in a level, in the order in which they are solved."""
    polygons, circles = scene.polygons, scene.circles
    options = [
        (
            scene.polygon_polygon,
            polygons_rest(scene.polygon_polygon, sides),
            lambda motion: polygons_touch(polygons, sides, motion),
            polygon_polygon,
        ),
        (
            scene.circle_polygon,
            circles_rest_on_polygons(scene.circle_polygon, sides),
            lambda motion: circles_touch_polygons(circles, polygons, sides, motion),
            circle_polygon,
        ),
        (
            scene.circle_circle,
            circles_rest(scene.circle_circle),
            lambda motion: circles_touch(circles, motion),
            circle_circle,
        ),
    ]
    kinds, number, batch = [], 0, 0
    for (pairs, always, find, meet), points in zip(options, (2, 1, 1)):
        if len(pairs) or len(pairs.fixed):
            kinds.append(Kind(scene, pairs, points, number, batch, always, find, meet))
        number += points * pairs.slots
        batch += points * pairs.batches
    return tuple(kinds)
