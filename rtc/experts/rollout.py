"""Experience: every seed's actor plays its environments for a number of steps.

All seeds' environments are one batch of the environment, seed after seed; parameters carry a
leading seed axis. Axes: s seeds, e environments of a seed, b = s * e, t steps.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rtc.env.wrappers import Task
from rtc.experts.actor_critic import (
    ActorCritic,
    action_distribution,
    normal_log_prob,
    sample_normal,
    squash,
)
from rtc.experts.blocks import over_seeds
from rtc.types import Array, Float, PyTree


class Experience(NamedTuple):
    """What the update needs of a rollout, each [t, b, ...]; no environment states.

    obs: [t, b, d]. u: [t, b, a] action before squashing. log_prob: [t, b] of u.
    """

    obs: Array
    u: Array
    log_prob: Array
    reward: Array
    done: Array


class Episodes(NamedTuple):
    """Sums over the episodes that ended, each [s]: their number, returns, lengths, solved."""

    count: Array
    returns: Array
    lengths: Array
    solved: Array


def no_episodes(seeds: int) -> Episodes:
    """The sums over nothing."""
    return Episodes(*(jnp.zeros(seeds) for _ in Episodes._fields))


def play(
    task: Task, params: ActorCritic, state: PyTree, keys: Array, steps: int
) -> tuple[PyTree, Experience, Episodes]:
    """Plays `steps` steps from `state`.

    params: with a leading axis s. keys: [s], one a seed: what a seed draws does not depend on
    the seeds beside it. Returns the state after, the experience and the ended episodes.
    """
    seeds = keys.shape[0]
    low = task.action_low

    def step(carry, keys):
        state, episodes = carry
        obs = task.observe(state)
        noise = _noise(keys, obs.shape[0] // seeds, len(low))
        by_seed = obs.reshape(seeds, -1, obs.shape[-1])
        u, log_prob = over_seeds(_act(low))(params, by_seed, noise[0])
        u, env_noise = (x.reshape(-1, len(low)) for x in (u, noise[1]))
        state, outcome = task.step(state, squash(u, low), env_noise)
        experience = Experience(obs, u, log_prob.reshape(-1), outcome.reward, outcome.done)
        return (state, _count(episodes, outcome, seeds)), experience

    step_keys = jax.vmap(lambda key: jax.random.split(key, steps), out_axes=1)(keys)
    carry, experience = jax.lax.scan(step, (state, no_episodes(seeds)), step_keys)
    return carry[0], experience, carry[1]


def _act(low):
    def act(params, obs, noise):
        mean, std = action_distribution(params.actor, params.log_std, obs)
        u = sample_normal(mean, std, low, noise)
        return u, normal_log_prob(u, mean, std)

    return act


def _noise(keys: Array, environments: int, actions: int) -> Float[Array, "2 s e a"]:
    """Standard normal noise of one step: exploration, and the environment's own."""
    shape = (2, environments, actions)
    return jax.vmap(lambda key: jax.random.normal(key, shape), out_axes=1)(keys)


def _count(episodes: Episodes, outcome, seeds: int) -> Episodes:
    def total(x):
        return jnp.where(outcome.done, x, 0).astype(jnp.float32).reshape(seeds, -1).sum(-1)

    ended = Episodes(
        total(jnp.ones_like(outcome.reward)),
        total(outcome.episode_return),
        total(outcome.episode_length),
        total(outcome.solved),
    )
    return jax.tree.map(jnp.add, episodes, ended)
