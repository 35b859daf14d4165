"""One step of the specialised engine against the reference, from its own stored states.

tests/golden/env_<level>.npz holds 48 states the reference reached, the action taken, and the
state, reward, done, goal flag and distance that its engine gave one environment step later.
"""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.env import make_env
from rtc.env.kinetix_state import kinetix_state
from rtc.levels import load_level

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("env_*.npz"))
MOVING = ("position", "rotation", "velocity", "angular_velocity")
TOLERANCE = 2e-4


def stored_states(level, data):
    """The level's Kinetix state, a batch of 48, with the stored leaves where they vary."""

    def leaf(path, value):
        name = "state/" + "/".join(part.name for part in path)
        if name in data.files:
            return jnp.asarray(data[name])
        return jnp.repeat(jnp.asarray(value)[None], len(data["action"]), axis=0)

    return jax.tree_util.tree_map_with_path(leaf, kinetix_state(level))


@pytest.fixture(scope="module", params=GOLDEN, ids=lambda path: path.stem[4:])
def stepped(request):
    level = load_level(request.param.stem[4:])
    data = np.load(request.param)
    if "state/gravity" in data.files:
        # h17_unicycle's states were stored under another gravity than the benchmark's level has.
        level = replace(level, arrays=level.arrays | {"gravity": data["state/gravity"][0]})
    env = make_env(level)
    state = env.from_kinetix(stored_states(level, data))
    following, step = env.step(state, jnp.asarray(data["action"]))
    return level, data, env.to_kinetix(following), step


def test_there_is_golden_data_for_all_levels():
    assert len(GOLDEN) == 12


def test_positions_and_velocities_are_the_reference_s(stepped):
    level, data, following, _ = stepped
    for group in ("polygon", "circle"):
        active = level[f"{group}/active"]
        for field in MOVING:
            ours = np.asarray(getattr(getattr(following, group), field))[:, active]
            theirs = data[f"next_state/{group}/{field}"][:, active]
            error = np.abs(ours - theirs).max(initial=0)
            assert error <= TOLERANCE, (group, field, error)


def test_reward_done_and_goal_are_the_reference_s(stepped):
    _, data, _, step = stepped
    np.testing.assert_array_equal(step.reward, data["reward"])
    np.testing.assert_array_equal(step.done, data["done"])
    np.testing.assert_array_equal(np.asarray(step.solved), data["goal"])
    np.testing.assert_allclose(step.distance, data["distance"], atol=TOLERANCE)
