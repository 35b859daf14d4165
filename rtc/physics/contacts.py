"""The contacts of a substep: found, put in the solver's order and worked out one by one."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from rtc.physics.bodies import Body, Touch, pick_body, pick_constant, pick_sides
from rtc.physics.circle_contacts import circle_circle, circle_polygon
from rtc.physics.geometry import Sides
from rtc.physics.points import NO_POINT, Point, no_points, recall, write_row
from rtc.physics.polygon_polygon import polygon_polygon
from rtc.physics.queue import EMPTY, Next, pop
from rtc.physics.resting import circles_rest, circles_rest_on_polygons, polygons_rest
from rtc.physics.scene import Pairs, Scene
from rtc.physics.state import Memory, Motion
from rtc.physics.touching import circles_touch, circles_touch_polygons, polygons_touch
from rtc.physics.vector import Turn, dot, turning
from rtc.types import Array, Int


@dataclass(frozen=True, eq=False)
class Kind:
    """One type of contact of a level.

    pairs: that can touch. points: contact points a pair can have. first_number, first_batch:
    where its points and its solver batches are counted from. always: which pairs of two fixed
    bodies touch. find: [rows, b] which pairs touch. meet: the points of one pair each.
    """

    pairs: Pairs
    points: int
    first_number: int
    first_batch: int
    always: np.ndarray
    find: Callable[[Motion], Array]
    meet: Callable[[Body, Array, Body, Array], tuple[Touch, ...]]

    @property
    def width(self) -> int:
        """Rows that suffice whatever touches."""
        return self.points * int(self.pairs.resolvable.sum())


def count_rows(keys: Int[Array, "q b"], kind: Kind) -> Int[Array, ""]:
    """Rows that a type of contact takes: for the environment with most of them."""
    return kind.points * _turns(keys)


def _turns(keys: Int[Array, "q b"]) -> Int[Array, ""]:
    return jnp.max(jnp.sum((keys != EMPTY).astype(jnp.int32), axis=0))


def work_out(
    scene: Scene,
    kinds: tuple[Kind, ...],
    keys: list[Array],
    motion: Motion,
    memory: Memory,
    width: int,
) -> tuple[Point, Int[Array, ""]]:
    """The contact points in the solver's order, and how many rows are used.

    motion: with the velocities that restitution goes by. width: rows to provide.
    """
    batch_size = motion.angle.shape[1]
    points = no_points(width, batch_size, motion.angle.shape[0])
    turns = Turn(jnp.cos(motion.angle), jnp.sin(motion.angle))
    used = jnp.int32(0)
    for kind, own in zip(kinds, keys):
        if kind.width:
            points, used = _append(scene, kind, own, motion, turns, memory, points, used)
    return points, used


def _append(
    scene: Scene,
    kind: Kind,
    keys: Int[Array, "q b"],
    motion: Motion,
    turns: Turn,
    memory: Memory,
    points: Point,
    used: Int[Array, ""],
) -> tuple[Point, Int[Array, ""]]:
    """All first points of a type of contact, then all second ones."""
    count = _turns(keys)

    def one_more(turn: Array, carry: tuple[Array, Point]) -> tuple[Array, Point]:
        last, points = carry
        nxt = pop(kind.pairs, keys, last)
        a = pick_body(kind.pairs.kinds[0], motion, turns, nxt.a)
        b = pick_body(kind.pairs.kinds[1], motion, turns, nxt.b)
        for k, touch in enumerate(kind.meet(a, nxt.a, b, nxt.b)):
            point = _point(scene, kind, k, nxt, a, b, touch)
            normal, tangent = recall(memory, point.number)
            point = point._replace(normal_sum=normal, tangent_sum=tangent)
            points = write_row(points, used + k * count + turn, point)
        return nxt.key, points

    start = jnp.full(keys.shape[1:], -1, jnp.int32)
    _, points = jax.lax.fori_loop(0, count, one_more, (start, points))
    return points, used + kind.points * count


def _point(scene: Scene, kind: Kind, k: int, nxt: Next, a: Body, b: Body, touch: Touch) -> Point:
    params = scene.level.params
    active = nxt.found & touch.active
    nobody = jnp.int32(len(scene.moving))
    a_arm, b_arm = touch.point - a.placed.position, touch.point - b.placed.position
    approach = (b.velocity + turning(b.spin, b_arm)) - (a.velocity + turning(a.spin, a_arm))
    bounce = dot(approach, touch.normal) * jnp.minimum(a.restitution, b.restitution)
    # Overlap beyond the slop is undone at a share of it per substep (Baumgarte).
    rate = params.baumgarte_coefficient_collision / params.dt
    grip = jnp.sqrt(
        jnp.square(a.friction * params.base_friction)
        + jnp.square(b.friction * params.base_friction)
    )
    number = kind.first_number + kind.points * nxt.slot + k
    batch = kind.first_batch + k * kind.pairs.batches + nxt.batch
    zero = jnp.zeros_like(grip)
    return Point(
        number=jnp.where(active, number, NO_POINT),
        batch=jnp.where(nxt.found, batch, NO_POINT),
        a=jnp.where(active, a.row, nobody),
        b=jnp.where(active, b.row, nobody),
        place=touch.point,
        normal=touch.normal,
        push=-rate * jnp.minimum(0.0, params.slop - touch.penetration),
        bounce=bounce,
        grip=grip,
        a_mass=a.inverse_mass,
        b_mass=b.inverse_mass,
        a_inertia=a.inverse_inertia,
        b_inertia=b.inverse_inertia,
        normal_sum=zero,
        tangent_sum=zero,
    )


def kinds_of_contact(scene: Scene, sides: Sides) -> tuple[Kind, ...]:
    """The types of contact that can occur in a level, in the order in which they are solved."""
    polygons, circles = scene.polygons, scene.circles

    def polygon_meets_polygon(a: Body, i: Array, b: Body, j: Array) -> tuple[Touch, ...]:
        return polygon_polygon(a, pick_sides(sides, i), b, pick_sides(sides, j))

    def circle_meets_polygon(a: Body, i: Array, b: Body, j: Array) -> tuple[Touch, ...]:
        radius = pick_constant(i, circles["radius"])
        return (circle_polygon(a, radius, b, pick_sides(sides, j)),)

    def circle_meets_circle(a: Body, i: Array, b: Body, j: Array) -> tuple[Touch, ...]:
        radii = (pick_constant(k, circles["radius"]) for k in (i, j))
        return (circle_circle(a, next(radii), b, next(radii)),)

    options = [
        (
            scene.polygon_polygon,
            polygons_rest(scene.polygon_polygon, sides),
            lambda motion: polygons_touch(polygons, sides, motion),
            polygon_meets_polygon,
        ),
        (
            scene.circle_polygon,
            circles_rest_on_polygons(scene.circle_polygon, sides),
            lambda motion: circles_touch_polygons(circles, polygons, sides, motion),
            circle_meets_polygon,
        ),
        (
            scene.circle_circle,
            circles_rest(scene.circle_circle),
            lambda motion: circles_touch(circles, motion),
            circle_meets_circle,
        ),
    ]
    kinds, number, batch = [], 0, 0
    for (pairs, always, find, meet), points in zip(options, (2, 1, 1)):
        if len(pairs) or len(pairs.fixed):
            kinds.append(Kind(pairs, points, number, batch, always, find, meet))
        number += points * pairs.slots
        batch += points * pairs.batches
    return tuple(kinds)
