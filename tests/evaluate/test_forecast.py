"""The environments that forecasts are made in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.config.sections import EnvConfig, ForecastModel, MethodConfig
from rtc.env import make_env
from rtc.evaluate.forecast import make_forecaster, scaled_level
from rtc.levels import load_level

ENV = EnvConfig(engine="specialised", action_noise=0.1, reward="reference")


@pytest.fixture(scope="module")
def level():
    return load_level("cartpole_thrust")


def test_what_is_scaled(level):
    wrong = scaled_level(level, ForecastModel(gravity=1.5, friction=0.5, density=2.0))
    np.testing.assert_allclose(wrong["gravity"], 1.5 * level["gravity"])
    for kind in ("polygon", "circle"):
        np.testing.assert_allclose(wrong[f"{kind}/friction"], 0.5 * level[f"{kind}/friction"])
        for key in ("inverse_mass", "inverse_inertia"):
            np.testing.assert_allclose(wrong[f"{kind}/{key}"], 0.5 * level[f"{kind}/{key}"])
    assert wrong.digest != level.digest and wrong.name == level.name
    dtypes = {key: array.dtype for key, array in level.arrays.items()}
    assert {key: array.dtype for key, array in wrong.arrays.items()} == dtypes


def test_the_oracle_is_the_environment_itself_and_a_model_takes_its_states(level):
    env = make_env(level)
    assert make_forecaster(env, ENV, MethodConfig("naive", "flow", {})) is None
    oracle = MethodConfig("requery", "flow", {}, forecast="oracle")
    assert make_forecaster(env, ENV, oracle) is env
    heavy = ForecastModel(gravity=2.0, density=3.0)
    model = make_forecaster(
        env, ENV, MethodConfig("requery", "flow", {}, forecast="model", model=heavy)
    )
    state, action = env.reset(2), jnp.zeros((2, env.action_size))
    own, other = (jax.eval_shape(e.step, state, action) for e in (env, model))
    assert jax.tree.structure(own) == jax.tree.structure(other)
    assert jax.tree.leaves(own) == jax.tree.leaves(other)
    assert env.observation_spec == model.observation_spec
