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

    def packed(self) -> Float[Array, "5 b"]:
        """All of it in one array."""
        return jnp.stack([*self.position, *self.velocity, self.spin])

    @classmethod
    def of(cls, packed: Float[Array, "5 b"]) -> "Half":
        """Out of one array."""
        return cls(Vec(*packed[0:2]), Vec(*packed[2:4]), packed[4])


class Lever(NamedTuple):
    """What stays as it is while the solver iterates, each [b].

    a, b: the anchors from the bodies' centres, m. angle: of b against a, from the joint's zero.
    """

    a: Vec
    b: Vec
    angle: Array

    @classmethod
    def of(cls, packed: Float[Array, "5 b"]) -> "Lever":
        """Out of one array."""
        return cls(Vec(*packed[0:2]), Vec(*packed[2:4]), packed[4])


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


def lever(joint: Joint, motion: Motion) -> Float[Array, "5 b"]:
    """Arms and relative angle at the start of a substep, a packed `Lever`."""

    def arm(end: End, angle: Array) -> Vec:
        return rotate(Turn(jnp.cos(angle), jnp.sin(angle)), Vec(*map(jnp.float32, end.anchor)))

    a, b = (_angle(end, motion) for end in (joint.a, joint.b))
    return jnp.stack([*arm(joint.a, a), *arm(joint.b, b), b - a - joint.rotation])


def _angle(end: End, motion: Motion) -> Array:
    if end.row is None:
        return jnp.full(motion.angle.shape[1:], end.angle, jnp.float32)
    return motion.angle[end.row]


@dataclass(frozen=True, eq=False)
class Visit:
    """One visit of the solver to a joint, in two stages. Halves and levers come packed."""

    joint: Joint
    params: SimParams

    def pull(self, arms: Array, a: Array, b: Array) -> Float[Array, "2 b"]:
        """The impulse on a; b takes the opposite.

        impulse = stiffness (dv + c gap) / (1/m_a + 1/m_b + (r_a x u)^2 / I_a + (r_b x u)^2 / I_b),
        u being the direction of the relative velocity dv of the anchors.
        """
        arms, a, b = Lever.of(arms), Half.of(a), Half.of(b)
        first, second = self.joint.a, self.joint.b
        to_a, to_b = first.inverse_mass, second.inverse_mass
        anchor_a, anchor_b = a.position + arms.a, b.position + arms.b
        meeting = _meeting_point(to_a, to_b, anchor_a, anchor_b)
        slip = (b.velocity + turning(b.spin, meeting - b.position)) - (
            a.velocity + turning(a.spin, meeting - a.position)
        )
        direction = slip * (1 / nonzero(length(slip)))
        give = (to_a + to_b or 1.0) + (
            jnp.square(cross(arms.a, direction)) * first.inverse_inertia
            + jnp.square(cross(arms.b, direction)) * second.inverse_inertia
        )
        gap = anchor_b - anchor_a
        impulse = (slip + gap * self.params.baumgarte_coefficient_joints_v) * (
            self.params.joint_stiffness / nonzero(give)
        )
        return jnp.stack(impulse)

    def move(self, arms: Array, a: Array, b: Array, impulse: Array, side: str) -> Array:
        """Body a or b ("a", "b") afterwards, packed: pulled, twisted and shifted."""
        lever, half_a, half_b = Lever.of(arms), Half.of(a), Half.of(b)
        twist = self.twist(arms, a, b, impulse)
        first, second = self.joint.a, self.joint.b
        gap = (half_b.position + lever.b) - (half_a.position + lever.a)
        share = self.params.baumgarte_coefficient_joints_p / (
            first.inverse_mass + second.inverse_mass or 1.0
        )
        end, half, arm, sign = {
            "a": (first, half_a, lever.a, 1.0),
            "b": (second, half_b, lever.b, -1.0),
        }[side]
        pull = Vec(*impulse)
        turn = cross(arm, pull) + twist
        return Half(
            half.position + gap * (sign * share * end.inverse_mass),
            half.velocity + pull * (sign * end.inverse_mass),
            half.spin + turn * (sign * end.inverse_inertia),
        ).packed()

    def tally(self, arms: Array, a: Array, b: Array, impulse: Array, sums: Array) -> Array:
        """The summed impulse and twist [3, b]. That of a limit is not remembered."""
        twist = self.twist(arms, a, b, impulse)
        kept = sums[2] + twist if self.joint.fixed else jnp.zeros_like(twist)
        return jnp.stack([sums[0] + impulse[0], sums[1] + impulse[1], kept])

    def twist(self, arms: Array, a: Array, b: Array, impulse: Array) -> Float[Array, " b"]:
        """Angular impulse on a: of a fixed joint, or of a limit that is being overrun.

        A limit acts only while b is beyond it and moves further out.
        """
        first, second = self.joint.a, self.joint.b
        lever, pull = Lever.of(arms), Vec(*impulse)
        spin_a = Half.of(a).spin + cross(lever.a, pull) * first.inverse_inertia
        spin_b = Half.of(b).spin - cross(lever.b, pull) * second.inverse_inertia
        spin, angle = spin_b - spin_a, lever.angle
        inertia = first.inverse_inertia + second.inverse_inertia or 1.0
        if self.joint.fixed:
            correction = angle * self.params.baumgarte_coefficient_fjoint_av
            return (spin + correction) * (1 / inertia)
        if not self.joint.limited:
            return jnp.zeros_like(spin)
        within = jnp.clip(angle, self.joint.low, self.joint.high)
        correction = (angle - within) * self.params.baumgarte_coefficient_rjoint_limit_av
        outwards = (within != angle) & (jnp.sign(spin) == jnp.sign(correction))
        return jnp.where(outwards, (spin + correction) * (1 / inertia), 0.0)


def _meeting_point(to_a: float, to_b: float, anchor_a: Vec, anchor_b: Vec) -> Vec:
    """Where the anchors are taken to be: between them, nearer to the heavier body."""
    if to_a == 0:
        return anchor_a
    if to_b == 0:
        return anchor_b
    weight_a, weight_b = 1 / to_a, 1 / to_b
    return (anchor_a * weight_a + anchor_b * weight_b) * (1 / (weight_a + weight_b))
