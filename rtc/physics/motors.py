"""Motors at joints, and thrusters: what an action does to the bodies."""

import jax.numpy as jnp
import numpy as np

from rtc.physics.joints import Joint, bend
from rtc.physics.scene import Scene, body_field
from rtc.physics.state import Motion
from rtc.physics.vector import Turn, Vec, cross, rotate
from rtc.types import Array, Float


def run_motors(
    scene: Scene, joints: tuple[Joint, ...], motion: Motion, action: Float[Array, "a b"]
) -> Motion:
    """Turns the bodies of every powered joint, all from the spins before any motor ran.

    A motor with power p changes the relative spin by at most 900 p dt rad/s in a substep, less
    the nearer the spin is to the wanted one: dw = -900 p dt tanh(0.1 (w - w_wanted)).
    """
    spins = list(motion.spin)
    for joint in joints:
        if not scene.level["joint/motor_on"][joint.slot] or joint.fixed:
            continue
        torque = _motor_impulse(scene, joint, motion, _motor_action(scene, joint, action))
        for end, sign in ((joint.a, 1.0), (joint.b, -1.0)):
            if end.row is not None:
                spins[end.row] = spins[end.row] + torque * (sign * end.inverse_inertia)
    return motion._replace(spin=jnp.stack(spins))


def _motor_action(scene: Scene, joint: Joint, action: Float[Array, "a b"]) -> Float[Array, " b"]:
    if scene.level["motor_auto"][joint.slot]:
        return jnp.ones_like(action[0])
    return jnp.clip(action[scene.level["motor_bindings"][joint.slot]], -1.0, 1.0)


def _motor_impulse(
    scene: Scene, joint: Joint, motion: Motion, drive: Float[Array, " b"]
) -> Float[Array, " b"]:
    """Angular impulse on a, N m s; b takes the opposite. Nothing at all at a drive of 0."""
    params = scene.level.params
    inertia = joint.a.inverse_inertia + joint.b.inverse_inertia or 1.0
    power = float(scene.level["joint/motor_power"][joint.slot]) * params.base_motor_power
    speed = float(scene.level["joint/motor_speed"][joint.slot]) * params.base_motor_speed
    still = jnp.zeros_like(drive)
    spin_a, spin_b = (
        still if end.row is None else motion.spin[end.row] for end in (joint.a, joint.b)
    )
    excess = spin_b - spin_a - drive * speed
    impulse = (power * params.dt / inertia) * jnp.tanh(excess * params.motor_decay_coefficient)
    if joint.limited:
        impulse = impulse * _near_limit(joint, motion, drive, params.motor_joint_limit)
    return jnp.where(drive != 0, impulse, 0.0)


def _near_limit(
    joint: Joint, motion: Motion, drive: Float[Array, " b"], margin: float
) -> Float[Array, " b"]:
    """Share of the power that is left: it fades within `margin` rad before a limit, but not
    when driving away from it."""
    angle = bend(joint, motion)
    # Limits closer than two margins cross over; the upper one then wins, as in jax2d.
    inner = jnp.minimum(jnp.maximum(angle, joint.low + margin), joint.high - margin)
    overrun = angle - inner
    fading = jnp.maximum(0.0, 1.0 - jnp.abs(overrun) / margin)
    share = jnp.where(overrun == 0, 1.0, fading)
    return jnp.where(jnp.sign(overrun) != jnp.sign(drive), jnp.maximum(share, 1.0), share)


def fire_thrusters(scene: Scene, motion: Motion, action: Float[Array, "a b"]) -> Motion:
    """Pushes bodies: a thruster of power p gives an impulse of 10 p dt, N s, at its place."""
    level = scene.level
    params = level.params
    velocities, spins = list(zip(*motion.velocity)), list(motion.spin)
    mass, inertia = (body_field(level, f"inverse_{name}") for name in ("mass", "inertia"))
    for slot in np.flatnonzero(level["thruster/active"]):
        body = level["thruster/object_index"][slot]
        row = scene.row(body)
        if row is None:
            continue
        motors = level.static.num_motor_bindings
        drive = jnp.clip(action[motors + level["thruster_bindings"][slot]], 0.0, 1.0)
        strength = float(level["thruster/power"][slot]) * params.base_thruster_power * params.dt
        angle = motion.angle[row]
        turn = Turn(jnp.cos(angle), jnp.sin(angle))
        arm = rotate(turn, Vec(*map(jnp.float32, level["thruster/relative_position"][slot])))
        heading = angle + jnp.float32(level["thruster/rotation"][slot])
        push = Vec(jnp.cos(heading), jnp.sin(heading)) * (strength * drive)
        velocities[row] = Vec(*velocities[row]) + push * float(mass[body])
        spins[row] = spins[row] + cross(arm, push) * float(inertia[body])
    return motion._replace(
        velocity=Vec(*(jnp.stack(rows) for rows in zip(*velocities))), spin=jnp.stack(spins)
    )
