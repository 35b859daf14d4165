"""Episodes that begin along a solution, moved back towards the level's start as they are solved.

Salimans and Chen 2018 (arXiv 1812.03381): where a reward is hard to find but a demonstration
exists, learning begins a few steps before the reward and moves back. A solution of the search
is played many times with the environment's noise; the states on the way of those that solve
are the bank. An environment whose episode is over begins again at a state of the bank, or, with
the rest of the probability, at the level's start. Its clock goes on from the time of that
state, so the step limit keeps its meaning.

Axes: s seeds, b environments (seed after seed), r replays of a solution, n groups of replays
(one search each), t steps.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rtc.env.wrappers import Outcome, Stack, StackState, add_noise
from rtc.types import Array, Bool, Float, Int, Key, PyTree


@dataclass(frozen=True)
class StartConfig:
    """share: of episodes that begin along a solution. step: by how much of the solution the
    window of starts grows. solved: share of the episodes begun in the window that must be solved
    for it. least: episodes that are waited for. window: at first, 1 for the whole solution at
    once. share_whole: `share` once the window holds the whole solution. edge: how strongly
    starts are drawn to the window's far end; 1 is uniform, 0 the end itself.
    replays: noisy plays of a group that are kept. trials: plays of each of its sequences.
    """

    share: float = 0.65
    step: float = 0.1
    solved: float = 0.55
    least: int = 64
    window: float = 0.1
    share_whole: float = 0.65
    edge: float = 1.0
    replays: int = 16
    trials: int = 12


STARTS = StartConfig()


class Bank(NamedTuple):
    """state: of the environment, batch n * r * t, a replay's steps side by side. length: [n, r]
    steps of each replay until the goal; states from there on say nothing."""

    state: PyTree
    length: Array


class Curriculum(NamedTuple):
    """Each [s]. window: share of the solution, from its end, in which episodes begin. begun,
    solved: episodes begun there that ended since the window last moved. group: whose replays."""

    window: Array
    begun: Array
    solved: Array
    group: Array


class Start(NamedTuple):
    """Where environments begin next, each [b, ...]. state: of the environment, its own layout.
    obs: [b, d] policy input. whole: [b] whether it is the level's start."""

    state: PyTree
    obs: Array
    whole: Array


class StartsState(NamedTuple):
    """inner: of the stack. next: where each environment begins again. whole: [b] whether the
    running episode began at the level's start."""

    inner: StackState
    next: Start
    whole: Array


@dataclass(frozen=True)
class StartsStack:
    """A `Stack` whose episodes begin where `deal_starts` says; a `Task`."""

    stack: Stack

    @property
    def printable(self) -> bool:
        return self.stack.printable

    @property
    def action_low(self) -> np.ndarray:
        return self.stack.action_low

    @property
    def observation_size(self) -> int:
        return self.stack.observation_size

    def reset(self, batch_size: int) -> StartsState:
        """Every environment at the level's start, and to begin there again."""
        inner = self.stack.reset(batch_size)
        whole = jnp.ones(batch_size, bool)
        return StartsState(inner, Start(inner.state, inner.obs, whole), whole)

    def observe(self, state: StartsState) -> Float[Array, "b d"]:
        """The policy's input."""
        return state.inner.obs

    def step(
        self, state: StartsState, action: Float[Array, "b a"], noise: Float[Array, "b a"]
    ) -> tuple[StartsState, Outcome]:
        """One step of all environments; those that are done begin at `state.next`."""
        following, outcome = self.stack.advance(state.inner, action, noise)
        done, begin = outcome.done, state.next
        inner = StackState(
            self.stack.env.begin(following.state, done, begin.state),
            following.first,
            jnp.where(done[:, None], begin.obs, following.obs),
            jnp.where(done, 0.0, following.episode_return),
            jnp.where(done, begin.state.timestep, following.episode_length),
        )
        whole = jnp.where(done, begin.whole, state.whole)
        return StartsState(inner, begin, whole), outcome._replace(whole=state.whole)


