"""The observation that will hold when a chunk takes over, for methods whose entry asks for it.

The level is rolled on from now, for the delay that the method is told, with the actions that the
chunk in execution holds, without noise on them, without kicks and without what `act` would make
of the actions. The oracle rolls on the simulation itself, a model one whose level differs.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rtc.config.sections import EnvConfig, ForecastModel, MethodConfig
from rtc.env import make_env
from rtc.evaluate.scene import Scene
from rtc.evaluate.slots import Plan, Slots
from rtc.levels import Level
from rtc.types import Array, PyTree


def make_forecaster(env: Any, config: EnvConfig, method: MethodConfig) -> Any:
    """Returns the environment that forecasts are made in, or None if the method gets none.

    env: the one that is played in, made as `config` says.
    """
    if method.forecast == "model" and method.model is not None:
        wrong = scaled_level(env.level, method.model)
        return make_env(wrong, engine=config.engine, reward=config.reward)
    return env if method.forecast == "oracle" else None


def scaled_level(level: Level, model: ForecastModel) -> Level:
    """Returns the level with another gravity, friction and density.

    Masses and inertias grow with the density; which bodies move, and so the form of a state of
    the specialised engine, stays.
    """
    arrays = dict(level.arrays)
    arrays["gravity"] = arrays["gravity"] * np.float32(model.gravity)
    for kind in ("polygon", "circle"):
        for key, factor in (
            (f"{kind}/friction", model.friction),
            (f"{kind}/inverse_mass", 1 / model.density),
            (f"{kind}/inverse_inertia", 1 / model.density),
            (f"{kind}_densities", model.density),
        ):
            arrays[key] = arrays[key] * np.float32(factor)
    return dataclasses.replace(level, arrays=arrays)


def foresee(scene: Scene, plan: Plan, slots: Slots) -> Array:
    """Returns the observation [b, o] that the scene's forecaster expects when the new chunk is
    ready, after the told delay: the actions of the chunk in execution, without noise or kicks."""

    def step(state: tuple[Array, PyTree, Array]) -> tuple[Array, PyTree, Array]:
        index, env, _ = state
        action = jax.lax.dynamic_index_in_dim(slots.previous, index, 1, keepdims=False)
        env, stepped = scene.forecaster.step(env, action)
        return index + 1, env, stepped.obs

    def unfinished(state: tuple[Array, PyTree, Array]) -> Array:
        return (state[0] < plan.estimate) & jnp.any(slots.alive)

    return jax.lax.while_loop(unfinished, step, (jnp.int32(0), slots.env, slots.obs))[2]
