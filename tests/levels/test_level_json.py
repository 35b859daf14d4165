"""Kinetix's JSON form: what is computed at loading, and what a bad file is told."""

import copy
import json

import numpy as np
import pytest

from rtc.errors import LevelError
from rtc.levels import load_level
from rtc.levels.sources import packaged_levels

DOCUMENT = json.loads(packaged_levels()["s/h0_weak_thrust"].read_text())


@pytest.fixture
def write(tmp_path):
    def _write(document):
        path = tmp_path / "mine.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    return _write


def _edited(*keys, value):
    """The document with one entry replaced, or taken out if `value` is Ellipsis."""
    document = copy.deepcopy(DOCUMENT)
    place = document
    for key in keys[:-1]:
        place = place[key]
    if value is ...:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    return document


def test_own_file_loads_like_the_packaged_one(write):
    level = load_level(write(DOCUMENT))
    assert level.name == "mine"
    assert level.digest == load_level("s/h0_weak_thrust").digest


def test_collision_matrix_is_computed_not_read(write):
    document = _edited("env_state", "collision_matrix", value=...)
    np.testing.assert_array_equal(
        load_level(write(document))["collision_matrix"],
        load_level("s/h0_weak_thrust")["collision_matrix"],
    )


def test_missing_sizes_are_the_large_ones(write):
    document = json.loads(packaged_levels()["l/h17_unicycle"].read_text())
    del document["static_env_params"], document["env_params"]
    assert load_level(write(document)).digest == load_level("l/h17_unicycle").digest


BAD = [
    (_edited("env_state", value=...), "env_state", "missing"),
    (_edited("env_state", "gravity", value=[0]), "env_state.gravity", "2 numbers"),
    (_edited("env_state", "gravity", value=[0, float("nan")]), "gravity[1]", "finite"),
    (_edited("env_state", "polygon", value=[]), "env_state.polygon", "expected 5 entries"),
    (_edited("env_state", "polygon", 4, value=3), "polygon[4]", "mapping"),
    (_edited("env_state", "polygon", 4, "rotation", value="x"), "polygon[4].rotation", "number"),
    (_edited("env_state", "polygon", 4, "rotation", value=[1, 2]), "polygon[4].rotation", "one"),
    (_edited("env_state", "polygon", 4, "position", value=1), "polygon[4].position", "2 numbers"),
    (_edited("env_state", "polygon", 4, "active", value=1), "polygon[4].active", "true or false"),
    (_edited("env_state", "polygon", 4, "n_vertices", value=9), "n_vertices", "0 to 4"),
    (_edited("env_state", "polygon", 4, "vertices", value={}), "vertices", "4 vertices"),
    (_edited("env_state", "polygon", 0, "friction", value=-1), "polygon 0", "negative friction"),
    (_edited("env_state", "polygon", 4, "role", value=7), "polygon[4].role", "0 to 3"),
    (_edited("env_state", "polygon", 4, "density", value=...), "polygon[4].density", "missing"),
    (_edited("env_state", "polygon", 0, "active", value=False), "keep them active"),
    (_edited("env_state", "joint", 0, "a_index", value=99), "joint[0].a_index", "0 to 6"),
    (_edited("env_state", "circle", 0, "radius", value=1e30), "circle[0].radius"),
    (_edited("static_env_params", "num_polygons", value=10**9), "num_polygons", "4 to 64"),
    (_edited("static_env_params", "num_circles", value=-1), "num_circles"),
    (_edited("static_env_params", "do_warm_starting", value="y"), "do_warm_starting"),
    (_edited("env_params", "dt", value=0), "env_params.dt", "positive"),
    (_edited("env_params", "slop", value="x"), "env_params.slop", "number"),
    ("[1, 2", "JSON"),
    ("[" * 100_000, "nested too deeply"),
    ('{"env_state": 1, "env_state": 2}', "stands twice"),
    ('{"env_state": ' + "1" * 5000 + "}", "JSON"),
    ("x" * 8_000_001, "larger than"),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case[1])
def test_bad_file_is_refused_in_one_line(write, case):
    with pytest.raises(LevelError) as caught:
        load_level(write(case[0]))
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    for part in ("mine.json", *case[1:]):
        assert part in message, message


def test_binary_file_is_refused(tmp_path):
    for name in ("a.json", "a.yaml"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00\x80")
        with pytest.raises(LevelError, match="UTF-8"):
            load_level(tmp_path / name)
