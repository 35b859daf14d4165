"""The solver: sequential impulses, ten rounds over all joints and all contacts.

After E. Catto, "Iterative dynamics with temporal coherence" (GDC 2005): each constraint in
turn is satisfied by an impulse; contact impulses are summed up and the sum is clamped.
"""

from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from rtc.levels import Level
from rtc.physics.joints import End, Half, Joint, Lever, Speed, lever, moved, pull, tally
from rtc.physics.packed import Packed, formula, opened, pack, table
from rtc.physics.points import Impulse, Point, Points, Who, load
from rtc.physics.stages import in_kernel, single, stage
from rtc.physics.state import JointImpulses, Motion
from rtc.physics.vector import Vec, cross, dot, nonzero, right_of, select
from rtc.types import Array, Int

T = TypeVar("T", bound=tuple)


class Bodies(NamedTuple):
    """The moving bodies as the solver holds them, and one more that stands for all fixed ones.

    place, speed: tables with a row for each body, `Vec` and `Speed`. The last row stays 0.
    """

    place: Packed[Vec]
    speed: Packed[Speed]


def gather_bodies(motion: Motion) -> Bodies:
    """The solver's view of the state."""
    bodies = Bodies(pack(motion.position), pack(Speed(motion.velocity, motion.spin)))
    return jax.tree.map(lambda rows: jnp.pad(rows, ((0, 1), (0, 0), (0, 0))), bodies)


def spread_bodies(motion: Motion, bodies: Bodies) -> Motion:
    """The state with what the solver made of it."""
    place, speed = opened(jax.tree.map(lambda rows: rows[:-1], bodies))
    return motion._replace(position=place, velocity=speed.velocity, spin=speed.spin)


def warm_start(
    joints: tuple[Joint, ...],
    motion: Motion,
    sums: JointImpulses,
    points: Points,
    used: Int[Array, ""],
) -> Motion:
    """Begins with the impulses of the last substep, which are nearly right again."""
    bodies = gather_bodies(motion)

    def one(row: Array, speed: Packed[Speed]) -> Packed[Speed]:
        point = load(points, row)
        return _push(point, _of_both(point.who, bodies.place), speed, point.sums)

    speed = jax.lax.fori_loop(0, used, one, bodies.speed).rows
    for i, joint in enumerate(joints):
        (linear, twist), arms = jax.tree.map(lambda x, i=i: x[i], sums), lever(joint, motion)
        for end, arm, sign in ((joint.a, arms.a, 1.0), (joint.b, arms.b, -1.0)):
            if end.row is not None:
                turn = (cross(arm, linear) + twist) * (sign * end.inverse_inertia)
                change = pack(Speed(linear * (sign * end.inverse_mass), turn))
                speed[end.row] = jax.tree.map(jnp.add, speed[end.row], change)
    return spread_bodies(motion, bodies._replace(speed=table(speed)))


def solve(
    level: Level,
    joints: tuple[Joint, ...],
    motion: Motion,
    sums: JointImpulses,
    points: Points,
    used: Int[Array, ""],
    forgetful: tuple[int, ...],
) -> tuple[Motion, JointImpulses, Points]:
    """All rounds. forgetful: numbers of contact points whose sums are wiped in every round."""
    levers = [pack(lever(joint, motion)) for joint in joints]
    rounds = single(partial(_rounds, level, joints, forgetful))
    bodies, sums, points = rounds(gather_bodies(motion), pack(sums), levers, points, used)
    return spread_bodies(motion, bodies), sums.numbers, points


Carry = tuple[Bodies, Packed[JointImpulses], Points]


def _rounds(
    level: Level,
    joints: tuple[Joint, ...],
    forgetful: tuple[int, ...],
    bodies: Bodies,
    sums: Packed[JointImpulses],
    levers: list[Packed[Lever]],
    points: Points,
    used: Int[Array, ""],
) -> Carry:
    def one_round(_: Array, carry: Carry) -> Carry:
        bodies, sums, points = carry
        bodies, sums = _solve_joints(joints, levers, bodies, sums)
        speed, points = _solve_contacts(bodies, points, used, forgetful)
        return bodies._replace(speed=speed), sums, points

    start = (bodies, sums, points)
    return jax.lax.fori_loop(0, level.static.num_solver_iterations, one_round, start)


def _solve_joints(
    joints: tuple[Joint, ...],
    levers: list[Packed[Lever]],
    bodies: Bodies,
    sums: Packed[JointImpulses],
) -> tuple[Bodies, Packed[JointImpulses]]:
    """One joint after the other; each sees what the ones before it did."""
    if not joints:
        return bodies, sums
    halves, summed = formula(Half)(*bodies).rows, []
    for joint, arms, before in zip(joints, levers, sums.rows):
        a, b = (_half(end, halves) for end in (joint.a, joint.b))
        impulse = pull(joint, arms, a, b)
        for end in (joint.a, joint.b):
            if end.row is not None:
                halves[end.row] = moved(joint, end, arms, a, b, impulse)
        summed.append(tally(joint, arms, a, b, impulse, before))
    return Bodies(*stage(table)(halves).parts), stage(table)(summed)


def _half(end: End, halves: list[Packed[Half]]) -> Packed[Half]:
    if end.row is not None:
        return halves[end.row]
    still = jnp.zeros_like(halves[0].array[0])
    place = Vec(*(still + c for c in end.position))
    return pack(Half(place, Speed(Vec(still, still), still)))


