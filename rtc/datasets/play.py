"""The program that plays: every environment under its own expert, a new one each episode.

All experts judge all observations and the one whose turn it is is chosen. For up to tens of
experts that is cheaper than one gathered set of parameters for each environment: those are
half a megabyte each and would be read in every step.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rtc.env.roll import roll
from rtc.env.wrappers import Stack, StackState
from rtc.experts.actor_critic import ActorCritic, action_distribution, sample_normal, squash
from rtc.experts.ppo import on_cpu
from rtc.types import Array, Float, Int, Key


class PlayState(NamedTuple):
    """envs: of the stack. expert, episode: [b] who plays each environment, and its how many-th
    episode this is. key: of what comes."""

    envs: StackState
    expert: Array
    episode: Array
    key: Array


class Rows(NamedTuple):
    """Transitions, each [b, t, ...]; see `rtc.datasets.parquet.COLUMNS` for their meaning."""

    episode: Array
    expert: Array
    observation: Array
    action: Array
    done: Array
    solved: Array
    episode_return: Array
    length: Array


def start_play(stack: Stack, experts: int, batch_size: int, key: Key) -> PlayState:
    """Every environment at the level's start, each with an expert drawn at random."""
    expert_key, key = jax.random.split(key)
    expert = jax.random.randint(expert_key, (batch_size,), 0, experts)
    return PlayState(stack.reset(batch_size), expert, jnp.zeros(batch_size, jnp.int32), key)


def play_block(
    stack: Stack, params: ActorCritic, state: PlayState, steps: int, action_std: float = 1.0
) -> tuple[PlayState, Rows]:
    """Plays `steps` steps in every environment.

    params: of all experts, leading axis e. action_std: share of their own standard deviation
    that actions are drawn with.
    """
    experts, actions = params.log_std.shape
    batch = len(state.expert)

    def draw(keys):
        drawn, env_noise = (jax.random.normal(key, (batch, actions)) for key in keys[:2])
        return action_std * drawn, env_noise, jax.random.randint(keys[2], (batch,), 0, experts)

    def judge(state, draws):
        envs, (expert, _) = state
        drawn, env_noise, next_expert = draws
        u = _chosen_u(params, expert, stack.observe(envs), drawn, stack.action_low)
        return u, env_noise, next_expert

    key, keys = jax.lax.scan(_split, state.key, length=steps, unroll=8)
    state = state.envs, (state.expert, state.episode)
    (envs, beside), rows = roll(stack, draw, judge, partial(_turn, stack), state, keys)
    return PlayState(envs, *beside, key), jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), rows)


def _split(key: Key, _: None) -> tuple[Key, Array]:
    """The key of what comes after a step, and those of the step."""
    *step, key = jax.random.split(key, 4)
    return key, jnp.stack(step)


def _turn(
    stack: Stack, state: tuple, u: Array, noise: Array, next_expert: Array
) -> tuple[tuple, Rows]:
    """What comes of the actions of a step. state: (envs, (expert, episode)). noise: [b, a]."""
    envs, (expert, episode) = state
    obs, action = stack.observe(envs), squash(u, stack.action_low)
    envs, outcome = stack.step(envs, action, noise)
    rows = Rows(
        episode,
        expert,
        stack.current(obs),
        action,
        outcome.done,
        outcome.solved,
        outcome.episode_return,
        outcome.episode_length,
    )
    expert = jnp.where(outcome.done, next_expert, expert)
    return (envs, (expert, episode + outcome.done)), rows


def _chosen_u(
    params: ActorCritic,
    expert: Int[Array, " b"],
    obs: Float[Array, "b d"],
    noise: Float[Array, "b a"],
    low,
) -> Float[Array, "b a"]:
    """What each environment's expert draws, before squashing."""

    def draw(actor, log_std):
        mean, std = action_distribution(actor, log_std, obs)
        return sample_normal(mean, std, low, noise)

    if not on_cpu():
        drawn = jax.vmap(draw)(params.actor, params.log_std)
        return jnp.take_along_axis(drawn, expert[None, :, None], axis=0)[0]

    def one(chosen, part):
        index, actor, log_std = part
        return jnp.where((expert == index)[:, None], draw(actor, log_std), chosen), None

    indices = jnp.arange(params.log_std.shape[0])
    return jax.lax.scan(one, jnp.zeros_like(noise), (indices, params.actor, params.log_std))[0]
