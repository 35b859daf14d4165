"""The training program: rollouts and updates of all seeds, one compiled call per interval."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rtc.config.sections import ExpertConfig
from rtc.env.wrappers import Task
from rtc.experts.actor_critic import init_actor_critic
from rtc.experts.blocks import over_seeds
from rtc.experts.loss import LossParts
from rtc.experts.rollout import Episodes, Experience, no_episodes, play
from rtc.experts.update import Learner, make_optimiser, update
from rtc.types import Array, Int, PyTree


class TrainState(NamedTuple):
    """All that training goes on from. learner and key: leading axis s (seeds). envs: state of
    the task, s * num_envs environments, seed after seed."""

    learner: Learner
    envs: PyTree
    key: Array


class Interval(NamedTuple):
    """What an interval was like, each [s]. losses: means over its updates. episodes: sums.
    bad_update: index (in the interval) of the first update that was not finite, else -1."""

    losses: LossParts
    episodes: Episodes
    bad_update: Array


def init_training(task: Task, config: ExpertConfig, keys: Array) -> TrainState:
    """Fresh learners and environments. keys: [s], one a seed."""

    def learner(key):
        params = init_actor_critic(
            key, task.observation_size, len(task.action_low), config.hidden_sizes
        )
        return Learner(params, make_optimiser(config).init(params))

    pairs = jax.vmap(jax.random.split)(keys)
    envs = task.reset(len(keys) * config.num_envs)
    return TrainState(jax.vmap(learner)(pairs[:, 0]), envs, pairs[:, 1])


def train_interval(
    task: Task, config: ExpertConfig, state: TrainState, updates: Int[Array, ""]
) -> tuple[TrainState, Interval]:
    """Runs `updates` (traced, so that a shorter last interval needs no program of its own)."""
    seeds = state.key.shape[0]

    def one(index, carry):
        state, total = carry
        state, losses, episodes = _train_update(task, config, state)
        finite = _finite((losses, state.learner.params))
        bad = jnp.where(finite | (total.bad_update >= 0), total.bad_update, index)
        sums = jax.tree.map(jnp.add, (total.losses, total.episodes), (losses, episodes))
        return state, Interval(*sums, bad)

    zeros = LossParts(*(jnp.zeros(seeds) for _ in LossParts._fields))
    start = Interval(zeros, no_episodes(seeds), jnp.full(seeds, -1))
    state, total = jax.lax.fori_loop(0, updates, one, (state, start))
    losses = jax.tree.map(lambda x: x / updates, total.losses)
    return state, total._replace(losses=losses)


def _train_update(
    task: Task, config: ExpertConfig, state: TrainState
) -> tuple[TrainState, LossParts, Episodes]:
    seeds = state.key.shape[0]
    keys = jax.vmap(lambda key: jax.random.split(key, 3))(state.key)
    envs, experience, episodes = play(
        task, state.learner.params, state.envs, keys[:, 1], config.rollout_steps
    )
    last_obs = task.observe(envs)
    learner, losses = over_seeds(lambda *one: update(*one, config))(
        state.learner,
        _split_seeds(experience, seeds),
        last_obs.reshape(seeds, -1, last_obs.shape[-1]),
        keys[:, 2],
    )
    return TrainState(learner, envs, keys[:, 0]), losses, episodes


def _split_seeds(experience: Experience, seeds: int) -> Experience:
    """[t, s * e, ...] -> [s, t, e, ...]"""

    def split(x):
        by_seed = x.reshape(x.shape[0], seeds, -1, *x.shape[2:])
        return jnp.moveaxis(by_seed, 1, 0)

    return jax.tree.map(split, experience)


def _finite(tree: PyTree) -> Array:
    """[s] whether every number of each seed is finite."""
    leaves = jax.tree.leaves(tree)
    flags = [jnp.isfinite(x).reshape(x.shape[0], -1).all(-1) for x in leaves]
    return jnp.stack(flags).all(0)