def make_bank(
    stack: Stack, config: StartConfig, actions: Float[Array, "n q t a"], key: Key
) -> Bank:
    """Plays the q sequences of each group with noise; keeps replays that solve the level.

    Where fewer than `config.replays` of a group do, they stand there more than once.
    """
    groups, sequences, steps, size = actions.shape
    plays = sequences * config.trials
    flat = jnp.repeat(actions.reshape(-1, steps, size), config.trials, axis=0)
    states, solved, length = _replay(stack, flat, key)
    solved, length = (x.reshape(groups, plays) for x in (solved, length))
    order = jnp.argsort(~solved, axis=1, stable=True)
    # Spread over the sequences, not the first sequence's plays alone; cyclic if too few solve.
    rank = (
        jnp.arange(config.replays)[None] * jnp.maximum(solved.sum(1) // config.replays, 1)[:, None]
    )
    chosen = jnp.take_along_axis(order, rank % jnp.maximum(solved.sum(1), 1)[:, None], axis=1)
    place = (jnp.arange(groups)[:, None] * plays + chosen).reshape(-1)
    # [t, batch n * plays] -> batch n * r * t
    parts = jax.vmap(lambda state: stack.env.take(state, place))(states)
    return Bank(stack.env.join(parts), jnp.take_along_axis(length, chosen, axis=1))


def _replay(
    stack: Stack, actions: Float[Array, "k t a"], key: Key
) -> tuple[PyTree, Bool[Array, " k"], Int[Array, " k"]]:
    """The states before every step [t, ...], whether each play solved, and its steps."""
    env, count = stack.env, len(actions)

    def step(carry, given):
        state, over, solved, length = carry
        action, key = given
        noise = jax.random.normal(key, action.shape)
        following, seen = env.step(state, add_noise(action, noise, stack.action_noise))
        solved = solved | (seen.solved & seen.done & ~over)
        return (following, over | seen.done, solved, length + ~over), state

    no = jnp.zeros(count, bool)
    start = env.reset(count), no, no, jnp.zeros(count, jnp.int32)
    given = jnp.swapaxes(actions, 0, 1), jax.random.split(key, actions.shape[1])
    (_, _, solved, length), states = jax.lax.scan(step, start, given)
    return states, solved, length


def begin_curriculum(config: StartConfig, groups: Int[Array, " s"]) -> Curriculum:
    """Every seed at the end of its group's solutions."""
    zeros = jnp.zeros(len(groups))
    return Curriculum(zeros + config.window, zeros, zeros, groups)


def move_back(
    config: StartConfig, curriculum: Curriculum, begun: Float[Array, " s"], solved: Array
) -> Curriculum:
    """Counts the episodes of a rollout; the window grows where enough of them are solved."""
    begun, solved = curriculum.begun + begun, curriculum.solved + solved
    counted = begun >= config.least
    grown = counted & (solved >= config.solved * begun)
    window = jnp.where(grown, curriculum.window + config.step, curriculum.window)
    return Curriculum(
        jnp.minimum(window, 1.0),
        jnp.where(counted, 0.0, begun),
        jnp.where(counted, 0.0, solved),
        curriculum.group,
    )


def deal_starts(
    task: StartsStack,
    config: StartConfig,
    bank: Bank,
    curriculum: Curriculum,
    state: StartsState,
    keys: Array,
) -> StartsState:
    """Draws where each environment begins when its episode is next over. keys: [s]."""
    stack = task.stack
    share = _by_seed(len(state.whole), _share(config, curriculum))
    draws = jax.vmap(lambda key: jax.random.uniform(key, (3, len(share) // len(keys))))(keys)
    along, place, which = jnp.swapaxes(draws, 0, 1).reshape(3, -1)
    group = _by_seed(len(share), curriculum.group)
    window = _by_seed(len(share), curriculum.window)
    replays = bank.length.shape[1]
    replay = group * replays + (which * replays).astype(jnp.int32)
    length = bank.length.reshape(-1)[replay]
    back = window * place**config.edge
    time = jnp.clip(((1.0 - back) * length).astype(jnp.int32), 0, length - 1)
    whole = along >= share
    steps = _steps(bank)
    there = stack.env.take(bank.state, replay * steps + time)
    begin = stack.env.begin(there, whole, stack.env.reset(len(share)))
    obs = stack.start_input(stack.env.observe(begin))
    return state._replace(next=Start(begin, obs, whole))


def _share(config: StartConfig, curriculum: Curriculum) -> Array:
    return jnp.where(curriculum.window < 1.0, config.share, config.share_whole)


def _steps(bank: Bank) -> int:
    return bank.state.timestep.shape[0] // bank.length.size


def _by_seed(environments: int, values: Array) -> Array:
    return jnp.repeat(values, environments // len(values))
