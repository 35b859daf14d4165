"""The program that plays: every environment under its own expert, a new one each episode.

All experts judge all observations and the one whose turn it is is chosen. For up to tens of
experts that is cheaper than one gathered set of parameters for each environment: those are
half a megabyte each and would be read in every step.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

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
    experts = params.log_std.shape[0]
    low = stack.action_low

    def step(state, _):
        action_key, env_key, expert_key, key = jax.random.split(state.key, 4)
        obs = stack.observe(state.envs)
        shape = (len(obs), len(low))
        drawn = action_std * jax.random.normal(action_key, shape)
        u = _chosen_u(params, state.expert, obs, drawn, low)
        action = squash(u, low)
        envs, outcome = stack.step(state.envs, action, jax.random.normal(env_key, shape))
        rows = Rows(
            state.episode,
            state.expert,
            stack.current(obs),
            action,
            outcome.done,
            outcome.solved,
            outcome.episode_return,
            outcome.episode_length,
        )
        drawn = jax.random.randint(expert_key, state.expert.shape, 0, experts)
        expert = jnp.where(outcome.done, drawn, state.expert)
        episode = state.episode + outcome.done
        return PlayState(envs, expert, episode, key), rows

    state, rows = jax.lax.scan(step, state, length=steps)
    return state, jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), rows)


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