def _solve_contacts(
    bodies: Bodies, points: Points, used: Int[Array, ""], forgetful: tuple[int, ...]
) -> tuple[Packed[Speed], Points]:
    """One round over the contacts: contacts of one batch all see the speeds before it."""

    def visit(row: Array, carry: tuple) -> tuple:
        speed, before, last_batch, points = carry
        point = load(points, row)
        number, batch, *_ = point.who.numbers
        before = _batch_start(batch, last_batch, speed, before)
        place, seen = (_of_both(point.who, of_bodies) for of_bodies in (bodies.place, before))
        new = _impulses(point.what, _leverage(point.what, place), seen, point.sums)
        speed = _push(point, place, speed, jax.tree.map(jnp.subtract, new, point.sums))
        kept = points.sums.store(row, _remembered(number, new, forgetful))
        return speed, before, batch, points._replace(sums=kept)

    nothing = jnp.full(points.who.numbers.batch.shape[1:], -2, jnp.int32)
    carry = (bodies.speed, bodies.speed, nothing, points)
    speed, _, _, points = jax.lax.fori_loop(0, used, visit, carry)
    return speed, points


@stage
def _batch_start(
    batch: Array, last_batch: Array, speed: Packed[Speed], before: Packed[Speed]
) -> Packed[Speed]:
    """The speeds that a batch sees: those now where a new batch begins, else the old ones."""
    begins = batch != last_batch
    if in_kernel():
        return jax.lax.cond(begins[0], lambda: speed, lambda: before)
    return select(begins[None, None], speed, before)


@stage
def _of_both(who: Packed[Who], of_bodies: Packed[T]) -> list[Packed[T]]:
    """Rows of a table of bodies for both bodies of a contact."""
    return of_bodies.load_each(who.numbers.a, who.numbers.b)


def _remembered(
    number: Array, sums: Packed[Impulse], forgetful: tuple[int, ...]
) -> Packed[Impulse]:
    for wiped in forgetful:
        sums = jax.tree.map(lambda x, gone=number == wiped: jnp.where(gone[None], 0.0, x), sums)
    return sums


class Leverage(NamedTuple):
    """What an impulse at a contact point can do, each [b].

    past_normal, past_tangent: how far the line of the normal or tangent passes the centres of a
    and b, m. normal_mass, tangent_mass: impulse for a unit of speed, kg. coupling: slip that a
    unit of normal impulse makes, through the spins, 1/kg.
    """

    past_normal: tuple[Array, Array]
    past_tangent: tuple[Array, Array]
    normal_mass: Array
    tangent_mass: Array
    coupling: Array


@formula
def _leverage(point: Point, place: list[Vec]) -> Leverage:
    """place: of both bodies, which joints move while the solver runs."""
    arms = [point.place - here for here in place]
    normal = tuple(cross(arm, point.normal) for arm in arms)
    tangent = tuple(cross(arm, right_of(point.normal)) for arm in arms)
    inertia_a, inertia_b = point.inverse_inertia
    mass = point.inverse_mass[0] + point.inverse_mass[1]

    def turned(one: tuple[Array, Array], other: tuple[Array, Array]) -> Array:
        return inertia_a * one[0] * other[0] + inertia_b * one[1] * other[1]

    return Leverage(
        normal,
        tangent,
        normal_mass=1 / nonzero(mass + turned(normal, normal)),
        tangent_mass=1 / nonzero(mass + turned(tangent, tangent)),
        coupling=turned(normal, tangent),
    )


@formula
def _impulses(point: Point, lever: Leverage, speed: list[Speed], old: Impulse) -> Impulse:
    """New sums of a contact's impulses.

    Normal: stop the approach (or reverse a part of it) and push the overlap out; never pull.
    Tangent: stop the slip, by no more than friction allows (Coulomb's cone).
    """
    a, b = speed

    def relative(line: Vec, past: tuple[Array, Array]) -> Array:
        return dot(b.velocity - a.velocity, line) + past[1] * b.spin - past[0] * a.spin

    approach = relative(point.normal, lever.past_normal)
    normal = jnp.maximum(old.normal + (point.target - approach) * lever.normal_mass, 0.0)
    slip = relative(right_of(point.normal), lever.past_tangent)
    slip = slip + (normal - old.normal) * lever.coupling
    limit = point.grip * normal
    return Impulse(normal, jnp.clip(old.tangent - slip * lever.tangent_mass, -limit, limit))


def _push(
    point: Points,
    place: list[Packed[Vec]],
    speed: Packed[Speed],
    impulse: Packed[Impulse],
) -> Packed[Speed]:
    """Speeds of all bodies after an impulse at a contact point."""
    changes = _changes(point.what, place, impulse)
    return _add_to_both(point.who, speed, changes)


@formula
def _changes(point: Point, place: list[Vec], impulse: Impulse) -> tuple[Speed, Speed]:
    """What an impulse does to both bodies."""
    push = point.normal * impulse.normal + right_of(point.normal) * impulse.tangent
    ends = zip((-1.0, 1.0), place, point.inverse_mass, point.inverse_inertia)
    return tuple(
        Speed(push * (sign * mass), cross(point.place - here, push) * (sign * inertia))
        for sign, here, mass, inertia in ends
    )


@stage
def _add_to_both(
    who: Packed[Who], speed: Packed[Speed], changes: Packed[tuple[Speed, Speed]]
) -> Packed[Speed]:
    for body, change in zip((who.numbers.a, who.numbers.b), changes.parts):
        speed = speed.add_each(body, change)
    return speed
