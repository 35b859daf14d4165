"""The solver: sequential impulses, ten rounds over all joints and all contacts.

After E. Catto, "Iterative dynamics with temporal coherence" (GDC 2005): each constraint in
turn is satisfied by an impulse; contact impulses are summed up and the sum is clamped.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rtc.levels import Level, SimParams
from rtc.physics.joints import End, Half, Joint, Lever, Visit, lever
from rtc.physics.points import Points, Row, read_point, read_row, write_row
from rtc.physics.stages import in_kernel, single, stage
from rtc.physics.state import JointImpulses, Motion
from rtc.physics.vector import Vec, cross, dot, nonzero, right_of
from rtc.types import Array, Float, Int


class Bodies(NamedTuple):
    """The moving bodies as the solver holds them, and one more that stands for all fixed ones.

    place: [m + 1, 2, b]. speed: [m + 1, 3, b] velocity and spin. The last row stays 0.
    """

    place: Array
    speed: Array


def gather_bodies(motion: Motion) -> Bodies:
    """The solver's view of the state."""
    nobody = ((0, 1), (0, 0), (0, 0))
    return Bodies(
        jnp.pad(jnp.stack(motion.position, axis=1), nobody),
        jnp.pad(jnp.stack([*motion.velocity, motion.spin], axis=1), nobody),
    )


def spread_bodies(motion: Motion, bodies: Bodies) -> Motion:
    """The state with what the solver made of it."""
    place, speed = bodies.place[:-1], bodies.speed[:-1]
    return motion._replace(
        position=Vec(place[:, 0], place[:, 1]),
        velocity=Vec(speed[:, 0], speed[:, 1]),
        spin=speed[:, 2],
    )


def warm_start(
    joints: tuple[Joint, ...],
    motion: Motion,
    sums: JointImpulses,
    points: Points,
    used: Int[Array, ""],
) -> Motion:
    """Begins with the impulses of the last substep, which are nearly right again."""
    bodies = gather_bodies(motion)

    def one(row: Array, speed: Array) -> Array:
        point = read_point(points, row)
        return _push(point, speed, _of_both(point, bodies.place), point.sums)

    speed = list(jax.lax.fori_loop(0, used, one, bodies.speed))
    for i, joint in enumerate(joints):
        arms = Lever.of(lever(joint, motion))
        impulse, twist = Vec(sums.linear.x[i], sums.linear.y[i]), sums.twist[i]
        for end, arm, sign in ((joint.a, arms.a, 1.0), (joint.b, arms.b, -1.0)):
            if end.row is not None:
                pull = impulse * (sign * end.inverse_mass)
                turn = (cross(arm, impulse) + twist) * (sign * end.inverse_inertia)
                speed[end.row] = speed[end.row] + jnp.stack([*pull, turn])
    return spread_bodies(motion, bodies._replace(speed=jnp.stack(speed)))


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
    levers = [lever(joint, motion) for joint in joints]
    packed = jnp.stack([*sums.linear, sums.twist], axis=1)
    rounds = single(partial(_rounds, level, joints, forgetful))
    bodies, packed, contact = rounds(gather_bodies(motion), packed, levers, points, used)
    sums = JointImpulses(Vec(packed[:, 0], packed[:, 1]), packed[:, 2])
    return spread_bodies(motion, bodies), sums, points._replace(sums=contact)


def _rounds(
    level: Level,
    joints: tuple[Joint, ...],
    forgetful: tuple[int, ...],
    bodies: Bodies,
    joint_sums: Float[Array, "j 3 b"],
    levers: list[Array],
    points: Points,
    used: Int[Array, ""],
) -> tuple[Bodies, Float[Array, "j 3 b"], Float[Array, "w 2 b"]]:
    def one_round(_: Array, carry: tuple[Bodies, Array, Array]) -> tuple:
        bodies, joint_sums, contact_sums = carry
        bodies, joint_sums = _solve_joints(level.params, joints, levers, bodies, joint_sums)
        speed, contact_sums = _solve_contacts(bodies, points, contact_sums, used, forgetful)
        return bodies._replace(speed=speed), joint_sums, contact_sums

    start = (bodies, joint_sums, points.sums)
    return jax.lax.fori_loop(0, level.static.num_solver_iterations, one_round, start)


