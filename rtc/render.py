"""Pictures of states, drawn by Kinetix's own pixel renderer. Kinetix is imported on first use."""

import contextlib
import functools
import logging
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from rtc.io import atomic_path
from rtc.levels import Level, StaticParams, load_level
from rtc.types import PyTree

SCREEN = 500  # pixels a side of Kinetix's screen, which shows 5 m
DOWNSCALES = (1, 2, 4)  # at 1 and 2 with edges and joint symbols, at 4 plain
STATES_AT_ONCE = 8
MANIFOLD_FIELDS = (
    *("normal", "penetration", "collision_point", "active"),
    *("acc_impulse_normal", "acc_impulse_tangent", "restitution_velocity_target"),
)


def export_level(name_or_path: str | Path, npz_path: str | Path, png_path: str | Path) -> None:
    """Writes what later stages need of a level: its arrays and a picture of its start.

    Raises LevelError if the level cannot be read.
    """
    level = load_level(name_or_path)
    save_picture(png_path, render_level(level))
    level.save(npz_path)


def render_level(level: Level, downscale: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    """The level's start as an upright RGB picture of 500 / downscale pixels a side."""
    states = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], kinetix_state(level))
    return render_states(level, states, downscale=downscale)[0]


def render_states(
    level: Level, states: PyTree, *, downscale: int = 1
) -> UInt8[np.ndarray, "t h w 3"]:
    """Pictures of a batch of Kinetix `EnvState`s (leaves `[t, ...]`), upright RGB.

    Long rollouts are better drawn by `iterate_frames`, which keeps a few pictures at a time.
    """
    return np.stack(list(iterate_frames(level, [states], downscale=downscale)))


def iterate_frames(
    level: Level, states: Iterable[PyTree], *, downscale: int = 1
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Draws states one picture after the other, eight at once, in bounded memory.

    states: Kinetix `EnvState`s in pieces with leaves `[t, ...]`, each piece of any length.
    Raises ValueError for a downscale other than 1, 2 and 4.
    """
    draw = _renderer(level.static, downscale)
    for piece in states:
        count = jax.tree.leaves(piece)[0].shape[0]
        for start in range(0, count, STATES_AT_ONCE):
            rows = np.minimum(np.arange(start, start + STATES_AT_ONCE), count - 1)
            with jax.numpy_rank_promotion("allow"):  # Kinetix's shaders rely on it
                pictures = np.asarray(draw(jax.tree.map(operator.itemgetter(rows), piece)))
            yield from pictures[: count - start]


def save_picture(path: str | Path, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Writes a PNG, whole or not at all."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG", optimize=True)


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Keeps to itself what the packages below kinetix print while they are imported."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


@functools.cache
def _renderer(static: StaticParams, downscale: int) -> Callable[[PyTree], jax.Array]:
    """A compiled function from `STATES_AT_ONCE` states to uint8 pictures [t, h, w, 3]."""
    if downscale not in DOWNSCALES:
        raise ValueError(f"downscale: expected one of {DOWNSCALES}, got {downscale}")
    with quiet_import():
        import kinetix.environment  # before its renderer, which otherwise imports in a circle
        from kinetix.render.renderer_pixels import make_render_pixels
    sizes = {name: getattr(static, name) for name in vars(static)}
    kinetix_static = kinetix.environment.env_state.StaticEnvParams(
        **sizes, screen_dim=(SCREEN, SCREEN), downscale=downscale
    )
    with jax.numpy_rank_promotion("allow"):
        draw = make_render_pixels(kinetix.environment.env_state.EnvParams(), kinetix_static)

    def upright(state: PyTree) -> jax.Array:
        # Kinetix's pixels are [x, y, colour] with y upwards; a picture has rows from the top.
        pixels = jnp.transpose(draw(state), (1, 0, 2))[::-1]
        return jnp.clip(jnp.round(pixels), 0, 255).astype(jnp.uint8)

    return jax.jit(lambda states: jax.lax.map(upright, states))


def kinetix_state(level: Level) -> Any:
    """The level as one Kinetix `EnvState` at rest, without accumulated contact impulses."""
    with quiet_import():
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
