"""A level that nobody can solve is refused before anything is trained on it."""

import logging

import pytest
import yaml

from rtc.errors import LevelError
from rtc.levels import available_levels, load_level
from rtc.levels.check import check_level
from rtc.levels.task import check_task

SCENE = {
    "size": "s",
    "bodies": {
        "cart": {"box": [0.6, 0.2], "position": [1, 2], "role": "green"},
        "wheel": {"circle": 0.1, "position": [1, 1.7]},
        "goal": {"circle": 0.2, "position": [4, 1], "role": "blue", "fixed": True},
    },
    "joints": [{"between": ["cart", "wheel"], "at": [1, 1.7], "motor": {"binding": 0}}],
}
NOTHING = "there is nothing to act with; add a motor (on, not auto, at a hinge"


def changed(**changes) -> dict:
    """The scene with entries of bodies or of the joint replaced, or other top-level keys."""
    scene = yaml.safe_load(yaml.safe_dump(SCENE))
    for key, value in changes.items():
        if key in scene["bodies"]:
            scene["bodies"][key] |= value
        elif key in ("motor", "fixed", "active"):
            scene["joints"][0][key] = value
        else:
            scene[key] = value
    return scene


THRUSTER = {"on": "cart", "at": [1, 2], "rotation": 90, "binding": 0}
GOOD = [
    SCENE,
    changed(joints=[], thrusters=[THRUSTER]),
    # The one of the two that moves may be either; or both drift without being pushed.
    changed(cart={"fixed": True, "role": "blue"}, goal={"role": "green", "fixed": False}),
    changed(cart={"fixed": True, "velocity": [1, 0]}),
    changed(goal={"collision_mode": 2}, cart={"collision_mode": 0}),
    # Bodies that a joint links do touch each other, though they do not push.
    changed(goal={"role": "none"}, wheel={"role": "blue"}),
    changed(motor={"binding": 0, "speed": 0}),  # a brake
]
UNSOLVABLE = [
    (changed(cart={"role": "none"}), "no active body is green; give one `role: green`"),
    (changed(goal={"role": "none"}), "no active body is blue; give one `role: blue`"),
    (changed(goal={"active": False}), "no active body is blue"),
    (changed(goal={"collision_mode": 0}, cart={"collision_mode": 0}), "`collision_mode`"),
    (changed(goal={"collision_mode": 0}), "green and blue bodies pass through one another"),
    (changed(cart={"fixed": True}), "are fixed; take `fixed` off one"),
    (
        changed(cart={"role": "none"}, changes={"floor": {"role": "green"}}),
        "are fixed; take `fixed` off one",
    ),
]
IDLE = [
    changed(joints=[]),
    changed(motor={"binding": 0, "on": False}),
    changed(motor={"binding": 0, "auto": True}),
    changed(motor={"binding": 0, "power": 0}),
    changed(fixed=True),
    changed(active=False),
    changed(params={"base_motor_power": 0}),
    changed(joints=[], thrusters=[THRUSTER | {"power": 0}]),
    changed(joints=[], thrusters=[THRUSTER | {"on": "goal"}]),
    changed(joints=[], thrusters=[THRUSTER | {"active": False}]),
]


@pytest.fixture
def write(tmp_path):
    def _write(scene):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(scene))
        return path

    return _write


@pytest.mark.parametrize("scene", GOOD)
def test_a_level_with_a_task_is_taken(write, scene, caplog):
    load_level(write(scene), solvable=True)
    load_level(write(scene))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(("scene", "says"), UNSOLVABLE)
def test_no_touch_of_green_and_blue_is_said_with_what_to_change(write, scene, says):
    with pytest.raises(LevelError) as caught:
        load_level(write(scene), solvable=True)
    message = str(caught.value)
    assert message.startswith(f"{write(scene)}: it can never be solved: ")
    assert says in message and "\n" not in message


@pytest.mark.parametrize("scene", IDLE)
def test_nothing_to_act_with_is_said_with_what_to_add(write, scene):
    with pytest.raises(LevelError) as caught:
        load_level(write(scene), solvable=True)
    assert str(caught.value).startswith(f"{write(scene)}: {NOTHING}")


def test_pictures_and_studies_of_such_a_level_are_warned_only(write, caplog):
    level = load_level(write(changed(joints=[])))
    assert level.name == "mine"
    assert NOTHING in caplog.text


@pytest.mark.parametrize("name", available_levels())
def test_every_level_that_is_carried_has_a_task(name):
    check_task(load_level(name), name)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_whatever_the_way(write, number):
    level = load_level(write(SCENE))
    level.arrays["circle/friction"][0] = number
    with pytest.raises(LevelError, match=r"^mine: circle/friction: expected finite numbers$"):
        check_level(level, "mine")