def _solve_joints(
    params: SimParams,
    joints: tuple[Joint, ...],
    levers: list[Array],
    bodies: Bodies,
    sums: Float[Array, "j 3 b"],
) -> tuple[Bodies, Float[Array, "j 3 b"]]:
    """One joint after the other; each sees what the ones before it did."""
    if not joints:
        return bodies, sums
    halves = list(_beside(bodies.place, bodies.speed))
    summed = []
    for joint, arms, before in zip(joints, levers, sums):
        visit = Visit(joint, params)
        a, b = (_half(end, halves) for end in (joint.a, joint.b))
        impulse = stage(visit.pull)(arms, a, b)
        for side, end in (("a", joint.a), ("b", joint.b)):
            if end.row is not None:
                move = stage(lambda *given, visit=visit, side=side: visit.move(*given, side))
                halves[end.row] = move(arms, a, b, impulse)
        summed.append(stage(visit.tally)(arms, a, b, impulse, before))
    together = _stack(halves)
    return Bodies(together[:, :2], together[:, 2:]), _stack(summed)


@stage
def _stack(rows: list[Array]) -> Array:
    return jnp.stack(rows)


@stage
def _beside(place: Array, speed: Array) -> Float[Array, "n 5 b"]:
    return jnp.concatenate([place, speed], axis=1)


def _half(end: End, halves: list[Array]) -> Float[Array, "5 b"]:
    if end.row is not None:
        return halves[end.row]
    still = jnp.zeros(halves[0].shape[1:], jnp.float32)
    return Half(Vec(*(still + c for c in end.position)), Vec(still, still), still).packed()


def _solve_contacts(
    bodies: Bodies,
    points: Points,
    sums: Float[Array, "w 2 b"],
    used: Int[Array, ""],
    forgetful: tuple[int, ...],
) -> tuple[Float[Array, "n 3 b"], Float[Array, "w 2 b"]]:
    """One round over the contacts: contacts of one batch all see the speeds before it."""

    def visit(row: Array, carry: tuple[Array, Array, Array, Points]) -> tuple:
        speed, before, last_batch, points = carry
        point = read_point(points, row)
        before = _batch_start(point.who, last_batch, speed, before)
        place, seen = (_of_both(point, table) for table in (bodies.place, before))
        new, change = _impulses(point, _levers(point, place), seen)
        speed = _push(point, speed, place, change)
        sums = write_row(points.sums, row, _kept(point.who[0], new, forgetful))
        return speed, before, point.who[1], points._replace(sums=sums)

    nothing = jnp.full(bodies.speed.shape[2:], -2, jnp.int32)
    carry = (bodies.speed, bodies.speed, nothing, points._replace(sums=sums))
    speed, _, _, points = jax.lax.fori_loop(0, used, visit, carry)
    return speed, points.sums


@stage
def _batch_start(who: Array, last_batch: Array, speed: Array, before: Array) -> Array:
    """The speeds that a batch sees: those now where a new batch begins, else the old ones."""
    begins = who[1] != last_batch
    if in_kernel():
        return jax.lax.cond(begins[0], lambda: speed, lambda: before)
    return jnp.where(begins[None, None], speed, before)


@stage
def _of_both(point: Row, table: Float[Array, "n f b"]) -> Float[Array, "2 f b"]:
    """Rows of a table of bodies for both bodies of a contact."""
    rows = jnp.broadcast_to(point.who[2:4, None], (2, *table.shape[1:]))
    return jnp.take_along_axis(table, rows, axis=0, mode="promise_in_bounds")


def _kept(number: Array, sums: Array, forgetful: tuple[int, ...]) -> Array:
    for wiped in forgetful:
        sums = jnp.where((number == wiped)[None], 0.0, sums)
    return sums


class Leverage(NamedTuple):
    """What an impulse at a contact point can do, each [b].

    a_normal ... b_tangent: how far the line of the normal or tangent passes the centre, m.
    normal_mass, tangent_mass: impulse for a unit of speed, kg. coupling: slip that a unit of
    normal impulse makes, through the spins, 1/kg.
    """

    a_normal: Array
    b_normal: Array
    a_tangent: Array
    b_tangent: Array
    normal_mass: Array
    tangent_mass: Array
    coupling: Array


