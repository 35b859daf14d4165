"""One environment as gymnax 1.0 has it, so that other people's loops train on it.

    env = GymnaxEnv("h17_unicycle")
    obs, state = env.reset(key, env.default_params)
    obs, state, reward, terminated, truncated, info = env.step(key, state, action)

gymnax's own wrappers take it (`gymnax.wrappers.LogWrapper(env)`). Loops of before gymnax 1.0, as
rejax and PureJaxRL, take five values apart: `FiveValues(env)` has them.

`jax.vmap` over environments, also nested (seeds over environments), becomes one step of the
engine for the whole batch, by a batching rule of its own. Transitions carry no gradients:
`jax.grad` through a step sees constants, as in gymnax. Gradients of the physics are had from
`rtc.make_env`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

try:
    from gymnax.environments import environment, spaces
    from gymnax.wrappers import LegacyStepAPIWrapper
except ImportError as error:  # of an older version
    raise ImportError("gymnax: expected version 1.0 or later; pip install -U gymnax") from error

from rtc.env import make_env
from rtc.env.base import Env
from rtc.errors import check_number
from rtc.levels import Level
from rtc.types import Array, Bool, Float, Key, PyTree, checked

LARGEST = 10.0  # entries of an observation are clipped to +-10
# Of reward, distance, done and the episode's steps before this one, each [b], a reward [b].
ShapeReward = Callable[[Array, Array, Array, Array], Array]


@struct.dataclass
class GymnaxParams(environment.EnvParams):
    """max_steps_in_episode: steps after which an episode ends; at most the level's own limit."""

    max_steps_in_episode: Any = 256


@struct.dataclass
class GymnaxState(environment.EnvState):
    """time: [] int32, steps of the episode. physics: the engine's state of one environment."""

    time: Any
    physics: Any


class _Advance(NamedTuple):
    """What one step of a batch gives, each with the batch in front."""

    obs: Array
    state: GymnaxState
    reward: Array
    terminated: Array
    solved: Array
    distance: Array


