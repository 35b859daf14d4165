"""Whatever a configuration holds, it is accepted or refused in one line, at once, and no name in
it leads out of `results/`."""

import copy
import dataclasses
import math
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtc.config.run import RunConfig, load_files
from rtc.config.text import read_files
from rtc.errors import ConfigError, RtcError
from rtc.levels import safe_name
from rtc.levels.plan import plan_run
from rtc.methods import make_method

ROOT = Path(__file__).parents[2]
DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text())

NAMES = st.sampled_from(
    [
        *("../../etc/passwd", "/etc/passwd", "..", ".", "", "a/../b", "~root", "a\0b", "a\nb"),
        *("naive", "flow", "h17_unicycle", "é" * 200, "a" * 5000, "-n", "{level}", "con", "a b"),
        *(
            " ",
            "\t",
            " naive",
            "flow ",
            "[",
            "{",
            ".nan",
            "-.inf",
            "1e-3",
            "null",
            "[.nan]",
            "{a: }",
        ),
    ]
)
PATHS = st.sampled_from(
    [
        *(
            "rtc.methods.te:TemporalEnsemble",
            "rtc.methods.realtime:Realtime",
            "rtc.methods:METHODS",
        ),
        *("examples.my_method:Blend", "examples.my_method:Blnd", "examples:Blend", "no.such:Thing"),
        *("json:JSONDecoder", "json:loads", "math:pi", ":", "a:", ":b", "a b:c", "..x:Y", "a:b:c"),
        *(
            "rtc.config.sections:EnvConfig",
            "rtc.errors:RtcError",
            "../x:Y",
            "x" * 5000 + ":Y",
            "é:É",
        ),
    ]
)
JUNK = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 3),
        PATHS,
        st.sampled_from([float("nan"), float("inf"), float("-inf")]),
        st.sampled_from([10**30, -(10**30), 2**31, 2**63, 10**400, 0.0, -0.0, 1e308, 1e-320]),
        st.floats(),
        NAMES,
        st.text(max_size=10),
        st.dates(),
        st.binary(max_size=4),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.integers(), inner),
    max_leaves=5,
)


NUMBERS = st.floats() | st.integers(-1, 9)


@st.composite
def damaged(draw):
    """The default with one to four entries replaced, removed, added, renamed or repeated."""
    config = copy.deepcopy(DEFAULT)
    for _ in range(draw(st.integers(1, 4))):
        place, entries = config, list(config)
        while True:
            key = draw(st.sampled_from(entries)) if entries else 0
            inner = place[key] if entries else None
            if not isinstance(inner, dict | list) or not draw(st.integers(0, 4)):
                break
            place = inner
            entries = list(place) if isinstance(place, dict) else list(range(len(place)))
        change(draw, place, key, bool(entries))
    return config


def leaves(value, path=()):
    """Paths of all entries that hold no others."""
    if not isinstance(value, dict):
        return [path]
    return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]


@st.composite
def nearly_right(draw):
    """The default with up to three single values changed for others of their kind, and a method
    by import path or one that lacks an option."""
    config = copy.deepcopy(DEFAULT)
    for path in draw(st.lists(st.sampled_from(leaves(DEFAULT)), max_size=3)):
        place = config
        for key in path[:-1]:
            place = place[key]
        word = draw(NAMES | PATHS | st.sampled_from(["exp", "zeros", "naive", "bid", "te"]))
        kin = NUMBERS if isinstance(place[path[-1]], int | float) else st.just(word)
        place[path[-1]] = draw(
            kin | st.sampled_from([None, True, float("nan"), "2", "", " ", ".inf"])
        )
    mine = {"method": draw(PATHS), "policy": "flow"}
    mine |= draw(st.dictionaries(st.sampled_from(["m", "strength", "beta", "schedule"]), NUMBERS))
    mine |= draw(st.sampled_from([{}, {"schedule": "exp"}, {"m": 0.5}, {"strength": 1}]))
    if draw(st.booleans()):
        config["methods"]["mine"] = mine
    if not draw(st.integers(0, 3)):
        entry = config["methods"][draw(st.sampled_from(list(config["methods"])))]
        entry.pop(draw(st.sampled_from(list(entry))))
    return config


