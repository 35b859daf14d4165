"""Whatever a level file holds, it loads as a sound level or is refused in one line."""

import copy
import json
import re

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtc.errors import LevelError
from rtc.levels import load_level, safe_name
from rtc.levels.sources import level_folders, packaged_levels

YAML_SEEDS = [
    yaml.safe_load((level_folders()[1] / f"{name}.yaml").read_text().replace("{on:", '{"on":'))
    for name in ("catcher_v3", "car_launch", "h17_unicycle")
]
JSON_SEED = json.loads(packaged_levels()["s/h0_weak_thrust"].read_text())
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**30), 2**31, -1, 0]),
    st.floats(),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), ".nan", 1e-320, 1e300]),
    st.text(max_size=20),
    st.sampled_from(["floor", "polygon 3", "circle 99", "../../x", "red", "\0", "a\nb", "é" * 99]),
    st.builds(list),
    st.builds(dict),
    st.lists(st.floats() | st.integers(-3, 20), max_size=5),
    st.dictionaries(st.text(max_size=5) | st.sampled_from(["0", "1"]), st.integers(), max_size=3),
)


# Of a file, without its ending: what people, browsers and other systems call them.
NAMES = st.one_of(
    st.sampled_from(
        ["mine", "drone (1)", "_x", "--x", "Drône", "a'b", 'a"b', "日本", ".x", "..", "~"]
    ),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=30),
)
ENDINGS = {kind: [kind, kind.upper(), kind.title()] for kind in (".yaml", ".yml", ".json")}


@st.composite
def file_names(draw, *kinds):
    """A file name of one of these kinds."""
    return draw(NAMES) + draw(st.sampled_from(ENDINGS[draw(st.sampled_from(kinds))]))


@st.composite
def damaged(draw, seeds):
    """A document with one to three entries replaced, removed or added at random places."""
    document = copy.deepcopy(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        place = document
        while True:
            entries = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(entries)) if entries else "new"
            inner = place[key] if entries else None
            if not (isinstance(inner, dict | list) and draw(st.integers(0, 3))):
                break
            place = inner
        action = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if action == "remove" and entries:
            del place[key]
        elif action == "add" or not entries:
            place.update({draw(st.text(max_size=8)): draw(JUNK)}) if isinstance(
                place, dict
            ) else place.append(draw(JUNK))
        else:
            place[key] = draw(JUNK)
    return document


def _loads_or_is_refused(path):
    try:
        level = load_level(path)
    except LevelError as error:
        message = str(error)
        assert "\n" not in message
        assert len(message) < 1000
        assert path.name in message or "rename it" in message
    else:
        assert all(np.isfinite(array).all() for array in level.arrays.values())
        assert (level["polygon/inverse_mass"] >= 0).all()
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", level.name)


def _fuzz(cases):
    return settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def _check_yaml(tmp_path, document, name):
    path = tmp_path / name
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    _loads_or_is_refused(path)


def _check_json(tmp_path, document, name):
    path = tmp_path / name
    path.write_text(json.dumps(document), encoding="utf-8")
    _loads_or_is_refused(path)


@_fuzz(60)
@given(document=damaged(YAML_SEEDS), name=file_names(".yaml", ".yml"))
def test_damaged_yaml(tmp_path, document, name):
    _check_yaml(tmp_path, document, name)


@_fuzz(50)
@given(document=damaged([JSON_SEED]), name=file_names(".json"))
def test_damaged_json(tmp_path, document, name):
    _check_json(tmp_path, document, name)


@_fuzz(100)
@given(text=st.text(st.sampled_from("abc: -[]{}&*!#|>%@`'\",0123456789.eE\n\t"), max_size=60))
def test_random_text(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    _loads_or_is_refused(path)


@_fuzz(200)
@given(name=st.text(max_size=40))
def test_names_are_safe_or_refused(name):
    try:
        safe = safe_name(name)
    except LevelError as error:
        assert "\n" not in str(error)
    else:
        assert "/" not in safe and "\\" not in safe and not safe.startswith(".")


@pytest.mark.long
@_fuzz(1500)
@given(document=damaged(YAML_SEEDS), name=file_names(".yaml", ".yml"))
def test_damaged_yaml_long(tmp_path, document, name):
    _check_yaml(tmp_path, document, name)


@pytest.mark.long
@_fuzz(500)
@given(document=damaged([JSON_SEED]), name=file_names(".json"))
def test_damaged_json_long(tmp_path, document, name):
    _check_json(tmp_path, document, name)
