"""States of the specialised engine from Kinetix's, and back."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rtc.env.kinetix_state import kinetix_state
from rtc.physics.scene import body_field
from rtc.physics.state import NO_POINT, JointImpulses, Memory, Motion, State
from rtc.physics.step import Dynamics
from rtc.physics.vector import Turn, Vec, rotate
from rtc.types import Array, Float, Int, PyTree

GROUPS = ("rr", "cr", "cc")  # Kinetix's names: rectangles (polygons) and circles


def state_from_kinetix(dynamics: Dynamics, env_state: PyTree) -> State:
    """Keeps what can change: motion, impulses of joints and contacts, the time.

    env_state: a batched Kinetix `EnvState` of the level (batch first); its constants are not
    looked at.
    """
    moving = dynamics.scene.moving

    def rows(field: str) -> Array:
        groups = (getattr(group, field) for group in (env_state.polygon, env_state.circle))
        return jnp.moveaxis(jnp.concatenate(list(groups), axis=1)[:, moving], 0, -1)

    def vector(field: str) -> Vec:
        values = rows(field)
        return Vec(values[:, 0], values[:, 1])

    slots = np.array([joint.slot for joint in dynamics.joints], int)
    linear = jnp.moveaxis(env_state.joint.acc_impulse[:, slots], 0, -1)
    return State(
        motion=Motion(
            vector("position"), vector("velocity"), rows("rotation"), rows("angular_velocity")
        ),
        joints=JointImpulses(
            Vec(linear[:, 0], linear[:, 1]), env_state.joint.acc_r_impulse[:, slots].T
        ),
        memory=_memory(dynamics, env_state),
        timestep=jnp.asarray(env_state.timestep, jnp.int32),
    )


def _point_numbers(dynamics: Dynamics) -> np.ndarray:
    """[w] the number of every contact point that can carry an impulse."""
    numbers = [np.zeros(0, int)]
    for kind in dynamics.kinds:
        slots = kind.pairs.slot[kind.pairs.resolvable]
        first = kind.first_number + kind.points * slots
        numbers.append((first[:, None] + np.arange(kind.points)).ravel())
    return np.concatenate(numbers)


def _all_points(env_state: PyTree, field: str) -> Array:
    """[b, points] a field of all manifolds, numbered as contact points are."""
    manifolds = (getattr(env_state, f"acc_{group}_manifolds") for group in GROUPS)
    batch_size = env_state.timestep.shape[0]
    return jnp.concatenate([getattr(m, field).reshape(batch_size, -1) for m in manifolds], 1)


def _memory(dynamics: Dynamics, env_state: PyTree) -> Memory:
    numbers = _point_numbers(dynamics)
    width = dynamics.memory_width
    batch_size = env_state.timestep.shape[0]

    def rows(field: str) -> Array:
        picked = _all_points(env_state, field)[:, numbers].T
        return jnp.pad(picked, ((0, width - len(numbers)), (0, 0)))

    active = rows("active").astype(bool)
    padded = np.pad(numbers, (0, width - len(numbers)))[:, None].astype(np.int32)
    return Memory(
        point=jnp.where(active, padded, NO_POINT),
        sums=jnp.stack([rows("acc_impulse_normal"), rows("acc_impulse_tangent")], axis=1),
        used=jnp.full(batch_size, width, jnp.int32),
    )


def state_to_kinetix(dynamics: Dynamics, state: State) -> Any:
    """The level with this motion, as a batched Kinetix `EnvState` (batch first).

    Of the contact manifolds only the flags and impulses that the next substep begins with are
    filled in; bodies that are switched off stay where the level has them.
    """
    level = dynamics.scene.level
    batch_size = state.timestep.shape[0]
    bodies = _bodies(dynamics, state.motion)
    polygons = level.static.num_polygons
    changed = {
        "polygon": {name: value[:, :polygons] for name, value in bodies.items()},
        "circle": {name: value[:, polygons:] for name, value in bodies.items()},
        "joint": _joints(dynamics, state, bodies),
        "thruster": {
            "global_position": _places(
                bodies, level["thruster/object_index"], level["thruster/relative_position"]
            )
        },
        **_manifolds(dynamics, state.memory, batch_size),
    }
    whole = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (batch_size, *np.shape(leaf))), kinetix_state(level)
    )
    parts = {name: getattr(whole, name).replace(**new) for name, new in changed.items()}
    return whole.replace(timestep=state.timestep, **parts)


def _bodies(dynamics: Dynamics, motion: Motion) -> dict[str, Array]:
    """Position, velocity and rotation of all bodies of the level, [b, n, ...]."""
    scene = dynamics.scene
    moving = {
        "position": jnp.stack(motion.position, axis=-1),
        "velocity": jnp.stack(motion.velocity, axis=-1),
        "rotation": motion.angle,
        "angular_velocity": motion.spin,
    }
    return {
        name: _overwrite(body_field(scene.level, name), scene.moving, jnp.moveaxis(rows, 1, 0))
        for name, rows in moving.items()
    }


def _joints(dynamics: Dynamics, state: State, bodies: dict[str, Array]) -> dict[str, Array]:
    level = dynamics.scene.level
    slots = np.array([joint.slot for joint in dynamics.joints], int)
    linear = jnp.moveaxis(jnp.stack(state.joints.linear, axis=-1), 1, 0)
    return {
        "global_position": _places(bodies, level["joint/a_index"], level["joint/a_relative_pos"]),
        "acc_impulse": _overwrite(level["joint/acc_impulse"], slots, linear),
        "acc_r_impulse": _overwrite(level["joint/acc_r_impulse"], slots, state.joints.twist.T),
    }


def _places(
    bodies: dict[str, Array], index: Int[np.ndarray, " k"], anchor: Float[np.ndarray, "k 2"]
) -> Float[Array, "b k 2"]:
    """Where points given in the frames of some bodies are in the world."""
    angle = bodies["rotation"][:, index]
    arm = rotate(Turn(jnp.cos(angle), jnp.sin(angle)), Vec(anchor[None, :, 0], anchor[None, :, 1]))
    return bodies["position"][:, index] + jnp.stack(arm, axis=-1)


def _overwrite(constant: np.ndarray, rows: np.ndarray, values: Array) -> Array:
    """`constant` for every environment, with some rows (axis 1) replaced."""
    batched = jnp.broadcast_to(constant, (values.shape[0], *constant.shape))
    return batched.at[:, rows].set(values)


def _manifolds(dynamics: Dynamics, memory: Memory, batch_size: int) -> dict[str, dict[str, Array]]:
    pairs = [contact.slots for contact in dynamics.scene.contacts]
    total = 2 * pairs[0] + pairs[1] + pairs[2]
    rows = jnp.arange(memory.point.shape[0], dtype=jnp.int32)[:, None]
    valid = (memory.point != NO_POINT) & (rows < memory.used[None])
    column = jnp.where(valid, memory.point, total).T
    line = jnp.arange(batch_size)[:, None]

    def spread(values: Array) -> Array:
        empty = jnp.zeros((batch_size, total + 1), values.dtype)
        return empty.at[line, column].set(values)[:, :total]

    fields = {
        "active": spread(valid.T),
        "acc_impulse_normal": spread(memory.sums[:, 0].T),
        "acc_impulse_tangent": spread(memory.sums[:, 1].T),
    }
    ends = np.cumsum([2 * pairs[0], pairs[1], pairs[2]])
    shapes = [(pairs[0], 2), (pairs[1],), (pairs[2],)]
    return {
        f"acc_{group}_manifolds": {
            name: values[:, end - int(np.prod(shape)) : end].reshape(batch_size, *shape)
            for name, values in fields.items()
        }
        for group, end, shape in zip(GROUPS, ends, shapes)
    }
