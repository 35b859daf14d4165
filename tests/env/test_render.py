"""Pictures are upright, complete and drawn from states in bounded pieces."""

import jax
import numpy as np
import pytest
from PIL import Image

from rtc.env import render
from rtc.env.kinetix_state import foreign_code, kinetix_state
from rtc.levels import load_level

RED, GREEN, BLUE = [255, 102, 102], [0, 204, 0], [0, 102, 204]
SCENE = """
size: s
bodies:
  ball: {circle: 0.5, position: [1, 4], role: green}
  goal: {circle: 0.5, position: [4, 1], role: blue}
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("levels") / "scene.yaml"
    path.write_text(SCENE)
    return load_level(path)


def _moved(state, dx):
    """[t] states with circle 0 moved right by each of dx, metres."""
    states = jax.tree.map(lambda leaf: np.stack([leaf] * len(dx)), state)
    position = states.circle.position.copy()
    position[:, 0, 0] += dx
    return states.replace(circle=states.circle.replace(position=position))


def _column(picture, colour):
    """Mean column of the pixels that have this colour."""
    return np.flatnonzero((picture == colour).all(axis=-1).any(axis=0)).mean()


def test_picture_is_upright_and_not_mirrored(scene):
    picture = render.render_level(scene, downscale=4)
    assert picture.shape == (125, 125, 3) and picture.dtype == np.uint8
    at = {"ball": picture[20, 27], "goal": picture[98, 102], "sky": picture[10, 100]}
    assert at["ball"].tolist() == GREEN
    assert at["goal"].tolist() == BLUE
    assert at["sky"].tolist() == [255, 255, 255]
    assert picture[-3, 60].tolist() == [80, 80, 80]  # the floor, fixed and without a role


def test_states_are_drawn_in_order_over_several_pieces(scene):
    state = kinetix_state(scene)
    dx = np.linspace(0, 2, 11, dtype=np.float32)  # more than are drawn at once
    pictures = render.render_states(scene, _moved(state, dx), downscale=4)
    assert pictures.shape == (11, 125, 125, 3)
    columns = [_column(picture, GREEN) for picture in pictures]
    np.testing.assert_allclose(np.diff(columns), 0.2 * 25, atol=1.01)
    pieces = [_moved(state, part) for part in (dx[:1], dx[1:3], dx[3:])]
    again = np.stack(list(render.iterate_frames(scene, pieces, downscale=4)))
    np.testing.assert_array_equal(again, pictures)


def test_triangles_and_large_bodies_are_drawn_whole(tmp_path):
    path = tmp_path / "scene.yaml"
    path.write_text(
        """
size: m
bodies:
  slope: {polygon: [[0, 0], [4, 0], [4, 2]], position: [0.5, 1], fixed: true, role: blue}
"""
    )
    picture = render.render_level(load_level(path), downscale=4)
    blue = (picture == [0, 51, 102]).all(axis=-1)
    assert blue.sum() == pytest.approx(4 * 2 / 2 * 25**2, rel=0.05)  # half base times height


def test_unknown_downscale_is_refused(scene):
    with pytest.raises(ValueError, match="downscale"):
        render.render_level(scene, downscale=3)


def test_a_level_is_drawn_from_its_file(tmp_path):
    load_level("h17_unicycle").save(tmp_path / "a" / "l.npz")
    render.draw_level(tmp_path / "a" / "l.npz", tmp_path / "a" / "l.png")
    with Image.open(tmp_path / "a" / "l.png") as picture:
        assert picture.size == (500, 500)
        colours = {colour for _, colour in picture.convert("RGB").getcolors(4096)}
    assert tuple(GREEN) in colours
    assert (0, 51, 102) in colours  # the goal, which is fixed and hence darker
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["l.npz", "l.png"]


def test_state_has_the_leaves_of_kinetix_own_empty_state(scene):
    with foreign_code():
        from kinetix.environment.utils import create_empty_env, static_env_params_from_size
    expected = create_empty_env(static_env_params_from_size("s"))
    found = kinetix_state(scene)
    for (path, leaf), (other, mine) in zip(
        jax.tree.leaves_with_path(expected), jax.tree.leaves_with_path(found), strict=True
    ):
        assert path == other
        assert np.shape(leaf) == np.shape(mine), jax.tree_util.keystr(path)
