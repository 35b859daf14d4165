"""Joints: revolute ones hold two anchors together, fixed ones hold the angle too.

Solved one after another by sequential impulses, as jax2d does; each also moves the bodies by a
share of the gap (position correction), which contacts of the same iteration see.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rtc.levels import SimParams
from rtc.physics.packed import formula
from rtc.physics.scene import Scene, body_field
from rtc.physics.state import JointImpulses, Motion
from rtc.physics.vector import Turn, Vec, cross, length, nonzero, rotate, turning
from rtc.types import Array, Float


@jax.tree_util.register_static
@dataclass(frozen=True, eq=False)
class End:
    """One side of a joint. row: in the state, None if the body is fixed. The rest as in jax2d;
    position and angle are those of a fixed body."""

    row: int | None
    anchor: tuple[float, float]
    inverse_mass: float
    inverse_inertia: float
    position: tuple[float, float]
    angle: float


@jax.tree_util.register_static
@dataclass(frozen=True, eq=False)
class Joint:
    """A joint that acts. slot: its place in the level. rotation: the angle of b against a that
    counts as zero. low, high: limits of the angle from there, used if `limited`."""

    params: SimParams
    slot: int
    a: End
    b: End
    rotation: float
    fixed: bool
    limited: bool
    low: float
    high: float


class Speed(NamedTuple):
    """Of a body, each [b]: velocity in m/s, spin in rad/s."""

    velocity: Vec
    spin: Array


class Half(NamedTuple):
    """What a joint sees of one of its bodies. place: m."""

    place: Vec
    speed: Speed


class Lever(NamedTuple):
    """What stays as it is while the solver iterates, each [b].

    a, b: the anchors from the bodies' centres, m. angle: of b against a, from the joint's zero.
    """

    a: Vec
    b: Vec
    angle: Array


def acting_joints(scene: Scene) -> tuple[Joint, ...]:
    """The joints of a level that can do anything, in slot order."""
    level = scene.level
    joint = {key.split("/")[1]: level[key] for key in level.arrays if key.startswith("joint/")}
    active = body_field(level, "active")
    mass = body_field(level, "inverse_mass")
    found = []
    for slot in range(level.static.num_joints):
        a, b = joint["a_index"][slot], joint["b_index"][slot]
        if not (joint["active"][slot] and active[a] and active[b] and (mass[a] or mass[b])):
            continue
        found.append(
            Joint(
                params=level.params,
                slot=slot,
                a=_end(scene, a, joint["a_relative_pos"][slot]),
                b=_end(scene, b, joint["b_relative_pos"][slot]),
                rotation=float(joint["rotation"][slot]),
                fixed=bool(joint["is_fixed_joint"][slot]),
                limited=bool(joint["motor_has_joint_limits"][slot]),
                low=float(joint["min_rotation"][slot]),
                high=float(joint["max_rotation"][slot]),
            )
        )
    return tuple(found)


def _end(scene: Scene, body: int, anchor: Float[np.ndarray, "2"]) -> End:
    def field(name: str) -> np.ndarray:
        return body_field(scene.level, name)[body]

    return End(
        row=scene.row(body),
        anchor=tuple(map(float, anchor)),
        inverse_mass=float(field("inverse_mass")),
        inverse_inertia=float(field("inverse_inertia")),
        position=tuple(map(float, field("position"))),
        angle=float(field("rotation")),
    )


def lever(joint: Joint, motion: Motion) -> Lever:
    """Arms and relative angle at the start of a substep."""

    def arm(end: End) -> Vec:
        angle = angle_of(end, motion)
        return rotate(Turn(jnp.cos(angle), jnp.sin(angle)), Vec(*map(jnp.float32, end.anchor)))

    return Lever(arm(joint.a), arm(joint.b), bend(joint, motion))


def bend(joint: Joint, motion: Motion) -> Float[Array, " b"]:
    """The angle of b against a, from the joint's zero."""
    return angle_of(joint.b, motion) - angle_of(joint.a, motion) - joint.rotation


def angle_of(end: End, motion: Motion) -> Float[Array, " b"]:
    """Of the body at an end of a joint."""
    if end.row is None:
        return jnp.full(motion.angle.shape[1:], end.angle, jnp.float32)
    return motion.angle[end.row]


