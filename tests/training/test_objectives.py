"""What each objective draws, which windows it takes, and what it lowers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rtc.config.build import options_of
from rtc.config.method_options import built_in, class_surface
from rtc.errors import ConfigError
from rtc.flow import FlowPolicy, ModelConfig, delayed_flow_matching_loss, get_prefix_weights
from rtc.training.objectives import OBJECTIVES, DeviceRows, make_objective
from rtc.training.windows import open_dataset
from tests.training.test_learner import ACT, OBS, OWN, H
from tests.training.test_learner import OBJECTIVES as EXAMPLES
from tests.training.toy_dataset import write_dataset

SHAPE = (4000, H, ACT)
SHARES = [0.636, 0.234, 0.086, 0.032, 0.012]


def objective(name, **options):
    example = {"objective": name} if isinstance(EXAMPLES[name], str) else EXAMPLES[name]
    return make_objective({**example, **options})


@pytest.mark.parametrize("name", OBJECTIVES)
def test_noise_and_time_are_the_same_for_all(name):
    drawn = objective(name).draw(jax.random.key(0), SHAPE)
    plain = objective("flow").draw(jax.random.key(0), SHAPE)
    for key, value in plain.items():
        np.testing.assert_array_equal(drawn[key], value)
    assert all(len(value) == SHAPE[0] for value in drawn.values())
    assert abs(float(plain["noise"].mean())) < 0.01
    assert 0 <= float(plain["time"].min()) < 0.01 < 0.99 < float(plain["time"].max()) < 1


def test_delays_and_shifts_are_drawn_as_published():
    key = jax.random.key(0)
    delay = objective("delayed_prefix").draw(key, SHAPE)["delay"]
    np.testing.assert_allclose(np.bincount(delay, minlength=5) / 4000, SHARES, atol=0.03)
    shift = objective("shifted_window").draw(key, SHAPE)["shift"]
    np.testing.assert_allclose(np.bincount(shift, minlength=5) / 4000, [0.2] * 5, atol=0.03)


def test_soft_windows_end_where_the_shortest_horizon_does():
    weights = objective("soft_prefix").draw(jax.random.key(0), SHAPE)["weights"]
    # Of delays 0, 1, 2, 3, 4 at the horizons 1, 1, 2, 3, 4: ends at 0, 2, 4, 5 (not 6), 4 (not 8).
    ends = {0: 0, 1: 2, 2: 4, 3: 5, 4: 4}
    possible = np.stack([get_prefix_weights(d, end, H, "linear") for d, end in ends.items()])
    same = np.abs(np.asarray(weights)[:, None] - possible[None]).max(axis=2) < 1e-6
    assert same.any(axis=1).all()
    np.testing.assert_allclose(same.mean(axis=0), SHARES, atol=0.03)


def test_every_delay_of_a_chunk_can_be_drawn():
    weights = objective("soft_prefix", simulated_delay=8).draw(jax.random.key(0), SHAPE)["weights"]
    assert np.asarray(weights)[:, -1].max() == 0 and np.isfinite(weights).all()


def test_hard_weights_are_the_loss_of_a_delayed_prefix():
    config = ModelConfig(channel_dim=8, channel_hidden_dim=8, token_hidden_dim=8, num_layers=1)
    policy = FlowPolicy(obs_dim=OBS, action_dim=ACT, config=config, rngs=nnx.Rngs(0))
    soft = objective("soft_prefix", window="scaled", reach=1.0)
    key, shape = jax.random.key(3), (16, H, ACT)
    obs, action = jnp.ones((16, OBS)), jnp.ones(shape)
    drawn, hard = soft.draw(key, shape), objective("delayed_prefix").draw(key, shape)
    np.testing.assert_array_equal(drawn["weights"].sum(axis=1), hard["delay"])
    expected = ACT * delayed_flow_matching_loss(policy, obs, action, **hard)
    np.testing.assert_allclose(soft.loss(policy, obs, action, drawn), expected, rtol=1e-5)


def test_shifted_windows_take_own_bodies_and_actions_from_later():
    count = 30
    obs = jnp.arange(count, dtype=jnp.float32)[:, None] + jnp.zeros(OBS)[None]
    # An episode ends at row 20.
    alive = jnp.clip(20 - jnp.arange(count), 0, H).astype(jnp.int32).at[21:].set(H)
    rows = DeviceRows(obs, jnp.tile(obs[:, :1], ACT) + 100, alive)
    starts, shift = jnp.array([3, 3, 18, 20]), jnp.array([0, 4, 4, 4])
    shifted = objective("shifted_window")
    obs, action = shifted.windows(rows, starts, H, {"shift": shift}, OWN)
    # The end of an episode cuts the shift: from 18 to its last row, from there on nowhere.
    np.testing.assert_array_equal(obs[:, OWN][:, 0], [3, 7, 20, 20])
    np.testing.assert_array_equal(obs[:, ~OWN][:, 0], [3, 3, 18, 20])
    np.testing.assert_array_equal(action[0, :, 0], 103 + np.arange(H))
    np.testing.assert_array_equal(action[1, :, 0], 107 + np.arange(H))
    assert not action[2:].any()
    with pytest.raises(ConfigError, match="give train_policies the level"):
        shifted.windows(rows, starts, H, {"shift": shift}, None)


def test_windows_leave_room_for_the_longest_shift(tmp_path):
    path = tmp_path / "toy.parquet"
    write_dataset(path, envs=3, steps=40)
    plain, longer = open_dataset(path, H), open_dataset(path, H, extra_steps=4)
    assert (plain.windows, longer.windows) == (3 * 33, 3 * 29)
    (block,) = longer.blocks()
    assert block.starts.max() + H + 4 == len(block.obs) == len(block.alive)
    np.testing.assert_array_equal(plain.rows.alive, longer.rows.alive)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_options_are_read_from_the_source_as_they_are(name):
    read, real = (
        class_surface("objective", name, "policies.mine").options,
        options_of(OBJECTIVES[name]),
    )
    assert list(built_in("objective")) == list(OBJECTIVES) and read == real


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("flwo", r"policies.mine.objective: unknown objective 'flwo'; did you mean 'flow'"),
        ({"objective": "flow", "delay": 3}, r"policies.mine.objective.delay: unknown key"),
        ({"simulated_delay": 3}, r"policies.mine.objective.objective: expected the name"),
        ({"objective": "shifted_window"}, r"policies.mine.objective.max_shift: missing"),
        ("rtc.methods.naive:Naive", r"policies.mine.objective: .*Naive lacks extra_steps, draw"),
    ],
)
def test_what_cannot_be_is_named(section, message):
    with pytest.raises(ConfigError, match=message):
        make_objective(section, "policies.mine")
