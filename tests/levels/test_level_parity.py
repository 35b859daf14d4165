"""The benchmark's levels equal the reference's in every field the simulation reads."""

import numpy as np
import pytest

from rtc.levels import SimParams, StaticParams, available_levels, load_level
from rtc.levels.level import ARRAY_NAMES
from rtc.levels.sources import packaged_levels

BENCHMARK = [
    *("grasp_easy", "catapult", "cartpole_thrust", "hard_lunar_lander", "mjc_half_cheetah"),
    *("mjc_swimmer", "mjc_walker", "h17_unicycle", "chain_lander", "catcher_v3", "trampoline"),
    "car_launch",
]
# Read by nothing: a polygon's radius, a circle's vertices, impulses before the first step.
UNREAD = {
    *("polygon/radius", "circle/vertices", "circle/n_vertices", "joint/acc_impulse"),
    *("joint/acc_r_impulse", "polygon_highlighted", "circle_highlighted"),
}


def _active_rows(level, key):
    """[rows] which rows of an array belong to parts that are there; None for world arrays."""
    group = {"motor": "joint"}.get(key.split("/")[0].split("_")[0], key.split("/")[0])
    group = group.split("_")[0]
    return level[f"{group}/active"] if f"{group}/active" in level.arrays else None


@pytest.mark.parametrize("name", BENCHMARK)
def test_level_equals_reference(name, golden):
    level = load_level(name)
    with np.load(golden / "levels.npz", allow_pickle=False) as stored:
        row = list(stored["names"]).index(name)
        assert set(stored.files) - {"names"} == set(ARRAY_NAMES) - UNREAD
        for key in set(ARRAY_NAMES) - UNREAD:
            expected, found = stored[key][row], level[key].copy()
            rows = _active_rows(level, key)
            if rows is not None and not key.endswith("/active"):
                found[~rows] = 0
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=key)
    assert level.params == SimParams()
    assert level.static == StaticParams()


def test_all_twelve_are_available_by_name():
    assert set(BENCHMARK) <= set(available_levels())


@pytest.mark.parametrize("name", sorted(packaged_levels()))
def test_packaged_level_loads(name):
    level = load_level(name)
    assert level.name == name.replace("/", "-")
    assert set(level.arrays) == set(ARRAY_NAMES)
    assert level.static.frame_skip == 2
    assert load_level(level.name).digest == level.digest


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(packaged_levels()))
def test_packaged_level_equals_kinetix_own_loader(name):
    from rtc.env.kinetix_state import foreign_code

    with foreign_code():
        from kinetix.util.saving import load_from_json_file
    state, static, params = load_from_json_file(f"{name}.json")
    level = load_level(name)
    for key in ARRAY_NAMES:
        leaf = state
        for part in key.split("/"):
            leaf = getattr(leaf, part)
        np.testing.assert_array_equal(np.asarray(leaf), level[key], err_msg=key)
        assert np.asarray(leaf).dtype == level[key].dtype
    for field in vars(level.static):
        assert getattr(static, field) == getattr(level.static, field)
    for field in vars(level.params):
        assert getattr(params, field) == getattr(level.params, field)


def test_saved_level_comes_back_equal(tmp_path):
    level = load_level("catcher_v3")
    level.save(tmp_path / "level.npz")
    again = type(level).load(tmp_path / "level.npz")
    assert again.digest == level.digest
    assert again.name == "catcher_v3"