@stage
def _levers(row: Row, place: Float[Array, "2 2 b"]) -> Float[Array, "7 b"]:
    """A packed `Leverage`. place: of both bodies, which joints move while the solver runs."""
    point = row.point
    arms = [point.place - Vec(*here) for here in place]
    normal, tangent = point.normal, right_of(point.normal)
    past_n = [cross(arm, normal) for arm in arms]
    past_t = [cross(arm, tangent) for arm in arms]
    mass = point.a_mass + point.b_mass

    def turned(one: list[Array], other: list[Array]) -> Array:
        return point.a_inertia * one[0] * other[0] + point.b_inertia * one[1] * other[1]

    return jnp.stack(
        Leverage(
            *past_n,
            *past_t,
            normal_mass=1 / nonzero(mass + turned(past_n, past_n)),
            tangent_mass=1 / nonzero(mass + turned(past_t, past_t)),
            coupling=turned(past_n, past_t),
        )
    )


@stage
def _impulses(
    row: Row, levers: Float[Array, "7 b"], speed: Float[Array, "2 3 b"]
) -> Float[Array, "2 2 b"]:
    """New sums of a contact's impulses along normal and tangent, and by how much they changed.

    Normal: stop the approach (or reverse a part of it) and push the overlap out; never pull.
    Tangent: stop the slip, by no more than friction allows (Coulomb's cone).
    """
    point, lever = row.point, Leverage(*levers)
    drift = Vec(*(speed[1] - speed[0])[:2])
    spin_a, spin_b = speed[:, 2]
    approach = dot(drift, point.normal) + lever.b_normal * spin_b - lever.a_normal * spin_a
    slip = dot(drift, right_of(point.normal))
    slip = slip + lever.b_tangent * spin_b - lever.a_tangent * spin_a
    normal = jnp.maximum(row.sums[0] + (point.target - approach) * lever.normal_mass, 0.0)
    slip = slip + (normal - row.sums[0]) * lever.coupling
    limit = point.grip * normal
    tangent = jnp.clip(row.sums[1] - slip * lever.tangent_mass, -limit, limit)
    new = jnp.stack([normal, tangent])
    return jnp.stack([new, new - row.sums])


def _push(
    row: Row,
    speed: Float[Array, "n 3 b"],
    place: Float[Array, "2 2 b"],
    impulse: Float[Array, "2 b"],
) -> Float[Array, "n 3 b"]:
    """Speeds after an impulse at a contact point, along its normal and tangent."""
    return _add_to_both(speed, row.who, _changes(row, place, impulse))


@stage
def _changes(row: Row, place: Array, impulse: Array) -> Float[Array, "2 3 b"]:
    """What an impulse does to both bodies."""
    point = row.point
    push = point.normal * impulse[0] + right_of(point.normal) * impulse[1]
    changes = []
    for here, sign, mass, inertia in (
        (place[0], -1.0, point.a_mass, point.a_inertia),
        (place[1], 1.0, point.b_mass, point.b_inertia),
    ):
        turn = cross(point.place - Vec(*here), push) * (sign * inertia)
        changes.append(jnp.stack([*(push * (sign * mass)), turn]))
    return jnp.stack(changes)


@stage
def _add_to_both(speed: Array, who: Array, change: Float[Array, "2 3 b"]) -> Array:
    """Adds to two rows of each environment, by comparison: the last row is never meant."""
    if in_kernel():
        for body, added in zip(who[2:4, 0], change):
            meant = jnp.where(body < speed.shape[0] - 1, added, 0.0)
            speed = write_row(speed, body, read_row(speed, body) + meant)
        return speed
    rows = np.arange(speed.shape[0], dtype=np.int32)
    rows[-1] = -1
    for body, added in zip(who[2:4], change):
        hit = rows[:, None, None] == body[None, None]
        speed = speed + jnp.where(hit, added[None], 0.0)
    return speed
