"""One substep of the physics, as a table of contents.

`Dynamics` holds what a level fixes; the functions below are what happens to a batch of states.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp

from rtc.levels import Level
from rtc.physics.contacts import Kind, kinds_of_contact, work_out
from rtc.physics.geometry import Sides, sides_of
from rtc.physics.joints import Joint, acting_joints
from rtc.physics.motors import fire_thrusters, run_motors
from rtc.physics.points import remember
from rtc.physics.queue import queue_keys
from rtc.physics.reward import goal_distance, touch_reward
from rtc.physics.scene import Scene, analyse
from rtc.physics.solver import solve, warm_start
from rtc.physics.state import Motion, State
from rtc.physics.vector import Vec
from rtc.types import Array, Float


@dataclass(frozen=True, eq=False)
class Dynamics:
    """The physics of one level. sides: of its polygons. forgetful: contact points whose
    impulses are not remembered."""

    scene: Scene
    sides: Sides
    kinds: tuple[Kind, ...]
    joints: tuple[Joint, ...]
    forgetful: tuple[int, ...]

    @property
    def memory_width(self) -> int:
        """Rows of the contact memory: enough for every pair to touch at once."""
        return max(1, sum(kind.width for kind in self.kinds))


class Outcome(NamedTuple):
    """Of one substep, each [b]: the reward and the metres to the goal."""

    reward: Array
    distance: Array


def make_dynamics(level: Level) -> Dynamics:
    """Raises LevelError if the level is beyond what the engine is written for."""
    scene = analyse(level)
    sides = sides_of(scene.polygons)
    kinds = kinds_of_contact(scene, sides)
    return Dynamics(scene, sides, kinds, acting_joints(scene), _forgetful(kinds))


def substep(dynamics: Dynamics, state: State, action: Float[Array, "a b"]) -> tuple[State, Outcome]:
    """1/60 s. action: [a, b] one entry for each motor binding, then each thruster binding."""
    scene, kinds, joints = dynamics.scene, dynamics.kinds, dynamics.joints
    motion = apply_gravity(scene, state.motion)
    touches = [kind.find(motion) for kind in kinds]
    keys = [queue_keys(k.pairs, touch, k.always) for k, touch in zip(kinds, touches)]
    before = motion
    motion = run_motors(scene, joints, motion, action)
    motion = fire_thrusters(scene, motion, action)
    points, used = work_out(scene, dynamics.sides, kinds, keys, before, state.memory)
    motion = warm_start(joints, motion, state.joints, points, used)
    motion, sums, points = solve(
        scene.level, joints, motion, state.joints, points, used, dynamics.forgetful
    )
    motion = integrate(scene, motion)
    memory = remember(points, used)
    reward = touch_reward(kinds, touches, motion.angle.shape[1])
    outcome = Outcome(reward, goal_distance(scene, motion))
    return State(motion, sums, memory, state.timestep), outcome


def apply_gravity(scene: Scene, motion: Motion) -> Motion:
    """v += g dt, for bodies of finite mass."""
    falls = (scene.of("inverse_mass") != 0)[:, None]
    x, y = (float(g) * scene.level.params.dt * falls for g in scene.level["gravity"])
    velocity = motion.velocity + Vec(jnp.float32(x), jnp.float32(y))
    return motion._replace(velocity=velocity)


def integrate(scene: Scene, motion: Motion) -> Motion:
    """Semi-implicit Euler: places advance with the new velocities; then all is clipped."""
    params = scene.level.params

    def clip(v: Vec, limit: float) -> Vec:
        return Vec(jnp.clip(v.x, -limit, limit), jnp.clip(v.y, -limit, limit))

    return Motion(
        position=clip(motion.position + motion.velocity * params.dt, params.clip_position),
        velocity=clip(motion.velocity, params.clip_velocity),
        angle=motion.angle + motion.spin * params.dt,
        spin=jnp.clip(motion.spin, -params.clip_angular_velocity, params.clip_angular_velocity),
    )


def _forgetful(kinds: tuple[Kind, ...]) -> tuple[int, ...]:
    """jax2d pads its lists of pairs with the index -1 and writes zeros there: the impulses of
    a type's last pair are wiped in every pass."""
    numbers = []
    for kind in kinds:
        last = kind.pairs.slots - 1
        if kind.pairs.padded and (kind.pairs.resolvable & (kind.pairs.slot == last)).any():
            numbers += [kind.first_number + kind.points * last + k for k in range(kind.points)]
    return tuple(numbers)
