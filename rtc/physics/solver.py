"""The solver: sequential impulses, ten rounds over all joints and all contacts.

After E. Catto, "Iterative dynamics with temporal coherence" (GDC 2005): each constraint in
turn is satisfied by an impulse; contact impulses are summed up and the sum is clamped.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rtc.physics.bodies import pick
from rtc.physics.joints import Half, Joint, Lever, lever, resolve
from rtc.physics.points import Point, read_row
from rtc.physics.scene import Scene
from rtc.physics.stages import stage
from rtc.physics.state import JointImpulses, Motion
from rtc.physics.vector import Vec, cross, dot, nonzero, right_of, select, turning
from rtc.types import Array, Float, Int


class Speeds(NamedTuple):
    """Velocities of the moving bodies, [m, b]."""

    velocity: Vec
    spin: Array


class Sums(NamedTuple):
    """Summed impulses of the contact points, [w, b]."""

    normal: Array
    tangent: Array


def warm_start(
    scene: Scene,
    joints: tuple[Joint, ...],
    motion: Motion,
    sums: JointImpulses,
    points: Point,
    used: Int[Array, ""],
) -> Motion:
    """Begins with the impulses of the last substep, which are nearly right again."""
    position = motion.position

    def one(row: Array, speeds: Speeds) -> Speeds:
        point = read_row(points, row)
        return _push(speeds, position, point, point.normal_sum, point.tangent_sum)

    speeds = jax.lax.fori_loop(0, used, one, Speeds(motion.velocity, motion.spin))
    halves = _halves(motion._replace(velocity=speeds.velocity, spin=speeds.spin))
    for i, joint in enumerate(joints):
        arms = lever(joint, motion)
        impulse, twist = Vec(sums.linear.x[i], sums.linear.y[i]), sums.twist[i]
        for end, arm, sign in ((joint.a, arms.a, 1.0), (joint.b, arms.b, -1.0)):
            if end.row is None:
                continue
            half = halves[end.row]
            halves[end.row] = half._replace(
                velocity=half.velocity + impulse * (sign * end.inverse_mass),
                spin=half.spin + (cross(arm, impulse) + twist) * (sign * end.inverse_inertia),
            )
    return _joined(motion, halves)


def solve(
    scene: Scene,
    joints: tuple[Joint, ...],
    motion: Motion,
    sums: JointImpulses,
    points: Point,
    used: Int[Array, ""],
    forgetful: tuple[int, ...],
) -> tuple[Motion, JointImpulses, Point]:
    """Ten rounds. forgetful: numbers of contact points whose sums are wiped in every round."""
    levers = [lever(joint, motion) for joint in joints]

    def iteration(_: Array, carry: tuple) -> tuple:
        motion, sums, contact = carry
        motion, sums = _solve_joints(scene, joints, levers, motion, sums)
        motion, contact = _solve_contacts(motion, points, contact, used, forgetful)
        return motion, sums, contact

    carry = (motion, sums, Sums(points.normal_sum, points.tangent_sum))
    rounds = scene.level.static.num_solver_iterations
    motion, sums, contact = jax.lax.fori_loop(0, rounds, iteration, carry)
    points = points._replace(normal_sum=contact.normal, tangent_sum=contact.tangent)
    return motion, sums, points


def _solve_joints(
    scene: Scene,
    joints: tuple[Joint, ...],
    levers: list[Lever],
    motion: Motion,
    sums: JointImpulses,
) -> tuple[Motion, JointImpulses]:
    if not joints:
        return motion, sums
    halves = _halves(motion)
    summed = list(zip(*sums.linear, sums.twist))
    for i, (joint, arms) in enumerate(zip(joints, levers)):
        a, b = (_half(end, halves, motion) for end in (joint.a, joint.b))
        visit = stage(lambda *arrays, joint=joint: resolve(joint, scene.level.params, *arrays))
        a, b, impulse, twist = visit(arms, a, b)
        for end, half in ((joint.a, a), (joint.b, b)):
            if end.row is not None:
                halves[end.row] = half
        x, y, turned = summed[i]
        # The impulse of a limit is not remembered, that of a fixed joint is.
        turned = turned + twist if joint.fixed else jnp.zeros_like(turned)
        summed[i] = (x + impulse.x, y + impulse.y, turned)
    x, y, twist = (jnp.stack(rows) for rows in zip(*summed))
    return _joined(motion, halves), JointImpulses(Vec(x, y), twist)


def _half(end, halves: list[Half], motion: Motion) -> Half:
    if end.row is not None:
        return halves[end.row]
    still = jnp.zeros(motion.angle.shape[1:], jnp.float32)
    return Half(Vec(*(still + c for c in end.position)), Vec(still, still), still)


def _halves(motion: Motion) -> list[Half]:
    return [
        Half(Vec(*position), Vec(*velocity), spin)
        for position, velocity, spin in zip(
            zip(*motion.position), zip(*motion.velocity), motion.spin
        )
    ]


def _joined(motion: Motion, halves: list[Half]) -> Motion:
    stacked = jax.tree.map(lambda *rows: jnp.stack(rows), *halves)
    return motion._replace(position=stacked.position, velocity=stacked.velocity, spin=stacked.spin)


def _solve_contacts(
    motion: Motion, points: Point, sums: Sums, used: Int[Array, ""], forgetful: tuple[int, ...]
) -> tuple[Motion, Sums]:
    """One round over the contacts: contacts of one batch all see the speeds before it."""
    position = motion.position

    def visit(row: Array, carry: tuple[Speeds, Speeds, Array, Sums]) -> tuple:
        speeds, before, batch, sums = carry
        point = read_row(points, row)
        fresh = (point.batch != batch)[None]
        before = Speeds(
            select(fresh, speeds.velocity, before.velocity),
            jnp.where(fresh, speeds.spin, before.spin),
        )
        old = (jax.lax.dynamic_index_in_dim(s, row, 0, False) for s in sums)
        normal, tangent, d_normal, d_tangent = _impulse(point, position, before, *old)
        speeds = _push(speeds, position, point, d_normal, d_tangent)
        for number in forgetful:
            normal, tangent = (jnp.where(point.number == number, 0.0, s) for s in (normal, tangent))
        sums = Sums(
            jax.lax.dynamic_update_index_in_dim(sums.normal, normal, row, 0),
            jax.lax.dynamic_update_index_in_dim(sums.tangent, tangent, row, 0),
        )
        return speeds, before, point.batch, sums

    speeds = Speeds(motion.velocity, motion.spin)
    nothing = jnp.full(motion.angle.shape[1:], -2, jnp.int32)
    speeds, _, _, sums = jax.lax.fori_loop(0, used, visit, (speeds, speeds, nothing, sums))
    return motion._replace(velocity=speeds.velocity, spin=speeds.spin), sums


@stage
def _impulse(
    point: Point,
    position: Vec,
    before: Speeds,
    normal_sum: Float[Array, " b"],
    tangent_sum: Float[Array, " b"],
) -> tuple[Array, Array, Array, Array]:
    """New sums of a contact's impulses along normal and tangent, and their increments.

    Normal: stop the approach (or reverse a part of it) and push the overlap out; never pull.
    Tangent: stop the slip, by no more than friction allows (Coulomb's cone).
    """
    a_arm, b_arm = (
        point.place - Vec(pick(row, position.x), pick(row, position.y))
        for row in (point.a, point.b)
    )
    a_speed, b_speed = (
        Vec(pick(row, before.velocity.x), pick(row, before.velocity.y))
        + turning(pick(row, before.spin), arm)
        for row, arm in ((point.a, a_arm), (point.b, b_arm))
    )
    slip = b_speed - a_speed
    normal, tangent = point.normal, right_of(point.normal)
    a_normal, b_normal = cross(a_arm, normal), cross(b_arm, normal)
    a_tangent, b_tangent = cross(a_arm, tangent), cross(b_arm, tangent)
    mass = point.a_mass + point.b_mass
    give = mass + point.a_inertia * jnp.square(a_normal) + point.b_inertia * jnp.square(b_normal)
    wanted = (point.push - point.bounce - dot(slip, normal)) / nonzero(give)
    new_normal = jnp.maximum(normal_sum + wanted, 0.0)
    d_normal = new_normal - normal_sum
    # The normal impulse changes the slip too, through the spins.
    turned = point.a_inertia * a_normal * a_tangent + point.b_inertia * b_normal * b_tangent
    slide = dot(slip, tangent) + d_normal * turned
    give = mass + point.a_inertia * jnp.square(a_tangent) + point.b_inertia * jnp.square(b_tangent)
    limit = point.grip * new_normal
    new_tangent = jnp.clip(tangent_sum - slide / nonzero(give), -limit, limit)
    return new_normal, new_tangent, d_normal, new_tangent - tangent_sum


def _push(
    speeds: Speeds,
    position: Vec,
    point: Point,
    normal: Float[Array, " b"],
    tangent: Float[Array, " b"],
) -> Speeds:
    """Speeds after an impulse at a contact point, along its normal and tangent."""
    impulse = point.normal * normal + right_of(point.normal) * tangent
    x, y, spin = speeds.velocity.x, speeds.velocity.y, speeds.spin
    rows = jnp.arange(spin.shape[0], dtype=jnp.int32)[:, None]
    sides = (
        (point.a, -1.0, point.a_mass, point.a_inertia),
        (point.b, 1.0, point.b_mass, point.b_inertia),
    )
    for body, sign, mass, inertia in sides:
        hit = rows == body[None]
        arm = point.place - Vec(pick(body, position.x), pick(body, position.y))
        x = x + jnp.where(hit, (sign * mass * impulse.x)[None], 0.0)
        y = y + jnp.where(hit, (sign * mass * impulse.y)[None], 0.0)
        spin = spin + jnp.where(hit, (sign * inertia * cross(arm, impulse))[None], 0.0)
    return Speeds(Vec(x, y), spin)
