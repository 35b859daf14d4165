"""Kinetix's stock engine behind the common interface: the oracle, and the way out for levels
the specialised engine cannot take. Slow: it works on every padded slot of the scene."""

from typing import Any

import jax
import jax.numpy as jnp

from rtc.env.base import Step, check_kinetix_state, check_state
from rtc.env.kinetix_state import foreign_code, kinetix_state
from rtc.levels import Level
from rtc.physics.observation import observation_spec
from rtc.types import Array, Bool, Float, PyTree


class KinetixEngine:
    """The stock engine, one environment under `vmap`; its state is a batched `EnvState`.

    reward: "reference" takes the largest reward of the substeps and the goal flag and distance
    of the last; "kinetix" all three of the first substep that has a reward (or of the last).
    """

    batch_axis = 0
    printable = False

    def __init__(self, level: Level, reward: str) -> None:
        self.level = level
        self.reward = reward
        self.spec = observation_spec(level)
        with foreign_code():
            self.params, self.stock = _stock(level)

    def reset(self, batch_size: int) -> PyTree:
        """The level's start, `batch_size` times."""
        start = kinetix_state(self.level)
        return jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], batch_size, 0), start)

    def step(self, state: PyTree, action: Float[Array, "b a"]) -> tuple[PyTree, Step]:
        """One environment step; `done` also where any number of the state is NaN."""
        check_state(self, state, action=action)
        with foreign_code():
            state, reward, done, solved, distance = jax.vmap(self._step)(state, action)
            obs = self.observe(state)
        return state, Step(obs, reward, done, solved, distance)

    def observe(self, state: PyTree) -> Float[Array, "b o"]:
        """The entries of the symbolic flat observation that vary for this level."""
        check_state(self, state)
        with foreign_code():
            return self.spec.compress(jax.vmap(self.stock.get_obs)(state))

    def replay(self, state: PyTree, done: Bool[Array, " b"]) -> PyTree:
        """Environments with `done` start the level again."""
        check_state(self, state, done=done)

        def choose(now: Array, start: Array) -> Array:
            flags = done.reshape(done.shape + (1,) * (now.ndim - 1))
            return jnp.where(flags, start[None], now)

        start = jax.tree.map(jnp.asarray, kinetix_state(self.level))
        return jax.tree.map(choose, state, start)

    def push(self, state: PyTree, change: Float[Array, "b m 2"]) -> PyTree:
        """Adds to the velocities of the observed bodies, in the order of the observation."""
        check_state(self, state, change=change)
        polygons = self.level.static.num_polygons
        bodies = jnp.concatenate([state.polygon.velocity, state.circle.velocity], axis=1)
        bodies = bodies.at[:, self.spec.bodies].add(change)
        return state.replace(
            polygon=state.polygon.replace(velocity=bodies[:, :polygons]),
            circle=state.circle.replace(velocity=bodies[:, polygons:]),
        )

    def from_kinetix(self, env_state: PyTree) -> PyTree:
        """The state itself."""
        check_kinetix_state(self.level, env_state)
        return env_state

    def to_kinetix(self, state: PyTree) -> PyTree:
        """The state itself."""
        return state

    def _step(self, state: PyTree, action: Float[Array, " a"]) -> tuple[Any, ...]:
        action = self.stock.action_type.process_action(action, state, self.stock.static_env_params)

        def substep(state: PyTree, _: None) -> tuple[PyTree, tuple[Array, dict[str, Array]]]:
            state, touches = self.stock.physics_engine.step(state, self.params, action)
            return state, self.stock.compute_reward_info(state, touches)

        length = self.level.static.frame_skip
        state, (rewards, info) = jax.lax.scan(substep, state, length=length)
        state = state.replace(timestep=state.timestep + 1)
        touched = (rewards != 0).any()
        first = jnp.where(touched, jnp.argmax(rewards != 0), -1)
        shown = -1 if self.reward == "reference" else first
        reward = rewards.max() if self.reward == "reference" else rewards[first]
        broken = jax.tree.reduce(
            jnp.logical_or, jax.tree.map(lambda leaf: jnp.isnan(leaf).any(), state)
        )
        done = touched | broken | (state.timestep >= self.level.params.max_timesteps)
        return state, reward, done, info["GoalR"][shown], info["distance"][shown]


def _stock(level: Level) -> tuple[Any, Any]:
    """Kinetix's parameters and its environment object for a level."""
    from kinetix.environment import (
        ActionType,
        EnvParams,
        ObservationType,
        StaticEnvParams,
        make_kinetix_env,
    )

    params = EnvParams(**vars(level.params), dense_reward_scale=0.0)
    static = StaticEnvParams(**vars(level.static))
    stock = make_kinetix_env(
        ActionType.CONTINUOUS, ObservationType.SYMBOLIC_FLAT, None, params, static
    )
    return params, stock
