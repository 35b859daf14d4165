"""The YAML form: what each key does, and what a bad file is told."""

import numpy as np
import pytest

from rtc.errors import LevelError
from rtc.levels import available_levels, load_level, safe_name

CART = """
size: s
gravity: [0, -5]
walls: {left: -0.1, right: 4.5}
frame_skip: 1
params: {max_timesteps: 99, base_friction: 0.5}
changes:
  floor: {role: red, friction: 0.2}
bodies:
  cart: {box: [0.6, 0.2], position: [1, 2], rotation: 90, density: 2, role: green, velocity: [1, 0]}
  wheel: {circle: 0.1, position: [1, 1.7], angular_velocity: 180, restitution: 0.5}
joints:
  - between: [cart, wheel]
    at: [1, 1.7]
    motor: {binding: 3, speed: 2, power: 4, auto: true}
    limits: [-90, 45]
thrusters:
  - {on: cart, at: [1, 1.8], rotation: 30, power: 0.5, binding: 1}
"""


@pytest.fixture
def write(tmp_path):
    def _write(text, name="mine.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return _write


@pytest.fixture
def refused(write):
    def _refused(text, *parts, name="mine.yaml"):
        with pytest.raises(LevelError) as caught:
            load_level(write(text, name))
        message = str(caught.value)
        assert "\n" not in message and len(message) < 500
        for part in (name, *parts):
            assert part in message, message

    return _refused


def test_whole_scene(write):
    level = load_level(write(CART))
    assert level.name == "mine"
    assert (level.static.num_polygons, level.static.frame_skip) == (5, 1)
    assert (level.params.max_timesteps, level.params.base_friction) == (99, 0.5)
    np.testing.assert_allclose(level["gravity"], [0, -5])
    assert level["polygon/vertices"][1, 1, 0] == pytest.approx(-0.1)
    assert level["polygon/vertices"][2, 0, 0] == pytest.approx(4.5)
    assert level["polygon_shape_roles"].tolist() == [3, 0, 0, 0, 1]
    assert level["polygon/friction"][0] == pytest.approx(0.2)
    mass = 2 * 0.6 * 0.2
    assert 1 / level["polygon/inverse_mass"][4] == pytest.approx(mass)
    assert level["polygon/rotation"][4] == pytest.approx(np.pi / 2)
    np.testing.assert_allclose(level["polygon/velocity"][4], [1, 0])
    assert level["circle/angular_velocity"][0] == pytest.approx(np.pi)
    assert level["circle/active"].tolist() == [True, False]


def test_joint_and_thruster_follow_from_a_point_of_the_world(write):
    level = load_level(write(CART))
    assert (level["joint/a_index"][0], level["joint/b_index"][0]) == (4, 5)
    # The cart is turned by 90 degrees: 0.3 m below its centre is -0.3 m along its own x axis.
    np.testing.assert_allclose(level["joint/a_relative_pos"][0], [-0.3, 0], atol=1e-6)
    np.testing.assert_allclose(level["joint/b_relative_pos"][0], [0, 0], atol=1e-6)
    np.testing.assert_allclose(level["joint/global_position"][0], [1, 1.7], atol=1e-6)
    assert level["joint/rotation"][0] == pytest.approx(-np.pi / 2)
    limits = level["joint/min_rotation"][0], level["joint/max_rotation"][0]
    np.testing.assert_allclose(limits, [-np.pi / 2, np.pi / 4], rtol=1e-6)
    assert level["joint/motor_on"][0] and level["motor_auto"][0]
    assert level["motor_bindings"][0] == 3 and level["thruster_bindings"][0] == 1
    np.testing.assert_allclose(level["thruster/relative_position"][0], [-0.2, 0], atol=1e-6)
    np.testing.assert_allclose(level["thruster/global_position"][0], [1, 1.8], atol=1e-6)
    assert not level["collision_matrix"][4, 5]


def test_changes_touch_only_what_they_name(write):
    base = load_level("l/h17_unicycle")
    level = load_level(write("base: l/h17_unicycle\nchanges: {polygon 4: {position: [2, 3]}}"))
    different = {key for key in base.arrays if not np.array_equal(base[key], level[key])}
    assert different == {"polygon/position", "joint/global_position"}


def test_fixing_and_freeing_a_body(write):
    text = "base: l/h17_unicycle\nchanges: {polygon 4: {fixed: true}}"
    assert load_level(write(text))["polygon/inverse_mass"][4] == 0
    text = "base: l/chain_lander\nchanges: {polygon 4: {fixed: true}}"
    free = f"{text[:-7]} false}}}}"
    base = load_level("l/chain_lander")
    level = load_level(write(free))
    assert level["polygon/inverse_mass"][4] == pytest.approx(base["polygon/inverse_mass"][4])


def test_added_body_takes_the_first_free_place_as_new(write):
    level = load_level(write("base: l/car_launch\nbodies: {ball: {circle: 0.2, position: [4, 4]}}"))
    assert level["circle/active"].tolist() == [True, True, True, False]
    assert level["circle/rotation"][2] == 0  # the packaged level leaves 0.5 in this place


def test_polygon_turns_clockwise_about_its_centre(write):
    text = "bodies: {slope: {polygon: [[0, 0], [0.9, 0], [0, 0.6]], position: [2, 1], fixed: true}}"
    level = load_level(write(text))
    assert level["polygon/n_vertices"][4] == 3
    vertices = level["polygon/vertices"][4, :3]
    np.testing.assert_allclose(vertices.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(level["polygon/position"][4], [2.3, 1.2], rtol=1e-6)
    sides = np.diff(vertices, axis=0)
    assert sides[0, 0] * sides[1, 1] - sides[0, 1] * sides[1, 0] < 0


def test_plain_words_are_not_guessed(write):
    level = load_level(write("bodies: {on: {circle: 2e-1, position: [1, 1]}}"))
    assert level["circle/radius"][0] == pytest.approx(0.2)


BALL = "bodies: {ball: {circle: 0.1, position: [1, 1]}}\n"
BAD_FILES = [
    ("[1, 2]", "expected a mapping"),
    ("", "expected a mapping"),
    ("base: l/h17_unicycle\ngravty: [0, 1]", "gravty", "did you mean 'gravity'"),
    ("base: l/h17_unicycl", "base", "did you mean 'l/h17_unicycle'"),
    ("base: l/h17_unicycle\nsize: l", "either base or size"),
    ("size: xl\n" + BALL, "size", "'xl'"),
    ("gravity: [0, -1]", "expected base", "bodies"),
    (BALL + "gravity: 3", "gravity", "list of 2 numbers"),
    (BALL + "gravity: [0, .nan]", "gravity[1]", "finite"),
    (BALL + "gravity: [0, 1.0e+999]", "gravity[1]", "finite"),
    (BALL + "frame_skip: 0", "frame_skip", "1 to 100"),
    (BALL + "params: {max_timestep: 3}", "params", "did you mean 'max_timesteps'"),
    (BALL + "walls: {top: 3}", "walls", "'top'"),
    ("bodies: {ball: {circle: -0.1, position: [1, 1]}}", "bodies.ball.circle", "0.005"),
    ("bodies: {ball: {circle: 0.1}}", "bodies.ball.position", "missing"),
    ("bodies: {ball: {position: [1, 1]}}", "bodies.ball", "box, polygon, circle"),
    ("bodies: {b: {circle: 1, box: [1, 1], position: [1, 1]}}", "bodies.b", "box and circle"),
    ("bodies: {b: {box: [1, 0], position: [1, 1]}}", "bodies.b.box[1]", "0.01"),
    ("bodies: {b: {box: [1, 1], position: [1, 99]}}", "bodies.b.position[1]", "15"),
    ("bodies: {b: {box: [1, 1], position: [1, 1], role: gren}}", "role", "did you mean 'green'"),
    ("bodies: {b: {box: [1, 1], position: [1, 1], fixed: 1}}", "fixed", "true or false"),
    ("bodies: {b: {box: [1, 1], position: [1, 1], fixed: true, mass: 2}}", "fixed or mass"),
    ("bodies: {b: {box: [1, 1], position: [1, 1], mass: -2}}", "bodies.b.mass"),
    ("bodies: {floor: {box: [1, 1], position: [1, 1]}}", "bodies.floor", "taken"),
    ("bodies: {4: {box: [1, 1], position: [1, 1]}}", "bodies", "text"),
    ("bodies: {b: {polygon: [[0, 0], [1, 1]], position: [1, 1]}}", "polygon", "3 or 4 corners"),
    (
        "bodies: {b: {polygon: [[0, 0], [1, 1], [1, 0], [0, 1]], position: [1, 1]}}",
        "bodies.b.polygon",
        "convex",
    ),
    (
        "size: s\nbodies: {a: {box: [1, 1], position: [1, 1]}, b: {box: [1, 1], position: [1, 1]}}",
        "bodies.b",
        "no place left",
    ),
    (BALL + "joints: {a: 1}", "joints", "a list"),
    (BALL + "joints: [{between: [ball, bal], at: [1, 1]}]", "joints[0].between[1]", "'ball'"),
    (BALL + "joints: [{between: [ball, ball], at: [1, 1]}]", "two different bodies"),
    (BALL + "joints: [{between: [ball, floor]}]", "joints[0].at", "missing"),
    (BALL + "joints: [{between: [ball, polygon 9], at: [1, 1]}]", "not active"),
    (
        BALL + "joints: [{between: [ball, floor], at: [1, 1], motor: {binding: 4}}]",
        "motor.binding",
        "0 to 3",
    ),
    (BALL + "joints: [{between: [ball, floor], at: [1, 1], limits: [9, 1]}]", "limits", "smaller"),
    (BALL + "thrusters: [{on: ball, rotation: 0, binding: 0}]", "thrusters[0].at"),
    (BALL + "thrusters: [{on: ball, at: [1, 1], rotation: 0}]", "thrusters[0].binding"),
    (BALL + "thrusters: [{on: ball, at: [1, 1], rotation: 0, binding: 2}]", "binding", "0 to 1"),
    (BALL + "changes: {polygon 12: {role: red}}", "changes", "polygon 11"),
    (BALL + "changes: {flor: {role: red}}", "changes", "did you mean 'floor'"),
    (BALL + "changes: {floor: {fixed: false}}", "keep them fixed"),
    (BALL + "changes: {ceiling: {active: false}}", "keep them active"),
    (BALL + "changes: {joint 0: {active: true}}", "joint 0", "same body"),
    (BALL + BALL, "stands twice"),
    ("a: &a [1]\nb: *a", "aliases"),
    ("a: !!python/object/apply:os.getcwd []", "not valid YAML"),
    ("a: [", "not valid YAML"),
    ("a: " + "[" * 5000, "nested too deeply"),
    ("a: " + "1" * 6000, "a value cannot be read"),
    ("#" * 100_001, "larger than"),
]


@pytest.mark.parametrize("case", BAD_FILES, ids=lambda case: case[0][:40])
def test_bad_file_is_refused_in_one_line(refused, case):
    refused(*case)


def test_names():
    assert safe_name("l/mjc_hopper") == safe_name("l-mjc_hopper") == "l-mjc_hopper"
    assert safe_name("some/where/my-level.v2.yaml") == "my-level.v2"
    for bad in ("../../etc/passwd", "", "...", "a/b", "( )", "日本", "my/(_).json", "_.yaml"):
        with pytest.raises(LevelError):
            safe_name(bad)


def test_unknown_names_give_the_nearest():
    with pytest.raises(LevelError, match="did you mean 'h17_unicycle'"):
        load_level("h17_unicycel")
    with pytest.raises(LevelError, match="did you mean 'l/mjc_hopper'"):
        load_level("l/mjc_hoper")
    with pytest.raises(LevelError, match="no such level file"):
        load_level("nowhere/grasp_easy.json")
    with pytest.raises(LevelError, match="unknown"):
        load_level("../levels/grasp_easy")


def test_working_directory_comes_first(tmp_path, monkeypatch):
    folder = tmp_path / "config" / "levels"
    folder.mkdir(parents=True)
    (folder / "h17_unicycle.yaml").write_text("base: l/h17_unicycle\ngravity: [0, -7]")
    (folder / "mine.yaml").write_text("base: s/h0_weak_thrust")
    monkeypatch.chdir(tmp_path)
    assert load_level("h17_unicycle")["gravity"][1] == -7
    assert load_level("mine").static.num_polygons == 5
    assert load_level("grasp_easy").name == "grasp_easy"
    assert available_levels().count("h17_unicycle") == 1
    assert "mine" in available_levels()
