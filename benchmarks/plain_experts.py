"""The plain form of the expert and data stages, as one writes it at first: what ours is
measured against.

Kinetix's stock engine under vmap, all 679 entries of the observation in each of 4 frames, the
environment's states kept in the transitions, critic and log-probability in every step, whole
minibatches; for the data, each environment's own copy of its expert's parameters in each step.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rtc.config.sections import ExpertConfig
from rtc.env.base import Step
from rtc.env.kinetix import KinetixEngine
from rtc.env.kinetix_state import foreign_code
from rtc.env.wrappers import Stack
from rtc.experts.actor_critic import (
    action_distribution,
    action_log_prob,
    init_actor_critic,
    sample_normal,
    squash,
    state_value,
)


class FullEnv:
    """The stock engine with Kinetix's whole observation.

    engine: made outside of any trace. start: the level's state, batch 1; where it is traced, the
    program is that of every level with the same sizes and parameters.
    """

    def __init__(self, engine: KinetixEngine, start: Any) -> None:
        self.engine, self.level, self.start = engine, engine.level, start
        self.observation_size = len(engine.spec.constants)
        static = engine.level.static
        self.action_size = static.num_motor_bindings + static.num_thruster_bindings

    def reset(self, batch_size: int) -> Any:
        return jax.tree.map(lambda leaf: jnp.repeat(leaf, batch_size, 0), self.start)

    def observe(self, state: Any) -> jax.Array:
        with foreign_code():
            return jax.vmap(self.engine.stock.get_obs)(state)

    def step(self, state: Any, action: jax.Array) -> tuple[Any, Step]:
        state, step = self.engine.step(state, action)
        return state, step._replace(obs=self.observe(state))

    def replay(self, state: Any, done: jax.Array) -> Any:
        def choose(now: jax.Array, start: jax.Array) -> jax.Array:
            return jnp.where(done.reshape(-1, *[1] * (now.ndim - 1)), start, now)

        return jax.tree.map(choose, state, self.start)


class Transition(NamedTuple):
    obs: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    done: jax.Array
    state: Any


def init_plain(stack: Stack, config: ExpertConfig, key: jax.Array) -> tuple[Any, ...]:
    """Parameters, optimiser state and environments."""
    params = init_actor_critic(
        key, stack.observation_size, len(stack.action_low), config.hidden_sizes
    )
    return params, _optimiser(config).init(params), stack.reset(config.num_envs)


def plain_update(stack: Stack, config: ExpertConfig, carry: tuple[Any, ...], key: jax.Array) -> Any:
    """One rollout and its epochs of minibatches."""
    params, optimiser, state = carry
    rollout_key, learn_key = jax.random.split(key)
    low = stack.action_low

    def step(state, key):
        act_key, env_key = jax.random.split(key)
        obs = stack.observe(state)
        mean, std = action_distribution(params.actor, params.log_std, obs)
        action = squash(sample_normal(mean, std, low, jax.random.normal(act_key, mean.shape)), low)
        log_prob = action_log_prob(action, mean, std, low)
        value = state_value(params.critic, obs)
        following, outcome = stack.step(state, action, jax.random.normal(env_key, mean.shape))
        transition = Transition(
            obs, action, log_prob, value, outcome.reward, outcome.done, state.state
        )
        return following, transition

    keys = jax.random.split(rollout_key, config.rollout_steps)
    state, rollout = jax.lax.scan(step, state, keys)
    advantage = _advantages(rollout, state_value(params.critic, stack.observe(state)), config)
    data = jax.tree.map(
        lambda x: x.reshape(-1, *x.shape[2:]),
        (rollout._replace(state=None), advantage, advantage + rollout.value),
    )

    def epoch(learner, key):
        order = jax.random.permutation(key, len(data[1]))
        batches = jax.tree.map(
            lambda x: x[order].reshape(config.minibatches, -1, *x.shape[1:]), data
        )

        def minibatch(learner, batch):
            params, optimiser = learner
            grads = jax.grad(_loss)(params, *batch, key, low, config)
            changes, optimiser = _optimiser(config).update(grads, optimiser)
            return (optax.apply_updates(params, changes), optimiser), None

        return jax.lax.scan(minibatch, learner, batches)[0], None

    learner = jax.lax.scan(epoch, (params, optimiser), jax.random.split(learn_key, config.epochs))[
        0
    ]
    # One environment's states are what the kept ones are for.
    return (*learner, state), jax.tree.map(lambda x: x[:, 0], rollout.state)


def plain_play(
    stack: Stack, params: Any, state: Any, expert: jax.Array, keys: jax.Array
) -> tuple[Any, ...]:
    """Data: per step, gathers each environment's own parameters. params: leading axis e."""
    low, experts = stack.action_low, params.log_std.shape[0]

    def step(carry, key):
        state, expert = carry
        keys = jax.random.split(key, 3)
        obs = stack.observe(state)
        own = jax.tree.map(lambda x: x[expert], params)
        mean, std = jax.vmap(
            lambda actor, log_std, one: action_distribution(actor, log_std, one[None])
        )(own.actor, own.log_std, obs)
        noise = jax.random.normal(keys[0], (len(obs), len(low)))
        action = squash(mean[:, 0] + std * noise, low)
        state, outcome = stack.step(state, action, jax.random.normal(keys[1], noise.shape))
        drawn = jax.random.randint(keys[2], expert.shape, 0, experts)
        rows = (stack.current(obs), action, outcome)
        return (state, jnp.where(outcome.done, drawn, expert)), rows

    return jax.lax.scan(step, (state, expert), keys)


def _loss(params, t, advantage, target, key, low, config):
    mean, std = action_distribution(params.actor, params.log_std, t.obs)
    limit = config.rpo_alpha
    mean = mean + jax.random.uniform(key, mean.shape, minval=-limit, maxval=limit)
    ratio = jnp.exp(action_log_prob(t.action, mean, std, low) - t.log_prob)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    clipped = jnp.clip(ratio, 1 - config.clip, 1 + config.clip)
    value = state_value(params.critic, t.obs)
    near = t.value + jnp.clip(value - t.value, -config.clip, config.clip)
    critic = jnp.maximum(jnp.square(value - target), jnp.square(near - target)).mean()
    policy = -jnp.minimum(advantage * ratio, advantage * clipped).mean()
    return policy + config.value_coefficient * 0.5 * critic


def _advantages(t: Transition, last_value: jax.Array, config: ExpertConfig) -> jax.Array:
    def backward(carry, t):
        advantage, following = carry
        going_on = 1 - t.done
        delta = t.reward + config.gamma * following * going_on - t.value
        advantage = delta + config.gamma * config.gae_lambda * going_on * advantage
        return (advantage, t.value), advantage

    start = jnp.zeros_like(last_value), last_value
    return jax.lax.scan(backward, start, t._replace(state=None), reverse=True)[1]


def _optimiser(config: ExpertConfig) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm), optax.adam(config.learning_rate)
    )
