"""Actor and critic of the experts: two tanh networks and a squashed normal distribution.

The policy draws u ~ N(mean, std) and plays squash(u): tanh where the action lies in [-1, 1]
(motors), sigmoid where it lies in [0, 1] (thrusters). As in the reference the mean is clipped to
+-5, the log-std (one per action, independent of the observation) to [-10, 2], and an action to
+-0.99999 before its probability is taken. Here the clip is applied to u, at the places where
squash(u) reaches those values, so u stays at hand and no inverse loses digits near the ends.

The density of an action is N(u; mean, std) / |squash'(u)|. The divisor does not depend on the
parameters, so ratios of densities, which are all that PPO needs, are ratios of normals.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rtc.types import Array, Float, Key

MEAN_LIMIT = 5.0
LOG_STD_RANGE = (-10.0, 2.0)
ACTION_LIMIT = 0.99999
_LOG_2PI = math.log(2 * math.pi)


class Dense(NamedTuple):
    """One affine layer. kernel: [i, o]. bias: [o]."""

    kernel: Array
    bias: Array


class ActorCritic(NamedTuple):
    """Parameters of one expert. actor, critic: layers. log_std: [a]."""

    actor: tuple[Dense, ...]
    critic: tuple[Dense, ...]
    log_std: Array


def init_actor_critic(
    key: Key,
    observation_size: int,
    action_size: int,
    hidden_sizes: Sequence[int],
    initial_std: float = 1.0,
) -> ActorCritic:
    """Orthogonal kernels (gain sqrt 2; 0.01 for the mean, 1 for the value), zero biases.

    initial_std: of every action before squashing.
    """
    actor_key, critic_key = jax.random.split(key)
    sizes = (observation_size, *hidden_sizes)
    return ActorCritic(
        _init_network(actor_key, (*sizes, action_size), 0.01),
        _init_network(critic_key, (*sizes, 1), 1.0),
        jnp.full(action_size, math.log(initial_std), jnp.float32),
    )


def action_distribution(
    actor: tuple[Dense, ...], log_std: Float[Array, " a"], obs: Float[Array, "b d"]
) -> tuple[Float[Array, "b a"], Float[Array, " a"]]:
    """Mean [b, a] and std [a] of u for each observation."""
    mean = jnp.clip(_network(actor, obs), -MEAN_LIMIT, MEAN_LIMIT)
    return mean, jnp.exp(jnp.clip(log_std, *LOG_STD_RANGE))


def state_value(critic: tuple[Dense, ...], obs: Float[Array, "b d"]) -> Float[Array, " b"]:
    """The critic's estimate of the discounted return from each observation."""
    return _network(critic, obs)[:, 0]


def sample_normal(
    mean: Float[Array, "b a"],
    std: Float[Array, " a"],
    low: np.ndarray,
    noise: Float[Array, "b a"],
) -> Float[Array, "b a"]:
    """u = mean + std * noise, clipped where the action would pass +-0.99999.

    low: [a] lowest action, -1 (tanh) or 0 (sigmoid). noise: [b, a] standard normal.
    """
    motor = low < 0
    # sigmoid(u) > 0 > -0.99999, so thrusters are clipped from above only, as in the reference.
    lowest = np.where(motor, -np.arctanh(ACTION_LIMIT), -np.inf).astype(np.float32)
    logit = math.log(ACTION_LIMIT / (1 - ACTION_LIMIT))
    highest = np.where(motor, np.arctanh(ACTION_LIMIT), logit).astype(np.float32)
    return jnp.clip(mean + std[None] * noise, lowest[None], highest[None])


def squash(u: Float[Array, "*b a"], low: np.ndarray) -> Float[Array, "*b a"]:
    """The action of u: tanh where `low` is -1, sigmoid where it is 0."""
    # sigmoid(u) = (1 + tanh(u / 2)) / 2, so one tanh serves both.
    scale = np.where(low < 0, 1.0, 0.5).astype(np.float32)
    offset = np.where(low < 0, 0.0, 0.5).astype(np.float32)
    scale, offset = (x.reshape((1,) * (u.ndim - 1) + (-1,)) for x in (scale, offset))
    return offset + scale * jnp.tanh(u * scale)


