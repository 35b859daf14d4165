"""The loss of RPO: PPO with the action mean shifted by uniform noise (arXiv 2212.07536)."""

from typing import NamedTuple

import jax.numpy as jnp

from rtc.config.sections import ExpertConfig
from rtc.experts.actor_critic import (
    ActorCritic,
    action_distribution,
    normal_entropy,
    normal_log_prob,
    state_value,
)
from rtc.types import Array, Float


class Samples(NamedTuple):
    """Steps to learn from. obs: [m, d] policy input. u: [m, a] action before squashing.
    log_prob: [m] of u when it was drawn. value: [m] the critic's estimate then.
    advantage, target: [m] advantage and return estimates."""

    obs: Array
    u: Array
    log_prob: Array
    value: Array
    advantage: Array
    target: Array


class LossParts(NamedTuple):
    """What progress.csv shows of the loss, averaged over samples."""

    loss: Array
    policy_loss: Array
    value_loss: Array
    entropy: Array
    approx_kl: Array
    clip_fraction: Array


def rpo_loss(
    params: ActorCritic,
    samples: Samples,
    shift: Float[Array, "m a"],
    config: ExpertConfig,
) -> tuple[Float[Array, ""], LossParts]:
    """Clipped policy loss + value_coefficient * clipped value loss - entropy bonus.

    samples: with advantages already normalised. shift: what is added to the mean, uniform in
    +-rpo_alpha; the old log-probabilities are without it. The value loss carries a factor 0.5
    of its own. The entropy is that of the normal before squashing.
    """
    mean, std = action_distribution(params.actor, params.log_std, samples.obs)
    log_ratio = normal_log_prob(samples.u, mean + shift, std) - samples.log_prob
    ratio = jnp.exp(log_ratio)
    clipped = jnp.clip(ratio, 1 - config.clip, 1 + config.clip)
    policy_loss = -jnp.minimum(samples.advantage * ratio, samples.advantage * clipped).mean()

    value = state_value(params.critic, samples.obs)
    near = samples.value + jnp.clip(value - samples.value, -config.clip, config.clip)
    errors = jnp.square(value - samples.target), jnp.square(near - samples.target)
    value_loss = 0.5 * jnp.maximum(*errors).mean()

    entropy = normal_entropy(std)
    loss = (
        policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy
    )
    far = jnp.abs(ratio - 1) > config.clip
    parts = LossParts(
        loss,
        policy_loss,
        value_loss,
        entropy,
        (ratio - 1 - log_ratio).mean(),
        far.mean(dtype=ratio.dtype),
    )
    return loss, parts