class GymnaxEnv(environment.Environment):
    """One environment of a level that starts again by itself; `jax.vmap` it for a batch.

    level, engine, reward: as for `rtc.make_env`. action_noise: std of the Gaussian noise added
    to every action (0.1 in the benchmark). shape_reward: what to make of the reward for learning,
    such as `rtc.env.wrappers.dense_reward` with its last two arguments bound; None leaves it bare.
    `env` is the batch-first environment behind it.
    Raises ConfigError, LevelError as `rtc.make_env` does, ArgumentError for an action of another
    shape.
    """

    def __init__(
        self,
        level: Level | str | Path,
        engine: str = "specialised",
        reward: str = "reference",
        action_noise: float = 0.1,
        shape_reward: ShapeReward | None = None,
    ) -> None:
        check_number("action_noise", action_noise, 0.0)
        self.env: Env = make_env(level, engine=engine, reward=reward)
        self.action_noise = action_noise
        self.shape_reward = shape_reward
        self._axes = _batch_axes(self.env)
        self._batch = jax.custom_batching.custom_vmap(self._advance)
        self._batch.def_vmap(self._merge_batches)

    @property
    def name(self) -> str:
        """The level's name."""
        return self.env.level.name

    @property
    def default_params(self) -> GymnaxParams:
        """The level's own step limit."""
        return GymnaxParams(max_steps_in_episode=self.env.level.params.max_timesteps)

    @property
    def num_actions(self) -> int:
        """Entries of an action (a = 6)."""
        return self.env.action_size

    def action_space(self, params: GymnaxParams | None = None) -> spaces.Box:
        """[a] from -1 to 1: motors, then thrusters, which are off from 0 down."""
        # Bounds are plain numbers: rejax keeps them in a module that is hashed.
        return spaces.Box(-1.0, 1.0, (self.env.action_size,))

    def observation_space(self, params: GymnaxParams | None = None) -> spaces.Box:
        """[o] from -10 to 10: the entries named by `env.observation_spec`."""
        return spaces.Box(-LARGEST, LARGEST, (self.env.observation_size,))

    def reset_env(self, key: Key, params: GymnaxParams) -> tuple[Float[Array, " o"], GymnaxState]:
        """The level's start, the same for every key: observation and state."""
        start = self.env.reset(1)
        state = GymnaxState(time=jnp.zeros(1, jnp.int32), physics=self._outside(start))
        return self.env.observe(start)[0], _first(state)

    @checked(a="num_actions")
    def step_env(
        self, key: Key, state: GymnaxState, action: Float[Array, " a"], params: GymnaxParams
    ) -> tuple[
        Float[Array, " o"], GymnaxState, Float[Array, ""], Bool[Array, ""], dict[str, Array]
    ]:
        """One environment step; `step` of gymnax calls it, and starts episodes that end again.

        key: for the action noise. action: [a] as asked for; noise is added and the engine clips.
        Returns observation [o], state, reward [] (1 at the goal, -1 after a forbidden touch, then
        shaped), terminated [] (done for another reason than the step limit) and info: `solved`,
        `distance` [] in metres (see `rtc.env.Step`), `discount` (0 where terminated); to these
        `step` adds `terminated`, `truncated` and `final_observation`, [o] of this step also where
        it ends an episode.
        """
        noise = jax.random.normal(key, action.shape, jnp.float32)
        executed = action.astype(jnp.float32) + self.action_noise * noise
        arguments = jax.tree.map(
            lambda x: jax.lax.stop_gradient(x)[None], (state, executed, self._limit(params))
        )
        out = _first(self._batch(*arguments))
        info = {
            "solved": out.solved,
            "distance": out.distance,
            "discount": 1.0 - out.terminated.astype(jnp.float32),
        }
        return out.obs, out.state, out.reward, out.terminated, info

    def observe(
        self, key: Key, state: GymnaxState, action: Any, params: GymnaxParams
    ) -> Float[Array, " o"]:
        """The observation of a state."""
        batch = jax.tree.map(lambda x: x[None], state.physics)
        return self.env.observe(self._inside(batch))[0]

    def is_truncated(self, state: GymnaxState, params: GymnaxParams) -> Bool[Array, ""]:
        """Whether the step limit is reached."""
        return state.time >= self._limit(params)

    def _limit(self, params: GymnaxParams) -> Array:
        own = self.env.level.params.max_timesteps
        return jnp.minimum(jnp.asarray(params.max_steps_in_episode, jnp.int32), own)

    def _advance(self, state: GymnaxState, action: Float[Array, "b a"], limit: Array) -> _Advance:
        """One step of a batch, batch in front of every array."""
        physics, step = self.env.step(self._inside(state.physics), action)
        time = state.time + 1
        # The engine ends episodes at the level's own limit too, which is no end of gymnax's.
        inside = time < self.env.level.params.max_timesteps
        terminated = step.done & (inside | (step.reward != 0) | step.solved)
        reward = step.reward
        if self.shape_reward is not None:
            done = terminated | (time >= limit)
            reward = self.shape_reward(reward, step.distance, done, state.time)
        return _Advance(
            obs=step.obs,
            state=GymnaxState(time=time, physics=self._outside(physics)),
            reward=reward,
            terminated=terminated,
            solved=step.solved & (terminated | (time >= limit)),
            distance=step.distance,
        )

    def _merge_batches(self, size: int, batched: list[PyTree], *arguments: PyTree) -> Any:
        """The rule of `vmap`: `size` batches become one, so that the engine steps once."""

        def merge(mapped: bool, x: Array) -> Array:
            x = x if mapped else jnp.broadcast_to(x[None], (size, *x.shape))
            return x.reshape(size * x.shape[1], *x.shape[2:])

        out = self._batch(*jax.tree.map(merge, tuple(batched), arguments))
        out = jax.tree.map(lambda x: x.reshape(size, x.shape[0] // size, *x.shape[1:]), out)
        return out, jax.tree.map(lambda _: True, out)

    def _inside(self, state: PyTree) -> PyTree:
        """The engine's own layout, from a state with the batch in front."""
        return jax.tree.map(lambda x, axis: jnp.moveaxis(x, 0, axis), state, self._axes)

    def _outside(self, state: PyTree) -> PyTree:
        """The engine's state with the batch in front of every array, as `vmap` has it."""
        return jax.tree.map(lambda x, axis: jnp.moveaxis(x, axis, 0), state, self._axes)


class FiveValues(LegacyStepAPIWrapper):
    """`step` returns (obs, state, reward, done, info) as before gymnax 1.0; for rejax, PureJaxRL.

    It is gymnax's own wrapper, but that it can be copied, as rejax does with what it is given.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> "FiveValues":
        """Itself: nothing in it changes, and a copy would be compiled again."""
        return self


def _first(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda x: x[0], tree)


def _batch_axes(env: Env) -> PyTree:
    """Which axis of each array of the engine's state is the batch: the one that grows with it."""
    small, large = (jax.eval_shape(lambda n=n: env.reset(n)) for n in (2, 3))

    def axis(x: Any, y: Any) -> int:
        (grown,) = [i for i, (a, b) in enumerate(zip(x.shape, y.shape)) if a != b]
        return grown

    return jax.tree.map(axis, small, large)
