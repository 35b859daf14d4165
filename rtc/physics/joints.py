"""Joints: revolute ones hold two anchors together, fixed ones hold the angle too.

Solved one after another by sequential impulses, as jax2d does; each also moves the bodies by a
share of the gap (position correction), which contacts of the same iteration see.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from rtc.levels import SimParams
from rtc.physics.scene import Scene, body_field
from rtc.physics.state import Motion
from rtc.physics.vector import Turn, Vec, cross, length, nonzero, rotate, turning
from rtc.types import Array, Float


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


@dataclass(frozen=True, eq=False)
class Joint:
    """A joint that acts. slot: its place in the level. rotation: the angle of b against a that
    counts as zero. low, high: limits of the angle from there, used if `limited`."""

    slot: int
    a: End
    b: End
    rotation: float
    fixed: bool
    limited: bool
    low: float
    high: float


class Half(NamedTuple):
    """What a joint sees of one of its bodies, each [b]."""

    position: Vec
    velocity: Vec
    spin: Array


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

    def arm(end: End, angle: Array) -> Vec:
        return rotate(Turn(jnp.cos(angle), jnp.sin(angle)), Vec(*map(jnp.float32, end.anchor)))

    a, b = (_angle(end, motion) for end in (joint.a, joint.b))
    return Lever(arm(joint.a, a), arm(joint.b, b), b - a - joint.rotation)


def _angle(end: End, motion: Motion) -> Array:
    if end.row is None:
        return jnp.full(motion.angle.shape[1:], end.angle, jnp.float32)
    return motion.angle[end.row]


def resolve(
    joint: Joint, params: SimParams, arms: Lever, a: Half, b: Half
) -> tuple[Half, Half, Vec, Array]:
    """One visit of the solver: both bodies afterwards, the impulse and the twist on a.

    impulse = stiffness (dv + c gap) / (1/m_a + 1/m_b + (r_a x u)^2 / I_a + (r_b x u)^2 / I_b),
    u being the direction of the relative velocity dv of the anchors.
    """
    to_a, to_b = joint.a.inverse_mass, joint.b.inverse_mass
    to_spin_a, to_spin_b = joint.a.inverse_inertia, joint.b.inverse_inertia
    anchor_a, anchor_b = a.position + arms.a, b.position + arms.b
    gap = anchor_b - anchor_a
    meeting = _meeting_point(to_a, to_b, anchor_a, anchor_b)
    slip = (b.velocity + turning(b.spin, meeting - b.position)) - (
        a.velocity + turning(a.spin, meeting - a.position)
    )
    direction = slip * (1 / nonzero(length(slip)))
    give = (to_a + to_b or 1.0) + (
        jnp.square(cross(arms.a, direction)) * to_spin_a
        + jnp.square(cross(arms.b, direction)) * to_spin_b
    )
    impulse = (slip + gap * params.baumgarte_coefficient_joints_v) * (
        params.joint_stiffness / nonzero(give)
    )
    spin_a = a.spin + cross(arms.a, impulse) * to_spin_a
    spin_b = b.spin - cross(arms.b, impulse) * to_spin_b
    twist = _twist(joint, params, arms.angle, spin_b - spin_a)
    share = params.baumgarte_coefficient_joints_p / (to_a + to_b or 1.0)
    after_a = Half(
        a.position + gap * (share * to_a),
        a.velocity + impulse * to_a,
        spin_a + twist * to_spin_a,
    )
    after_b = Half(
        b.position - gap * (share * to_b),
        b.velocity - impulse * to_b,
        spin_b - twist * to_spin_b,
    )
    return after_a, after_b, impulse, twist


def _meeting_point(to_a: float, to_b: float, anchor_a: Vec, anchor_b: Vec) -> Vec:
    """Where the anchors are taken to be: between them, nearer to the heavier body."""
    if to_a == 0:
        return anchor_a
    if to_b == 0:
        return anchor_b
    weight_a, weight_b = 1 / to_a, 1 / to_b
    return (anchor_a * weight_a + anchor_b * weight_b) * (1 / (weight_a + weight_b))


def _twist(joint: Joint, params: SimParams, angle: Array, spin: Array) -> Array:
    """Angular impulse on a: of a fixed joint, or of a limit that is being overrun.

    spin: of b against a. A limit acts only while b is beyond it and moves further out.
    """
    inertia = joint.a.inverse_inertia + joint.b.inverse_inertia or 1.0
    if joint.fixed:
        return (spin + angle * params.baumgarte_coefficient_fjoint_av) * (1 / inertia)
    if not joint.limited:
        return jnp.zeros_like(spin)
    within = jnp.clip(angle, joint.low, joint.high)
    correction = (angle - within) * params.baumgarte_coefficient_rjoint_limit_av
    outwards = (within != angle) & (jnp.sign(spin) == jnp.sign(correction))
    return jnp.where(outwards, (spin + correction) * (1 / inertia), 0.0)