@formula
def pull(joint: Joint, lever: Lever, a: Half, b: Half) -> Vec:
    """The impulse on a; b takes the opposite.

    impulse = stiffness (dv + c gap) / (1/m_a + 1/m_b + (r_a x u)^2 / I_a + (r_b x u)^2 / I_b),
    u being the direction of the relative velocity dv of the anchors.
    """
    anchor_a, anchor_b = a.place + lever.a, b.place + lever.b
    meeting = _meeting_point(joint, anchor_a, anchor_b)

    def there(half: Half) -> Vec:
        return half.speed.velocity + turning(half.speed.spin, meeting - half.place)

    slip = there(b) - there(a)
    direction = slip * (1 / nonzero(length(slip)))
    give = (joint.a.inverse_mass + joint.b.inverse_mass or 1.0) + (
        jnp.square(cross(lever.a, direction)) * joint.a.inverse_inertia
        + jnp.square(cross(lever.b, direction)) * joint.b.inverse_inertia
    )
    push = slip + (anchor_b - anchor_a) * joint.params.baumgarte_coefficient_joints_v
    return push * (joint.params.joint_stiffness / nonzero(give))


def _meeting_point(joint: Joint, anchor_a: Vec, anchor_b: Vec) -> Vec:
    """Where the anchors are taken to be: between them, nearer to the heavier body."""
    if joint.a.inverse_mass == 0:
        return anchor_a
    if joint.b.inverse_mass == 0:
        return anchor_b
    mass_a, mass_b = 1 / joint.a.inverse_mass, 1 / joint.b.inverse_mass
    return (anchor_a * mass_a + anchor_b * mass_b) * (1 / (mass_a + mass_b))


def twist(joint: Joint, lever: Lever, a: Half, b: Half, impulse: Vec) -> Float[Array, " b"]:
    """Angular impulse on a: of a fixed joint, or of a limit that is being overrun.

    A limit acts only while b is beyond it and moves further out.
    """
    spin_a = a.speed.spin + cross(lever.a, impulse) * joint.a.inverse_inertia
    spin_b = b.speed.spin - cross(lever.b, impulse) * joint.b.inverse_inertia
    spin, angle, params = spin_b - spin_a, lever.angle, joint.params
    inertia = 1 / (joint.a.inverse_inertia + joint.b.inverse_inertia or 1.0)
    if joint.fixed:
        return (spin + angle * params.baumgarte_coefficient_fjoint_av) * inertia
    if not joint.limited:
        return jnp.zeros_like(spin)
    within = jnp.clip(angle, joint.low, joint.high)
    correction = (angle - within) * params.baumgarte_coefficient_rjoint_limit_av
    outwards = (within != angle) & (jnp.sign(spin) == jnp.sign(correction))
    return jnp.where(outwards, (spin + correction) * inertia, 0.0)


@formula
def moved(joint: Joint, end: End, lever: Lever, a: Half, b: Half, impulse: Vec) -> Half:
    """The body at an end of the joint afterwards: pulled, twisted and shifted."""
    half, arm, sign = (a, lever.a, 1.0) if end is joint.a else (b, lever.b, -1.0)
    turn = cross(arm, impulse) + twist(joint, lever, a, b, impulse)
    gap = (b.place + lever.b) - (a.place + lever.a)
    mass = joint.a.inverse_mass + joint.b.inverse_mass or 1.0
    share = joint.params.baumgarte_coefficient_joints_p / mass
    speed = Speed(
        half.speed.velocity + impulse * (sign * end.inverse_mass),
        half.speed.spin + turn * (sign * end.inverse_inertia),
    )
    return Half(half.place + gap * (sign * share * end.inverse_mass), speed)


@formula
def tally(
    joint: Joint, lever: Lever, a: Half, b: Half, impulse: Vec, sums: JointImpulses
) -> JointImpulses:
    """The summed impulse and twist. That of a limit is not remembered."""
    turn = twist(joint, lever, a, b, impulse)
    kept = sums.twist + turn if joint.fixed else jnp.zeros_like(turn)
    return JointImpulses(sums.linear + impulse, kept)
