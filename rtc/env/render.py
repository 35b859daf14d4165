"""Pictures of states, drawn by Kinetix's own pixel renderer. Kinetix is imported on first use."""

import functools
import operator
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from rtc.env.base import check_kinetix_state
from rtc.env.kinetix_state import foreign_code, kinetix_state
from rtc.errors import ArgumentError
from rtc.levels import Level, StaticParams, load_level
from rtc.storage.io import atomic_path
from rtc.types import PyTree, checked

SCREEN = 500  # pixels a side of Kinetix's screen, which shows 5 m
DOWNSCALES = (1, 2, 4)  # at 1 and 2 with edges and joint symbols, at 4 plain
STATES_AT_ONCE = 8


def draw_level(npz_path: str | Path, png_path: str | Path) -> None:
    """Draws the start of a level (`Level.save`) as a picture."""
    save_picture(png_path, render_level(Level.load(npz_path)))


def render_level(level: Level | str | Path, downscale: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    """The level's start as an upright RGB picture of 500 / downscale pixels a side.

    level: a `Level`, or a name or path as `load_level` takes it.
    """
    level = level if isinstance(level, Level) else load_level(level)
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

    states: Kinetix `EnvState`s in pieces with leaves `[t, ...]`, each piece of any length; a
        generator that steps an environment and gives `env.to_kinetix(state)` will do.
    Raises ArgumentError for a downscale other than 1, 2 and 4, or states that are none.
    """
    draw = _renderer(level.static, downscale, _largest_body(level))
    for few in _regrouped(_checked(piece, level) for piece in states):
        count = _length(few)
        rows = np.minimum(np.arange(STATES_AT_ONCE), count - 1)
        with foreign_code():
            pictures = np.asarray(draw(jax.tree.map(operator.itemgetter(rows), few)))
        yield from pictures[:count]


def _checked(states: PyTree, level: Level) -> PyTree:
    check_kinetix_state(level, states)
    return states


def _regrouped(pieces: Iterable[PyTree]) -> Iterator[PyTree]:
    """The same states in pieces of `STATES_AT_ONCE`, the last one shorter."""
    held: PyTree = None
    for piece in pieces:
        piece = jax.tree.map(np.asarray, piece)
        held = piece if held is None else jax.tree.map(_joined, held, piece)
        while _length(held) > STATES_AT_ONCE:
            yield jax.tree.map(operator.itemgetter(slice(STATES_AT_ONCE)), held)
            held = jax.tree.map(operator.itemgetter(slice(STATES_AT_ONCE, None)), held)
    if held is not None and _length(held):
        yield held


def _joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.concatenate([first, second])


def _length(piece: PyTree) -> int:
    return jax.tree.leaves(piece)[0].shape[0]


@checked()
def save_picture(path: str | Path, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Writes a PNG, whole or not at all."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG", optimize=True)


def _largest_body(level: Level) -> int:
    """Metres, 2 or more, that hold every body but the walls; Kinetix cuts off what is larger."""
    corners = np.linalg.norm(level["polygon/vertices"], axis=-1).max(axis=-1)
    corners = corners[level.static.num_static_fixated_polys :]
    return max(2, int(np.ceil(2 * max([*corners, *level["circle/radius"]], default=0.0))))


@functools.cache
def _renderer(
    static: StaticParams, downscale: int, largest_body: int
) -> Callable[[PyTree], jax.Array]:
    """A compiled function from `STATES_AT_ONCE` states to uint8 pictures [t, h, w, 3]."""
    if downscale not in DOWNSCALES:
        raise ArgumentError(f"downscale: expected one of {DOWNSCALES}, got {downscale}")
    with foreign_code():
        import kinetix.environment  # before its renderer, which otherwise imports in a circle
        from kinetix.render.renderer_pixels import make_render_pixels
    sizes = {name: getattr(static, name) for name in vars(static)}
    kinetix_static = kinetix.environment.env_state.StaticEnvParams(
        **sizes,
        screen_dim=(SCREEN, SCREEN),
        downscale=downscale,
        max_shape_size=largest_body,
    )
    with foreign_code():
        draw = make_render_pixels(kinetix.environment.env_state.EnvParams(), kinetix_static)

    def upright(state: PyTree) -> jax.Array:
        state = state.replace(polygon=_drawable(state.polygon))
        # Kinetix's pixels are [x, y, colour] with y upwards; a picture has rows from the top.
        pixels = jnp.transpose(draw(state), (1, 0, 2))[::-1]
        return jnp.clip(jnp.round(pixels), 0, 255).astype(jnp.uint8)

    return jax.jit(lambda states: jax.lax.map(upright, states))


def _drawable(polygons: PyTree) -> PyTree:
    """Polygons as Kinetix's shader can draw them: with four corners, the last of a triangle in
    the middle of its last side instead of the padding (0, 0), which would cut it to a sliver."""
    vertices = polygons.vertices
    middle = (vertices[:, 0] + vertices[:, 2]) / 2
    last = jnp.where((polygons.n_vertices == 3)[:, None], middle, vertices[:, 3])
    return polygons.replace(vertices=vertices.at[:, 3].set(last))
