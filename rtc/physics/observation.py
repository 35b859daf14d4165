"""The observation: Kinetix's flat symbolic one, without the entries a level never changes.

Kinetix lists every slot of the scene in a fixed order: polygons without the walls and the
ceiling, circles, joints, thrusters, gravity. Most slots are empty, and of a body only its place,
its velocity and its rotation change, so only those 7 entries of each moving body are observed.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from rtc.levels import Level
from rtc.physics.scene import moving_bodies
from rtc.types import Array, Bool, Float

LARGEST = 10.0  # entries are clipped to +-10
ROLES = 4
VARYING = ("x", "y", "x velocity", "y velocity", "tanh of angular velocity / 10")
VARYING = (*VARYING, "sin rotation", "cos rotation")


@dataclass(frozen=True, eq=False)
class ObservationSpec:
    """Which entries of the full observation vary, and what the others are.

    names: one for each varying entry. indices: [o] their places in the full observation.
    constants: [f] the full observation with zeros at the varying places.
    bodies: [m] the bodies behind them, 7 entries each, counted as joints count bodies.
    """

    names: tuple[str, ...]
    indices: np.ndarray
    constants: np.ndarray
    bodies: np.ndarray

    def compress(self, full: Float[Array, "b f"]) -> Float[Array, "b o"]:
        """The varying entries of a full observation."""
        return full[:, self.indices]

    def expand(self, obs: Float[Array, "b o"]) -> Float[Array, "b f"]:
        """The full observation behind a compact one."""
        full = jnp.broadcast_to(self.constants, (obs.shape[0], len(self.constants)))
        return full.at[:, self.indices].set(obs)


def observation_spec(level: Level) -> ObservationSpec:
    """Names, places and constants of a level's observation."""
    # Evaluated by jax, not numpy: sin and cos of a fixed body then have Kinetix's very bits.
    with jax.ensure_compile_time_eval():
        groups = [_polygons(level), _circles(level), _joints(level), _thrusters(level)]
    names, values, bodies = [], [], []
    for group in groups:
        for label, row, body in group:
            names += [f"{label}: {entry}" for entry in row]
            values += [float(value) for value in row.values()]
            bodies += [body] * len(row)
    names.append("gravity")
    values.append(float(level["gravity"][1] / np.float32(10)))
    bodies.append(-1)
    moves = np.append(moving_bodies(level), False)
    varies = moves[bodies] & np.array([name.split(": ")[-1] in VARYING for name in names])
    constants = np.nan_to_num(np.clip(np.float32(values), -LARGEST, LARGEST))
    indices = np.flatnonzero(varies)
    return ObservationSpec(
        names=tuple(names[i] for i in indices),
        indices=indices,
        constants=np.where(varies, np.float32(0), constants),
        bodies=np.array(bodies, int)[indices][:: len(VARYING)],
    )


def own_body_mask(level: Level) -> Bool[np.ndarray, "o"]:
    """Which varying entries belong to the agent's own bodies: all 7 of every moving polygon or
    circle of role none.

    Not the walls, and not what is green, blue or red, even where a robot is built of it (the
    torso of mjc_walker). Joints and thrusters have no entries here: theirs never vary. For a
    policy that takes the full observation: choose among the varying entries, then `expand`.
    """
    spec = observation_spec(level)
    roles = np.concatenate([level["polygon_shape_roles"], level["circle_shape_roles"]])
    return np.repeat(roles[spec.bodies] == 0, len(VARYING))


Number = float | int | np.generic  # of Python, or an element of a level's array
Rows = list[tuple[str, dict[str, Number], int]]  # label, {entry: value}, body or -1


def _polygons(level: Level) -> Rows:
    walls = range(1, level.static.num_static_fixated_polys)
    rows = []
    for i in range(level.static.num_polygons):
        if i in walls:
            continue
        corners = level["polygon/n_vertices"][i]
        entries = _body_entries(level, "polygon", i) | {"is a circle": 0.0}
        for k, vertex in enumerate(level["polygon/vertices"][i]):
            present = k < corners
            entries |= {f"vertex {k} x": vertex[0] if present else -1.0}
            entries |= {f"vertex {k} y": vertex[1] if present else -1.0}
        entries["is a triangle"] = float(corners <= 3)
        rows.append((f"polygon {i}", _masked(entries, level["polygon/active"][i]), i))
    return rows


