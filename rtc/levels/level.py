"""The level as plain arrays: what the physics, the reward and the observation read."""

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtc.errors import ArtifactError
from rtc.storage.io import atomic_path


@dataclass(frozen=True)
class SimParams:
    """Coefficients of the simulation; names and meaning as in jax2d's `SimParams`.

    dt: seconds of one substep. slop: metres of tolerated overlap. Speeds in rad/s,
    positions in metres, `base_motor_power` and `base_thruster_power` scale the level's own.
    """

    dt: float = 1 / 60
    slop: float = 0.01
    baumgarte_coefficient_joints_v: float = 2.0
    baumgarte_coefficient_joints_p: float = 0.7
    baumgarte_coefficient_fjoint_av: float = 2.0
    baumgarte_coefficient_rjoint_limit_av: float = 5.0
    baumgarte_coefficient_collision: float = 0.2
    joint_stiffness: float = 0.6
    clip_position: float = 15.0
    clip_velocity: float = 100.0
    clip_angular_velocity: float = 50.0
    base_motor_speed: float = 6.0
    base_motor_power: float = 900.0
    base_thruster_power: float = 10.0
    motor_decay_coefficient: float = 0.1
    motor_joint_limit: float = 0.1
    base_friction: float = 0.4
    max_timesteps: int = 256


@dataclass(frozen=True)
class StaticParams:
    """Sizes of the padded scene and of the solver; names as in Kinetix's `StaticEnvParams`."""

    num_polygons: int = 12
    num_circles: int = 4
    num_joints: int = 6
    num_thrusters: int = 2
    max_polygon_vertices: int = 4
    num_solver_iterations: int = 10
    solver_batch_size: int = 16
    do_warm_starting: bool = True
    num_static_fixated_polys: int = 4
    frame_skip: int = 2
    num_motor_bindings: int = 4
    num_thruster_bindings: int = 2


# Array fields of a level, as in Kinetix's EnvState ("group/field" or a top-level name).
# P polygons, C circles, J joints, T thrusters, N = P + C bodies, V vertices.
BODY_FIELDS = [
    *("position", "velocity", "rotation", "angular_velocity", "inverse_mass", "inverse_inertia"),
    *("friction", "restitution", "collision_mode", "active", "n_vertices", "vertices", "radius"),
]
JOINT_FIELDS = [
    *("a_index", "b_index", "a_relative_pos", "b_relative_pos", "global_position", "active"),
    *("acc_impulse", "acc_r_impulse", "motor_speed", "motor_power", "motor_on"),
    *("motor_has_joint_limits", "min_rotation", "max_rotation", "is_fixed_joint", "rotation"),
]
THRUSTER_FIELDS = [
    *("object_index", "relative_position", "rotation", "power", "global_position", "active"),
]
TOP_FIELDS = [
    *("collision_matrix", "gravity", "thruster_bindings", "motor_bindings", "motor_auto"),
    *("polygon_shape_roles", "circle_shape_roles", "polygon_highlighted", "circle_highlighted"),
    *("polygon_densities", "circle_densities"),
]
ARRAY_NAMES = (
    [f"polygon/{f}" for f in BODY_FIELDS]
    + [f"circle/{f}" for f in BODY_FIELDS]
    + [f"joint/{f}" for f in JOINT_FIELDS]
    + [f"thruster/{f}" for f in THRUSTER_FIELDS]
    + TOP_FIELDS
)


@dataclass(frozen=True, eq=False)
class Level:
    """One level at rest: where every episode starts.

    name: how files and figures call it (no slashes).
    arrays: {"polygon/position": [P, 2], ...}, exactly the names of `ARRAY_NAMES`, float32,
        int32 or bool; metres, radians, 1/kg, 1/(kg m^2).
    params, static: coefficients and sizes.
    """

    name: str
    arrays: dict[str, np.ndarray]
    params: SimParams = SimParams()
    static: StaticParams = StaticParams()

    def __getitem__(self, key: str) -> np.ndarray:
        return self.arrays[key]

    @property
    def digest(self) -> str:
        """SHA-256 over arrays, coefficients and sizes; the name does not count."""
        sha = hashlib.sha256()
        for key in ARRAY_NAMES:
            array = np.ascontiguousarray(self.arrays[key])
            sha.update(f"{key} {array.dtype} {array.shape}".encode())
            sha.update(array.tobytes())
        sha.update(
            repr((dataclasses.astuple(self.params), dataclasses.astuple(self.static))).encode()
        )
        return sha.hexdigest()

    def save(self, path: str | Path) -> None:
        """Writes the level as one `.npz` (arrays only), whole or not at all."""
        scalars = {f"params/{k}": v for k, v in dataclasses.asdict(self.params).items()}
        scalars |= {f"static/{k}": v for k, v in dataclasses.asdict(self.static).items()}
        with atomic_path(path) as temporary, open(temporary, "wb") as handle:
            np.savez(handle, **self.arrays, **scalars, name=np.array(self.name))

    @classmethod
    def load(cls, path: str | Path) -> "Level":
        """Reads a level written by `save`. Raises ArtifactError naming the file."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                data = {key: stored[key] for key in stored.files}
            return cls(
                name=str(data["name"]),
                arrays={key: data[key] for key in ARRAY_NAMES},
                params=SimParams(**_scalars(data, "params/")),
                static=StaticParams(**_scalars(data, "static/")),
            )
        except (OSError, ValueError, KeyError, EOFError, TypeError) as error:
            raise ArtifactError(
                f"{path}: not a readable level file ({type(error).__name__}: {error}); "
                f"delete it and run the same command again"
            ) from error


def _scalars(data: dict[str, np.ndarray], prefix: str) -> dict[str, float | int | bool]:
    return {key[len(prefix) :]: data[key].item() for key in data if key.startswith(prefix)}
