"""One update of one seed: advantages, then epochs of minibatches."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rtc.config.sections import ExpertConfig
from rtc.experts.actor_critic import ActorCritic, state_value
from rtc.experts.advantages import generalized_advantages
from rtc.experts.blocks import block_count
from rtc.experts.loss import LossParts, Samples, rpo_loss
from rtc.experts.rollout import Experience
from rtc.types import Array, Float, Int, Key, PyTree


class Learner(NamedTuple):
    """Parameters and the state of their optimiser."""

    params: ActorCritic
    optimiser: PyTree


def make_optimiser(config: ExpertConfig) -> optax.GradientTransformation:
    """Adam behind a clip of the global gradient norm."""
    return optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm), optax.adam(config.learning_rate)
    )


def update(
    learner: Learner,
    experience: Experience,
    last_obs: Float[Array, "e d"],
    key: Key,
    config: ExpertConfig,
) -> tuple[Learner, LossParts]:
    """Learns from one rollout of one seed.

    experience: [t, e, ...]. last_obs: policy input after the last step.
    Returns the new learner and the loss averaged over all minibatches of all epochs.
    """
    samples = _samples(learner.params, experience, last_obs, config)

    def epoch(learner, key):
        return _epoch(learner, samples, key, config)

    learner, parts = jax.lax.scan(epoch, learner, jax.random.split(key, config.epochs))
    return learner, jax.tree.map(jnp.mean, parts)


def _samples(
    params: ActorCritic, experience: Experience, last_obs: Array, config: ExpertConfig
) -> Samples:
    steps, environments, width = experience.obs.shape
    obs = experience.obs.reshape(-1, width)
    value = _values(params, obs).reshape(steps, environments)
    advantage = generalized_advantages(
        experience.reward,
        value,
        experience.done,
        state_value(params.critic, last_obs),
        config.gamma,
        config.gae_lambda,
    )
    return Samples(
        obs,
        experience.u.reshape(len(obs), -1),
        experience.log_prob.reshape(-1),
        value.reshape(-1),
        advantage.reshape(-1),
        (advantage + value).reshape(-1),
    )


def _values(params: ActorCritic, obs: Float[Array, "m d"]) -> Float[Array, " m"]:
    blocks = obs.reshape(block_count(len(obs)), -1, obs.shape[-1])
    return jax.lax.map(lambda block: state_value(params.critic, block), blocks).reshape(-1)


def _epoch(
    learner: Learner, samples: Samples, key: Key, config: ExpertConfig
) -> tuple[Learner, LossParts]:
    shuffle_key, noise_key = jax.random.split(key)
    rows = len(samples.obs)
    # One sort of random numbers; random.permutation sorts twice to rule out ties, which move
    # nothing here and cost a twentieth of an update.
    order = jnp.argsort(jax.random.bits(shuffle_key, (rows,)))
    batches = order.reshape(config.minibatches, -1)
    noise_keys = jax.random.split(noise_key, config.minibatches)

    def minibatch(learner, batch):
        rows, key = batch
        gradient, parts = _gradient(learner.params, samples, rows, key, config)
        changes, optimiser = make_optimiser(config).update(gradient, learner.optimiser)
        return Learner(optax.apply_updates(learner.params, changes), optimiser), parts

    return jax.lax.scan(minibatch, learner, (batches, noise_keys))


def _gradient(
    params: ActorCritic,
    samples: Samples,
    rows: Int[Array, " m"],
    key: Key,
    config: ExpertConfig,
) -> tuple[ActorCritic, LossParts]:
    """Gradient and loss of one minibatch, summed over blocks of its rows.

    The loss is a mean over rows, so the mean over equal blocks is the same number.
    """
    chosen = samples.advantage[rows]
    centre, spread = chosen.mean(), chosen.std() + 1e-8
    shift = jax.random.uniform(
        key, (len(rows), samples.u.shape[-1]), minval=-config.rpo_alpha, maxval=config.rpo_alpha
    )
    blocks = block_count(len(rows))

    def block(total, part):
        rows, shift = part
        some = jax.tree.map(lambda x: x[rows], samples)
        some = some._replace(advantage=(some.advantage - centre) / spread)
        grads, parts = jax.grad(rpo_loss, has_aux=True)(params, some, shift, config)
        return jax.tree.map(jnp.add, total, (grads, parts)), None

    zeros = jax.tree.map(jnp.zeros_like, params), LossParts(*[jnp.zeros(())] * 6)
    cut = rows.reshape(blocks, -1), shift.reshape(blocks, -1, shift.shape[-1])
    total, _ = jax.lax.scan(block, zeros, cut)
    return jax.tree.map(lambda x: x / blocks, total)