def _circles(level: Level) -> Rows:
    rows = []
    for i in range(level.static.num_circles):
        entries = _body_entries(level, "circle", i)
        entries |= {"radius": level["circle/radius"][i], "is a circle": 1.0}
        entries = _masked(entries, level["circle/active"][i])
        rows.append((f"circle {i}", entries, level.static.num_polygons + i))
    return rows


def _body_entries(level: Level, kind: str, i: int) -> dict[str, Number]:
    field = {name: level[f"{kind}/{name}"][i] for name in ("position", "velocity", "rotation")}
    sin, cos = _sin_cos(field["rotation"])
    spin = float(jnp.tanh(level[f"{kind}/angular_velocity"][i] / 10))
    return {
        "x": field["position"][0],
        "y": field["position"][1],
        "x velocity": field["velocity"][0],
        "y velocity": field["velocity"][1],
        "inverse mass": level[f"{kind}/inverse_mass"][i],
        "inverse inertia": level[f"{kind}/inverse_inertia"][i],
        "density": level[f"{kind}_densities"][i],
        "tanh of angular velocity / 10": spin,
        **_one_hot("role", level[f"{kind}_shape_roles"][i], ROLES),
        "sin rotation": sin,
        "cos rotation": cos,
        "friction": level[f"{kind}/friction"][i],
        "restitution": level[f"{kind}/restitution"][i],
    }


def _joints(level: Level) -> Rows:
    static = level.static
    bodies = static.num_polygons + static.num_circles
    rows = []
    for i in range(static.num_joints):
        joint = {key.split("/")[1]: level[key][i] for key in level.arrays if "joint/" in key}
        a, b = (joint[f"{side}_index"] * joint["active"] for side in "ab")
        entries = {"active": 1.0, "is fixed": float(joint["is_fixed_joint"])}
        for side in "ba":  # Kinetix lists b first
            entries[f"anchor on {side} x"] = joint[f"{side}_relative_pos"][0]
            entries[f"anchor on {side} y"] = joint[f"{side}_relative_pos"][1]
        entries |= zip(("sin rotation", "cos rotation"), _sin_cos(joint["rotation"]))
        motor = _motor_entries(joint) | _one_hot(
            "motor binding", level["motor_bindings"][i], static.num_motor_bindings
        )
        order = [*list(motor)[:4], *list(motor)[10:], *list(motor)[4:10]]
        entries |= {key: motor[key] * (not joint["is_fixed_joint"]) for key in order}
        entries |= _one_hot("body b", b, bodies) | _one_hot("body a", a, bodies)
        rows.append((f"joint {i}", _masked(entries, joint["active"]), -1))
    return rows


def _motor_entries(joint: dict[str, np.ndarray]) -> dict[str, Number]:
    limited = float(joint["motor_has_joint_limits"])
    low, high = _sin_cos(joint["min_rotation"]), _sin_cos(joint["max_rotation"])
    return {
        "motor speed": joint["motor_speed"],
        "motor power": joint["motor_power"],
        "motor on": float(joint["motor_on"]),
        "has limits": limited,
        "sin lower limit": low[0] * limited,
        "cos lower limit": low[1] * limited,
        "sin upper limit": high[0] * limited,
        "cos upper limit": high[1] * limited,
        "lower limit": (joint["min_rotation"] - joint["rotation"]) * limited,
        "upper limit": (joint["max_rotation"] - joint["rotation"]) * limited,
    }


def _thrusters(level: Level) -> Rows:
    static = level.static
    rows = []
    for i in range(static.num_thrusters):
        sin, cos = _sin_cos(level["thruster/rotation"][i])
        entries = {
            "active": 1.0,
            "place on body x": level["thruster/relative_position"][i, 0],
            "place on body y": level["thruster/relative_position"][i, 1],
            **_one_hot("binding", level["thruster_bindings"][i], static.num_thruster_bindings),
            "sin rotation": sin,
            "cos rotation": cos,
            "power": level["thruster/power"][i],
            **_one_hot(
                "body",
                level["thruster/object_index"][i],
                static.num_polygons + static.num_circles,
            ),
        }
        rows.append((f"thruster {i}", _masked(entries, level["thruster/active"][i]), -1))
    return rows


def _one_hot(name: str, value: Number, size: int) -> dict[str, Number]:
    return {f"{name} {k}": float(k == value) for k in range(size)}


def _sin_cos(angle: Number) -> tuple[float, float]:
    return float(jnp.sin(angle)), float(jnp.cos(angle))


def _masked(entries: dict[str, Number], active: Number) -> dict[str, Number]:
    return entries if active else dict.fromkeys(entries, 0.0)
