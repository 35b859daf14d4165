"""States to Kinetix and back, observations whole and compact, and which levels specialise."""

import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.env import make_env
from rtc.errors import LevelError
from rtc.levels import load_level
from rtc.levels.sources import packaged_levels
from rtc.physics.observation import VARYING

PACKAGED = sorted(packaged_levels())
SAMPLE = ("s/h4_thrust_aim", "m/h0_unicycle", "l/h11_obstacle_avoidance")


@pytest.fixture(scope="module")
def walker():
    """A level with joints, and 32 states reached by random actions, contacts and all."""
    env = make_env("mjc_walker")

    @jax.jit
    def roll(state, key):
        def one(state, key):
            state, step = env.step(state, jax.random.uniform(key, (32, 6), minval=-1))
            return env.replay(state, step.done), None

        return jax.lax.scan(one, state, jax.random.split(key, 90))[0]

    return env, roll(env.reset(32), jax.random.key(0))


def leaves(tree):
    return {
        jax.tree_util.keystr(path): np.asarray(x) for path, x in jax.tree.leaves_with_path(tree)
    }


def test_there_and_back_is_the_same_state(walker):
    env, state = walker
    back = env.from_kinetix(env.to_kinetix(state))
    assert np.asarray(state.memory.used).max() >= 4, "no contacts to carry over"
    for a, b in ((state.motion, back.motion), (state.joints, back.joints)):
        jax.tree.map(np.testing.assert_array_equal, a, b)
    np.testing.assert_array_equal(state.timestep, back.timestep)
    action = jax.random.uniform(jax.random.key(1), (32, 6), minval=-1)
    (after, step), (after_back, step_back) = (env.step(s, action) for s in (state, back))
    jax.tree.map(np.testing.assert_array_equal, after.motion, after_back.motion)
    jax.tree.map(np.testing.assert_array_equal, step, step_back)


def test_a_push_changes_velocities_alone_and_is_the_same_in_both_engines(walker):
    env, state = walker
    change = jax.random.normal(jax.random.key(2), (32, len(env.observation.bodies), 2))
    pushed = env.push(state, change)
    rows = (32, -1, len(VARYING))
    before, after = (np.asarray(env.observe(s)).reshape(rows) for s in (state, pushed))
    expected = before.copy()
    expected[:, :, 2:4] = np.clip(before[:, :, 2:4] + change, -10, 10)
    np.testing.assert_allclose(after, expected, atol=1e-6)
    stock = make_env("mjc_walker", engine="kinetix")
    there = stock.push(env.to_kinetix(state), change)
    expected = leaves(env.to_kinetix(pushed))
    for path, leaf in leaves(there).items():
        np.testing.assert_allclose(leaf, expected[path], atol=1e-6, err_msg=path)


def test_back_and_there_is_the_same_kinetix_state(walker):
    env, state = walker
    there = env.to_kinetix(state)
    again = env.to_kinetix(env.from_kinetix(there))
    once, twice = leaves(there), leaves(again)
    assert once.keys() == twice.keys()
    for name, value in once.items():
        np.testing.assert_array_equal(value, twice[name], err_msg=name)
        assert value.shape[0] == 32, name


def test_kinetix_states_are_as_kinetix_makes_them(walker):
    """Same leaves, shapes and types as the stock engine's own start."""
    env, state = walker
    ours, stock = leaves(env.to_kinetix(state)), leaves(make_env(env.level, "kinetix").reset(32))
    assert ours.keys() == stock.keys()
    for name, value in ours.items():
        assert (value.shape, value.dtype) == (stock[name].shape, stock[name].dtype), name


def test_names_tell_what_an_entry_is(walker):
    env, state = walker
    names = env.observation_spec
    assert len(set(names)) == len(names) == env.observation_size
    before = np.asarray(env.observe(state))
    body = f"polygon {env.observation.bodies[2]}"
    row = int(env._physics._rows[2])
    motion = state.motion

    def moved(vec, axis):
        return vec._replace(**{axis: getattr(vec, axis).at[row].add(0.25)})

    changes = {
        ("x",): {"position": moved(motion.position, "x")},
        ("y",): {"position": moved(motion.position, "y")},
        ("x velocity",): {"velocity": moved(motion.velocity, "x")},
        ("y velocity",): {"velocity": moved(motion.velocity, "y")},
        ("tanh of angular velocity / 10",): {"spin": motion.spin.at[row].add(0.25)},
        ("sin rotation", "cos rotation"): {"angle": motion.angle.at[row].add(0.25)},
    }
    assert {entry for group in changes for entry in group} == set(VARYING)
    for entries, change in changes.items():
        after = np.asarray(env.observe(state._replace(motion=motion._replace(**change))))
        differs = {names[i] for i in np.flatnonzero((before != after).any(axis=0))}
        assert differs == {f"{body}: {entry}" for entry in entries}


def test_expand_and_compress_undo_each_other(walker):
    env, state = walker
    obs = env.observe(state)
    full = env.expand(obs)
    assert full.shape == (32, 679)
    np.testing.assert_array_equal(env.compress(full), obs)
    others = np.setdiff1d(np.arange(679), env.observation_indices)
    np.testing.assert_array_equal(
        full[:, others], np.tile(env.observation_constants[others], (32, 1))
    )


def traced(name):
    """One step of three environments, traced but not compiled."""
    env = make_env(name)
    return env, jax.eval_shape(
        lambda action: env.step(env.reset(3), action)[1], jnp.zeros((3, env.action_size))
    )


def check_packaged(name):
    env, step = traced(name)
    assert step.obs.shape == (3, env.observation_size)
    assert env.observation_size % len(VARYING) == 0
    assert env.observation_size > 0
    assert step.reward.shape == step.done.shape == (3,)


@pytest.mark.parametrize("name", SAMPLE)
def test_packaged_levels_specialise(name):
    check_packaged(name)


@pytest.mark.long
@pytest.mark.parametrize("name", PACKAGED)
def test_every_packaged_level_specialises(name):
    check_packaged(name)


def test_all_packaged_levels_are_known():
    assert len(PACKAGED) == 74
    assert set(SAMPLE) <= set(PACKAGED)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"max_polygon_vertices": 5}, "polygons of up to 4 vertices"),
        ({"num_polygons": 40}, "up to 32 polygons"),
        ({"solver_batch_size": 7}, "60 pairs into solver batches of 7"),
    ],
)
def test_a_level_that_does_not_specialise_says_why(change, reason):
    level = load_level("cartpole_thrust")
    with pytest.raises(LevelError, match=r"env\.engine: kinetix") as error:
        make_env(replace(level, static=replace(level.static, **change)))
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_kinetix_may_be_imported_first_while_a_program_is_traced():
    """In a process of its own, since any other test may have imported Kinetix."""
    script = (
        "import jax, rtc; env = rtc.make_env('cartpole_thrust'); "
        "print(jax.jit(env.to_kinetix)(env.reset(2)).polygon.position.shape[0])"
    )
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "2", result.stderr[-2000:]