def unsquash(action: Float[Array, "*b a"], low: np.ndarray) -> Float[Array, "*b a"]:
    """u of an action, the inverse of `squash`; actions are clipped to +-0.99999 first."""
    y = jnp.clip(action, -ACTION_LIMIT, ACTION_LIMIT)
    motor = (low < 0).reshape((1,) * (action.ndim - 1) + (-1,))
    # Each branch gets an argument inside its own range, so that neither makes NaN.
    tanh_side = jnp.where(motor, y, 0.0)
    sigmoid_side = jnp.where(motor, 0.5, jnp.maximum(y, 1e-30))
    return jnp.where(
        motor,
        0.5 * (jnp.log1p(tanh_side) - jnp.log1p(-tanh_side)),
        jnp.log(sigmoid_side) - jnp.log1p(-sigmoid_side),
    )


def normal_log_prob(
    u: Float[Array, "b a"], mean: Float[Array, "b a"], std: Float[Array, " a"]
) -> Float[Array, " b"]:
    """log N(u; mean, std), summed over the action dimensions."""
    z = (u - mean) / std[None]
    constant = jnp.log(std).sum() + 0.5 * _LOG_2PI * std.shape[0]
    return -0.5 * jnp.square(z).sum(-1) - constant


def squash_log_slope(u: Float[Array, "b a"], low: np.ndarray) -> Float[Array, " b"]:
    """log |d squash(u) / du|, summed over the action dimensions; finite for every finite u."""
    # tanh' = 4 sigmoid(2u) sigmoid(-2u) and sigmoid' = sigmoid(u) sigmoid(-u).
    motor = (low < 0)[None]
    x = jnp.where(motor, 2 * u, u)
    slope = jax.nn.log_sigmoid(x) + jax.nn.log_sigmoid(-x)
    return (slope + np.where(motor, math.log(4.0), 0.0).astype(np.float32)).sum(-1)


def action_log_prob(
    action: Float[Array, "b a"],
    mean: Float[Array, "b a"],
    std: Float[Array, " a"],
    low: np.ndarray,
) -> Float[Array, " b"]:
    """Log-density of actions under the squashed normal."""
    u = unsquash(action, low)
    return normal_log_prob(u, mean, std) - squash_log_slope(u, low)


def normal_entropy(std: Float[Array, " a"]) -> Float[Array, ""]:
    """Entropy of N(., std) in nats; that of the squashed normal has no closed form."""
    return jnp.log(std).sum() + 0.5 * (1 + _LOG_2PI) * std.shape[0]


def actor_critic_from_tree(tree: Mapping[str, Any]) -> ActorCritic:
    """Parameters from the nested dict of a checkpoint. Raises KeyError on a missing part; the
    critic, which only training asks, may be left out."""

    def layers(part: Mapping[str, Any]) -> tuple[Dense, ...]:
        return tuple(Dense(part[str(i)]["kernel"], part[str(i)]["bias"]) for i in range(len(part)))

    return ActorCritic(layers(tree["actor"]), layers(tree.get("critic", {})), tree["log_std"])


def _init_network(key: Key, sizes: Sequence[int], last_gain: float) -> tuple[Dense, ...]:
    keys = jax.random.split(key, len(sizes) - 1)
    gains = [math.sqrt(2.0)] * (len(sizes) - 2) + [last_gain]
    return tuple(
        Dense(jax.nn.initializers.orthogonal(gain)(k, (i, o)), jnp.zeros(o))
        for k, gain, i, o in zip(keys, gains, sizes[:-1], sizes[1:])
    )


def _network(layers: tuple[Dense, ...], x: Float[Array, "b i"]) -> Float[Array, "b o"]:
    for index, layer in enumerate(layers):
        x = x @ layer.kernel + layer.bias[None]
        if index < len(layers) - 1:
            x = jnp.tanh(x)
    return x
