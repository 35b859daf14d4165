"""A level as one of Kinetix's own states. Kinetix is imported on first use: it costs seconds."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from rtc.levels import Level

MANIFOLD_FIELDS = (
    *("normal", "penetration", "collision_point", "active"),
    *("acc_impulse_normal", "acc_impulse_tangent", "restitution_velocity_target"),
)


@contextlib.contextmanager
def foreign_code() -> Iterator[None]:
    """Runs Kinetix: no warnings, no chatter, ranks may promote silently, and
    numbers are of 32 bits, which it takes for granted."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            jax.numpy_rank_promotion("allow"),
            jax.enable_x64(False),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def kinetix_state(level: Level) -> Any:
    """The level as one Kinetix `EnvState` at rest, without accumulated contact impulses."""
    # Kinetix computes pictures on import, which must not become part of a program being traced.
    with foreign_code(), jax.ensure_compile_time_eval():
        from jax2d.sim_state import CollisionManifold, Joint, RigidBody, Thruster
        from kinetix.environment import EnvState

    def group(kind: Any, name: str) -> Any:
        prefix = f"{name}/"
        fields = {k[len(prefix) :]: v for k, v in level.arrays.items() if k.startswith(prefix)}
        return kind(**fields)

    def manifolds(*shape: int) -> Any:
        vectors = ("normal", "collision_point")
        leaves = {
            name: np.zeros(shape + (2,) * (name in vectors), bool if name == "active" else "f4")
            for name in MANIFOLD_FIELDS
        }
        return CollisionManifold(**leaves)

    polygons, circles = level.static.num_polygons, level.static.num_circles
    walls = level.static.num_static_fixated_polys
    pairs = polygons * (polygons - 1) // 2 - walls * (walls - 1) // 2
    return EnvState(
        polygon=group(RigidBody, "polygon"),
        circle=group(RigidBody, "circle"),
        joint=group(Joint, "joint"),
        thruster=group(Thruster, "thruster"),
        acc_rr_manifolds=manifolds(pairs, 2),
        acc_cr_manifolds=manifolds(polygons * circles),
        acc_cc_manifolds=manifolds(circles * (circles - 1) // 2),
        timestep=np.int32(0),
        last_distance=np.float32(-1),
        **{name: array for name, array in level.arrays.items() if "/" not in name},
    )