def change(draw, place, key, full: bool) -> None:
    action = draw(st.sampled_from(["replace", "replace", "remove", "add", "rename", "repeat"]))
    if isinstance(place, list):
        if action == "replace" and full:
            place[key] = draw(JUNK)
        elif action == "remove" and full:
            del place[key]
        elif action == "repeat" and full:
            place.append(place[key])
        else:
            place.append(draw(JUNK))
    elif action == "add" or not full:
        place[draw(NAMES | st.text(max_size=8))] = draw(JUNK)
    elif action == "remove":
        del place[key]
    elif action == "rename":
        place[draw(NAMES)] = place.pop(key)
    else:
        place[key] = draw(JUNK)


def accepted_or_refused(load) -> RunConfig | None:
    """The run, or None after an error of one readable line; nothing else, and no waiting."""
    begun = time.monotonic()
    try:
        return load().run
    except RtcError as error:
        assert "\n" not in str(error)
        assert 0 < len(str(error)) < 1000
        return None
    finally:
        assert time.monotonic() - begun < 20


def names_are_safe(run: RunConfig) -> None:
    """Every name that becomes part of a path stays a single, visible part of it."""
    for name in [*run.policies, *run.methods, *map(safe_name, run.levels)]:
        assert name and len(name) <= 255 and Path(name).name == name and name[0] not in ".-"
        assert (Path("results") / name).resolve().parent == Path("results").resolve()


def numbers_are_finite(value) -> None:
    """In every section, entry and option of the run."""
    if isinstance(value, float):
        assert math.isfinite(value)
    elif dataclasses.is_dataclass(value):
        numbers_are_finite(vars(value))
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            numbers_are_finite(inner)


def methods_can_be_made(run: RunConfig) -> None:
    """What the configuration takes, the stage takes."""
    for label, method in run.methods.items():
        make_method(method, label)


def fuzz(cases: int):
    return settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def check(config) -> None:
    run = accepted_or_refused(lambda: plan_run(config))
    if run is not None:
        names_are_safe(run)
        numbers_are_finite(run)
        methods_can_be_made(run)


@fuzz(80)
@given(config=damaged() | nearly_right())
def test_damaged_configurations(config):
    check(config)


@pytest.mark.long
@fuzz(2000)
@given(config=damaged() | nearly_right())
def test_damaged_configurations_long(config):
    check(config)


@fuzz(60)
@given(config=nearly_right())
def test_configurations_that_are_nearly_right(config):
    check(config)


WORDS = st.sampled_from(
    [
        *("levels: ", "experts: ", "seed: ", "policies: ", "methods: ", "&a ", "*a ", "- ", "  "),
        *("\n", "[", "]", "{", "}", ": ", ", ", "'", '"', "!!python/object/apply:os.system "),
        *("<<: ", "|", "? ", "%YAML 1.2\n", "---\n", "\t", "\x07", "0x", "1e400", ".nan"),
        *("2001-99-99", "=", "!!set "),
    ]
)


def check_text(folder: Path, text: str) -> None:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    paths = [ROOT / "config/config.yaml", path]
    run = accepted_or_refused(lambda: plan_run(read_files(paths)))
    if run is not None:
        names_are_safe(run)


@fuzz(150)
@given(words=st.lists(WORDS, max_size=12))
def test_text_that_is_nearly_yaml(tmp_path, words):
    check_text(tmp_path, "".join(words))


@pytest.mark.long
@fuzz(700)
@given(words=st.lists(WORDS | st.text(max_size=3), max_size=20))
def test_text_that_is_nearly_yaml_long(tmp_path, words):
    check_text(tmp_path, "".join(words))


def bomb(key: str) -> str:
    """Nine lists of nine aliases each: 3 kB of text, 387 million entries."""
    lines = ['a: &a ["x","x","x","x","x","x","x","x","x"]']
    for before, name in zip("abcdefgh", "bcdefghi"):
        lines.append(f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]")
    return "\n".join([*lines, f"{key}: *i\n"])


@pytest.mark.parametrize("key", ["levels", "experts", "seed", "policies", "methods", "evaluation"])
def test_yaml_bombs(tmp_path, key):
    text = bomb(key)
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_files([ROOT / "config/config.yaml", tmp_path / "mine.yaml"])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


ODD = {
    "deep": "[" * 20_000,
    "nested": "levels: " + "[" * 500 + "]" * 500,
    "loop in list": "a: &a [*a]",
    "loop in mapping": "seed: &a {b: *a}",
    "digits": "seed: " + "9" * 5000,
    "byte order mark": "\ufeffseed: 0",
    "date": "seed: 2001-99-99",
    "list as key": "? [a, b]\n: 1\n",
    "number as key": "1: 2\n",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_odd_documents(tmp_path, text):
    check_text(tmp_path, text)
