"""What stands around the bare environment: noise, history, dense reward, replay, statistics.

Pure functions of arrays, and three stacks of them as in the reference:

  expert    action noise, last 4 observations and last action, dense reward, replay
  collect   the same without the dense reward
  evaluate  action noise and replay only

Facts of the reference kept here: the observation after `done` is the level's first one; the
history then holds that observation in every place and a zero action; the last action shown to
the policy is the one it asked for, without the noise; the 256-step limit ends an episode like
any other end.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np

from rtc.config.sections import EnvConfig, ExpertConfig
from rtc.errors import ArgumentError, check_number, check_whole
from rtc.types import Array, Bool, Float, Int, PyTree, checked


class Outcome(NamedTuple):
    """What one step led to, each [b].

    reward: of the step, shaped if the stack shapes it. done: the episode ended with this step.
    solved: it ended at the goal. episode_return, episode_length: sums of the rewards and of the
    steps of the episode up to this step, so at `done` those of the whole episode. whole: the
    episode began at the level's start; others train, but count in no solve rate.
    """

    reward: Array
    done: Array
    solved: Array
    episode_return: Array
    episode_length: Array
    whole: Array


@runtime_checkable
class Task(Protocol):
    """What reinforcement learning sees of an environment: a batch of episodes without end.

    observation_size: entries of the policy's input. action_low: [a] lowest action, -1 where
    actions lie in [-1, 1] (motors), 0 where they lie in [0, 1] (thrusters). printable: whether
    its step may become part of a kernel, see `rtc.env.base.Engine`.
    """

    @property
    def printable(self) -> bool: ...

    @property
    def observation_size(self) -> int: ...

    @property
    def action_low(self) -> np.ndarray: ...

    def reset(self, batch_size: int) -> PyTree: ...

    def observe(self, state: PyTree) -> Float[Array, "b d"]: ...

    def step(
        self, state: PyTree, action: Float[Array, "b a"], noise: Float[Array, "b a"]
    ) -> tuple[PyTree, Outcome]: ...


@checked()
def add_noise(
    action: Float[Array, "b a"], noise: Float[Array, "b a"], std: float
) -> Float[Array, "b a"]:
    """The executed action: the asked one plus `std` times standard normal noise, unclipped."""
    return action + std * noise


@checked()
def start_history(
    first: Float[Array, "*b o"], length: int, action_size: int
) -> Float[Array, "*b d"]:
    """Policy input at the start of an episode: `length` copies of `first`, then a zero action.

    d = length * o + action_size.
    """
    check_whole("length", length, 1)
    still = jnp.zeros((*first.shape[:-1], action_size), first.dtype)
    return jnp.concatenate([*[first] * length, still], axis=-1)


@checked()
def push_history(
    history: Float[Array, "b d"], obs: Float[Array, "b o"], action: Float[Array, "b a"]
) -> Float[Array, "b d"]:
    """Policy input one step later: the oldest observation leaves, the newest stands last but
    for the action that led to it."""
    stacked = history.shape[-1] - action.shape[-1]
    if stacked % max(1, obs.shape[-1]):
        raise ArgumentError(
            f"obs: expected a whole number of them in the history's {stacked} entries without "
            f"the action, got {obs.shape[-1]}"
        )
    return jnp.concatenate([history[:, obs.shape[-1] : stacked], obs, action], axis=-1)


@checked()
def dense_reward(
    reward: Float[Array, " b"],
    distance: Float[Array, " b"],
    done: Bool[Array, " b"],
    timestep: Int[Array, " b"],
    scale: float,
    max_timesteps: int,
) -> Float[Array, " b"]:
    """The reference's shaping: a share of the goal distance is lost in every step.

    distance: [b] metres after the step. timestep: [b] steps of the episode before this one.
    scale: reward lost per metre over a whole episode. A step with a positive reward loses
    nothing; the last step of an episode also pays for the steps that were left, so that ending
    early is no way out.
    """
    check_number("scale", scale)
    check_whole("max_timesteps", max_timesteps, 1)
    penalty = jnp.where(reward > 0, 0.0, distance * (scale / max_timesteps))
    return reward - jnp.where(done, (max_timesteps - timestep) * penalty, penalty)


class StackState(NamedTuple):
    """state: of the environment. first: [d] policy input at the start of every episode.
    obs: [b, d] policy input now. episode_return, episode_length: [b] of the running episode."""

    state: Any
    first: Array
    obs: Array
    episode_return: Array
    episode_length: Array


@dataclass(frozen=True)
class Stack:
    """An environment (`rtc.make_env`) with its wrappers; a `Task`.

    action_noise: std of the Gaussian on every action. history: observations the policy sees; 0
    for the current one without the last action. dense_scale: see `dense_reward`; None leaves
    the reward as it is.
    """

    env: Any
    action_noise: float
    history: int
    dense_scale: float | None

    @property
    def printable(self) -> bool:
        return self.env.printable

    @property
    def action_low(self) -> np.ndarray:
        static = self.env.level.static
        return np.repeat(
            np.float32([-1, 0]), [static.num_motor_bindings, static.num_thruster_bindings]
        )

    @property
    def observation_size(self) -> int:
        extra = self.env.action_size if self.history else 0
        return max(self.history, 1) * self.env.observation_size + extra

    @checked(d="observation_size")
    def current(self, obs: Float[Array, "b d"]) -> Float[Array, "b o"]:
        """The newest observation in a policy input."""
        end = max(self.history, 1) * self.env.observation_size
        return obs[:, end - self.env.observation_size : end]

    def reset(self, batch_size: int) -> StackState:
        """Every environment at the start of the level."""
        state = self.env.reset(batch_size)
        obs = self.start_input(self.env.observe(state))
        zeros = jnp.zeros(batch_size, jnp.float32)
        return StackState(state, obs[0], obs, zeros, zeros.astype(jnp.int32))

    def observe(self, state: StackState) -> Float[Array, "b d"]:
        """The policy's input: the newest observation last but for the last action."""
        return state.obs

    @checked(a="env.action_size")
    def step(
        self, state: StackState, action: Float[Array, "b a"], noise: Float[Array, "b a"]
    ) -> tuple[StackState, Outcome]:
        """One step of all environments; those that are done start the level again.

        action: what the policy asks for. noise: [b, a] standard normal, scaled here.
        """
        following, outcome = self.advance(state, action, noise)
        done = outcome.done
        stacked = StackState(
            self.env.replay(following.state, done),
            following.first,
            jnp.where(done[:, None], following.first[None], following.obs),
            jnp.where(done, 0.0, following.episode_return),
            jnp.where(done, 0, following.episode_length),
        )
        return stacked, outcome

    @checked(a="env.action_size")
    def advance(
        self, state: StackState, action: Float[Array, "b a"], noise: Float[Array, "b a"]
    ) -> tuple[StackState, Outcome]:
        """One step of all environments; those that are done stay where they ended."""
        executed = add_noise(action, noise, self.action_noise)
        inner, step = self.env.step(state.state, executed)
        reward = self._reward(step, state.episode_length)
        outcome = Outcome(
            reward,
            step.done,
            step.solved & step.done,
            state.episode_return + reward,
            state.episode_length + 1,
            jnp.ones_like(step.done),
        )
        obs = push_history(state.obs, step.obs, action) if self.history else step.obs
        following = StackState(
            inner, state.first, obs, outcome.episode_return, outcome.episode_length
        )
        return following, outcome

    @checked()
    def start_input(self, first: Float[Array, "b o"]) -> Float[Array, "b d"]:
        """The policy input of an episode that begins with these observations."""
        if not self.history:
            return first
        return start_history(first, self.history, self.env.action_size)

    def _reward(self, step: Any, timestep: Int[Array, " b"]) -> Float[Array, " b"]:
        if self.dense_scale is None:
            return step.reward
        limit = self.env.level.params.max_timesteps
        return dense_reward(
            step.reward, step.distance, step.done, timestep, self.dense_scale, limit
        )


def expert_stack(env: Any, env_config: EnvConfig, config: ExpertConfig) -> Stack:
    """The stack that experts learn in."""
    return Stack(
        env, env_config.action_noise, config.observation_history, config.dense_reward_scale
    )


def collect_stack(env: Any, env_config: EnvConfig, observation_history: int) -> Stack:
    """The stack that experts play in: as they learned, but returns without the shaping."""
    return Stack(env, env_config.action_noise, observation_history, None)


def evaluate_stack(env: Any, env_config: EnvConfig) -> Stack:
    """The stack that chunk policies act in: the current observation only."""
    return Stack(env, env_config.action_noise, 0, None)
