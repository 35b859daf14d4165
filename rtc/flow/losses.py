"""Flow matching losses: the plain one, and that of training-time RTC."""

import jax
import jax.numpy as jnp

from rtc.errors import check_whole
from rtc.flow.network import VelocityNetwork, fits_policy
from rtc.types import Array, Float, Int, Key, checked


def delay_probabilities(simulated_delay: int) -> Float[Array, "d"]:
    """p(delay) for 0 .. simulated_delay - 1, proportional to exp(simulated_delay - 1 - delay).

    Source: training-time RTC, arXiv 2512.05964.
    """
    check_whole("simulated_delay", simulated_delay, 1)
    return jax.nn.softmax(-jnp.arange(simulated_delay, dtype=jnp.float32))


@checked()
def draw_delay(rng: Key, simulated_delay: int, batch_size: int) -> Int[Array, "b"]:
    """One delay for each sample, from `delay_probabilities`."""
    logits = jnp.log(delay_probabilities(simulated_delay))
    return jax.random.categorical(rng, logits, shape=(batch_size,)).astype(jnp.int32)


@fits_policy
def flow_matching_loss(
    policy: VelocityNetwork,
    obs: Float[Array, "b o"],
    action: Float[Array, "b h a"],
    noise: Float[Array, "b h a"],
    time: Float[Array, "b"],
) -> Float[Array, ""]:
    """Mean squared error of the velocity at (1 - t) noise + t action against action - noise."""
    t = time[:, None, None]
    predicted = policy.velocity(obs, (1 - t) * noise + t * action, time)
    return jnp.mean(jnp.square(predicted - (action - noise)))


@fits_policy
def delayed_flow_matching_loss(
    policy: VelocityNetwork,
    obs: Float[Array, "b o"],
    action: Float[Array, "b h a"],
    noise: Float[Array, "b h a"],
    time: Float[Array, "b"],
    delay: Int[Array, "b"],
) -> Float[Array, ""]:
    """The loss of training-time RTC: the first `delay` actions are given, clean, at time 1.

    They do not count; the mean is over all entries of the batch that do.
    Source: arXiv 2512.05964.
    """
    given = (jnp.arange(policy.action_chunk_size)[None] < delay[:, None])[:, :, None]
    # A sample's tokens know two times, its own and 1: the network's modulations are computed for
    # each of these once, then chosen for each token.
    flowing, clean = policy.modulations(time[:, None]), policy.modulations(jnp.ones((1, 1)))
    modulations = jax.tree.map(lambda x, at_one: jnp.where(given, at_one, x), flowing, clean)
    t = jnp.where(given, 1.0, time[:, None, None])
    x_t = (1 - t) * noise + t * action
    predicted = policy.velocity_from(policy.project_observation(obs), x_t, modulations)
    squared = jnp.square(predicted - (action - noise))
    counts = jnp.broadcast_to(~given, squared.shape)
    return jnp.sum(squared, where=counts) / jnp.sum(counts)
