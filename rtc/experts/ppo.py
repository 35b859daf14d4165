"""RPO: PPO whose action mean is shifted by uniform noise while it learns (arXiv 2212.07536).

Reads from the top: an interval of training is a number of updates; an update plays every seed's
environments (`play`), then each seed learns from what it saw (`learn`: advantages, epochs of
minibatches, loss). The networks are in `actor_critic.py`; what the device asks for comes last.

All seeds' environments are one batch, seed after seed; parameters carry a leading seed axis.
Axes: s seeds, e environments of a seed, b = s * e, t steps, m rows to learn from (all t * e
steps of a seed, or a minibatch of them), d policy input, a actions.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rtc.config.sections import ExpertConfig
from rtc.env.roll import roll
from rtc.env.wrappers import Outcome, Task
from rtc.experts.actor_critic import (
    ActorCritic,
    action_distribution,
    init_actor_critic,
    normal_entropy,
    normal_log_prob,
    sample_normal,
    squash,
    state_value,
)
from rtc.experts.starts import STARTS, Bank, Curriculum, deal_starts, move_back
from rtc.types import Array, Bool, Float, Int, Key, PyTree


class Learner(NamedTuple):
    """Parameters and the state of their optimiser."""

    params: ActorCritic
    optimiser: PyTree


class TrainState(NamedTuple):
    """All that training goes on from. learner and key: leading axis s. envs: state of the task,
    b environments. curriculum: where episodes begin, None for the level's start."""

    learner: Learner
    envs: PyTree
    key: Array
    curriculum: Curriculum | None


class Experience(NamedTuple):
    """What learning needs of a rollout; no environment states. obs: [t, b, d] policy input.
    u: [t, b, a] action before squashing. log_prob: [t, b] of u. reward, done: [t, b]."""

    obs: Array
    u: Array
    log_prob: Array
    reward: Array
    done: Array


class Samples(NamedTuple):
    """Steps to learn from. obs: [m, d]. u: [m, a]. log_prob: [m] of u when it was drawn.
    value: [m] the critic's estimate then. advantage, target: [m] advantage and return."""

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


class Episodes(NamedTuple):
    """Sums over the episodes that ended, each [s], or [b] while they are played: number, returns,
    lengths, solved of those that began at the level's start; begun, finished: number and solved
    of those that began along a solution (`starts.py`)."""

    count: Array
    returns: Array
    lengths: Array
    solved: Array
    begun: Array
    finished: Array


class Interval(NamedTuple):
    """What an interval was like, each [s]. losses: means over its updates. episodes: sums.
    bad_update: index (in the interval) of the first update that was not finite, else -1."""

    losses: LossParts
    episodes: Episodes
    bad_update: Array


def init_training(
    task: Task, config: ExpertConfig, keys: Array, curriculum: Curriculum | None = None
) -> TrainState:
    """Fresh learners and environments. keys: [s], one a seed."""

    def learner(key):
        sizes = task.observation_size, len(task.action_low), config.hidden_sizes
        params = init_actor_critic(key, *sizes, config.initial_std)
        return Learner(params, _optimiser(config).init(params))

    pairs = jax.vmap(jax.random.split)(keys)
    envs = task.reset(len(keys) * config.num_envs)
    return TrainState(jax.vmap(learner)(pairs[:, 0]), envs, pairs[:, 1], curriculum)


def train_interval(
    task: Task,
    config: ExpertConfig,
    state: TrainState,
    updates: Int[Array, ""],
    bank: Bank | None = None,
) -> tuple[TrainState, Interval]:
    """Runs `updates` (traced, so that a shorter last interval needs no program of its own).

    bank: states along solutions that episodes may begin at; `task` is then a `StartsStack`.
    """
    seeds = state.key.shape[0]

    def one(index, carry):
        state, total = carry
        state, losses, episodes = train_update(task, config, state, bank)
        finite = _finite((losses, state.learner.params))
        bad = jnp.where(finite | (total.bad_update >= 0), total.bad_update, index)
        sums = jax.tree.map(jnp.add, (total.losses, total.episodes), (losses, episodes))
        return state, Interval(*sums, bad)

    start = Interval(_zeros(LossParts, seeds), _zeros(Episodes, seeds), jnp.full(seeds, -1))
    state, total = jax.lax.fori_loop(0, updates, one, (state, start))
    return state, total._replace(losses=jax.tree.map(lambda x: x / updates, total.losses))


def train_update(
    task: Task, config: ExpertConfig, state: TrainState, bank: Bank | None = None
) -> tuple[TrainState, LossParts, Episodes]:
    """Plays a rollout in all environments; each seed learns from its own part of it."""
    seeds = state.key.shape[0]
    keys = jax.vmap(lambda key: jax.random.split(key, 3))(state.key)
    envs, curriculum = state.envs, state.curriculum
    if bank is not None:
        deal_keys = jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys[:, 1])
        envs = deal_starts(task, STARTS, bank, curriculum, envs, deal_keys)
    envs, experience, episodes = play(
        task, state.learner.params, envs, keys[:, 1], config.rollout_steps
    )
    by_seed = jax.tree.map(
        lambda x: jnp.moveaxis(x.reshape(x.shape[0], seeds, -1, *x.shape[2:]), 1, 0), experience
    )
    last_obs = task.observe(envs)
    last_obs = last_obs.reshape(seeds, -1, last_obs.shape[-1])
    learner, losses = over_seeds(partial(learn, config=config))(
        state.learner, by_seed, last_obs, keys[:, 2]
    )
    if bank is not None:
        curriculum = move_back(STARTS, curriculum, episodes.begun, episodes.finished)
    return TrainState(learner, envs, keys[:, 0], curriculum), losses, episodes


def play(
    task: Task, params: ActorCritic, envs: PyTree, keys: Array, steps: int
) -> tuple[PyTree, Experience, Episodes]:
    """Plays `steps` steps from `envs`.

    params: with a leading axis s. keys: [s], one a seed: what a seed draws does not depend on
    the seeds beside it. Returns the environments after, the experience and the ended episodes.
    """
    seeds, actions = params.log_std.shape
    batch = len(task.observe(envs))

    def draw(keys):
        # Standard normal noise: for exploration, and for the environment.
        shape = (2, batch // seeds, actions)
        return jax.vmap(lambda key: jax.random.normal(key, shape), out_axes=1)(keys)

    def judge(state, noise):
        obs = task.observe(state[0]).reshape(seeds, batch // seeds, -1)
        u, log_prob = over_seeds(partial(_act, low=task.action_low))(params, obs, noise[0])
        return u.reshape(batch, -1), log_prob.reshape(-1), noise[1].reshape(batch, -1)

    step_keys = jax.vmap(lambda key: jax.random.split(key, steps), out_axes=1)(keys)
    none = jax.tree.map(lambda x: jnp.broadcast_to(x, batch), _zeros(Episodes))
    turn = partial(_turn, task)
    (envs, ended), experience = roll(task, draw, judge, turn, (envs, none), step_keys)
    sums = jax.tree.map(lambda x: x.reshape(seeds, -1).sum(-1), ended)
    return envs, experience, sums


def _act(
    params: ActorCritic, obs: Float[Array, "e d"], noise: Float[Array, "e a"], low: np.ndarray
) -> tuple[Float[Array, "e a"], Float[Array, " e"]]:
    mean, std = action_distribution(params.actor, params.log_std, obs)
    u = sample_normal(mean, std, low, noise)
    return u, normal_log_prob(u, mean, std)


def _turn(
    task: Task, state: tuple, u: Array, log_prob: Array, noise: Array
) -> tuple[tuple[PyTree, Episodes], Experience]:
    """What comes of the actions of a step. state: (envs, `Episodes` [b]). noise: [b, a]."""
    envs, ended = state
    obs = task.observe(envs)
    # An environment whose episode ended begins its next one inside the task's step.
    envs, outcome = task.step(envs, squash(u, task.action_low), noise)
    experience = Experience(obs, u, log_prob, outcome.reward, outcome.done)
    return (envs, _count(ended, outcome)), experience


def _count(episodes: Episodes, outcome: Outcome) -> Episodes:
    """Adds the episodes that ended with this step, each [b]."""
    whole, part = outcome.done & outcome.whole, outcome.done & ~outcome.whole
    ended = Episodes(
        whole,
        jnp.where(whole, outcome.episode_return, 0),
        jnp.where(whole, outcome.episode_length, 0),
        whole & outcome.solved,
        part,
        part & outcome.solved,
    )
    return jax.tree.map(lambda total, new: total + new.astype(jnp.float32), episodes, ended)


def learn(
    learner: Learner, experience: Experience, last_obs: Array, key: Key, config: ExpertConfig
) -> tuple[Learner, LossParts]:
    """Learns from one rollout of one seed.

    experience: [t, e, ...]. last_obs: [e, d] policy input after the last step.
    Returns the new learner and the loss averaged over all minibatches of all epochs.
    """
    samples = _samples(learner.params, experience, last_obs, config)
    epoch = partial(_epoch, samples=samples, config=config)
    learner, parts = jax.lax.scan(epoch, learner, jax.random.split(key, config.epochs))
    return learner, jax.tree.map(jnp.mean, parts)


def _samples(
    params: ActorCritic, experience: Experience, last_obs: Array, config: ExpertConfig
) -> Samples:
    """The steps of a rollout as rows, with their values, advantages and returns."""
    obs = experience.obs.reshape(-1, experience.obs.shape[-1])
    value = _values(params, obs).reshape(experience.reward.shape)
    last_value = state_value(params.critic, last_obs)
    advantage = generalized_advantages(
        experience.reward, value, experience.done, last_value, config.gamma, config.gae_lambda
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
    return jax.lax.map(partial(state_value, params.critic), blocks).reshape(-1)


def generalized_advantages(
    reward: Float[Array, "t b"],
    value: Float[Array, "t b"],
    done: Bool[Array, "t b"],
    last_value: Float[Array, " b"],
    gamma: float,
    gae_lambda: float,
) -> Float[Array, "t b"]:
    """A_t = delta_t + gamma lambda A_{t+1}, delta_t = r_t + gamma V_{t+1} - V_t (arXiv 1506.02438).

    done: the episode ended with step t; nothing is taken over from after it. The 256-step
    limit counts as an end like any other (no bootstrapping), as in the reference.
    last_value: value of the state after the last step.
    """
    going_on = 1.0 - done.astype(value.dtype)
    following = jnp.concatenate([value[1:], last_value[None]])
    delta = reward + gamma * following * going_on - value

    def backward(advantage, step):
        delta, going_on = step
        advantage = delta + gamma * gae_lambda * going_on * advantage
        return advantage, advantage

    start = jnp.zeros_like(last_value)
    # Several steps a launch; on a CPU nothing is launched.
    together = 1 if on_cpu() else GPU_STEPS
    steps = (delta, going_on)
    return jax.lax.scan(backward, start, steps, reverse=True, unroll=together)[1]


def _epoch(
    learner: Learner, key: Key, samples: Samples, config: ExpertConfig
) -> tuple[Learner, LossParts]:
    """A step of the optimiser for each minibatch of all samples, in random order."""
    shuffle_key, shift_key = jax.random.split(key)
    # One sort of random numbers; random.permutation sorts twice to rule out ties, which move
    # nothing here and cost a twentieth of an update.
    order = jnp.argsort(jax.random.bits(shuffle_key, (len(samples.obs),)))
    batches = order.reshape(config.minibatches, -1)

    def minibatch(learner, batch):
        gradient, parts = _gradient(learner.params, samples, *batch, config)
        changes, optimiser = _optimiser(config).update(gradient, learner.optimiser)
        learner = Learner(optax.apply_updates(learner.params, changes), optimiser)
        return learner, jnp.stack(parts)  # written in one launch

    shift_keys = jax.random.split(shift_key, config.minibatches)
    learner, parts = jax.lax.scan(minibatch, learner, (batches, shift_keys))
    return learner, LossParts(*parts.T)


def _optimiser(config: ExpertConfig) -> optax.GradientTransformation:
    """Adam behind a clip of the global gradient norm."""
    clip = optax.clip_by_global_norm(config.max_grad_norm)
    # As one vector two launches sum the squares, where each array would take one or two.
    clip = clip if on_cpu() else optax.flatten(clip)
    return optax.chain(clip, optax.adam(config.learning_rate))


def _gradient(
    params: ActorCritic, samples: Samples, rows: Int[Array, " m"], key: Key, config: ExpertConfig
) -> tuple[ActorCritic, LossParts]:
    """Gradient and loss of the minibatch of `rows`, summed over blocks of them.

    The loss is a mean over rows, so the mean over equal blocks is the same number.
    """
    chosen = samples.advantage[rows]
    centre, spread = chosen.mean(), chosen.std() + 1e-8
    shift = jax.random.uniform(
        key, (len(rows), samples.u.shape[-1]), minval=-config.rpo_alpha, maxval=config.rpo_alpha
    )

    def block(total, part):
        rows, shift = part
        some = jax.tree.map(lambda x: x[rows], samples)
        some = some._replace(advantage=(some.advantage - centre) / spread)
        found = jax.grad(rpo_loss, has_aux=True)(params, some, shift, config)
        return jax.tree.map(jnp.add, total, found), None

    blocks = block_count(len(rows))
    start = jax.tree.map(jnp.zeros_like, params), _zeros(LossParts)
    cut = rows.reshape(blocks, -1), shift.reshape(blocks, -1, shift.shape[-1])
    total, _ = jax.lax.scan(block, start, cut)
    return jax.tree.map(lambda x: x / blocks, total)


def rpo_loss(
    params: ActorCritic, samples: Samples, shift: Float[Array, "m a"], config: ExpertConfig
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
    approx_kl, clip_fraction = (ratio - 1 - log_ratio).mean(), far.mean(dtype=ratio.dtype)
    return loss, LossParts(loss, policy_loss, value_loss, entropy, approx_kl, clip_fraction)


def _zeros(kind: Callable[..., Any], *shape: int) -> Any:
    """A record with zeros in every field."""
    return kind(*(jnp.zeros(shape) for _ in kind._fields))


def _finite(tree: PyTree) -> Bool[Array, " s"]:
    """Whether every number of each seed is finite."""
    leaves = jax.tree.leaves(tree)
    flags = [jnp.isfinite(x).reshape(x.shape[0], -1).all(-1) for x in leaves]
    return jnp.stack(flags).all(0)


# How work is cut: one seed and a few rows at a time on a CPU, all at once on an accelerator.
# A CPU core multiplies 1,024 rows by a 256-wide layer inside its cache; whole minibatches of
# 8,192 rows went through memory instead and took 1.7 times as long. XLA's batched products are
# slow there too, so seeds are mapped one after another.
CPU_ROWS = 1024
GPU_STEPS = 16


def on_cpu() -> bool:
    """Whether programs traced now run on the CPU."""
    return jax.default_backend() == "cpu"


def over_seeds(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` mapped over the leading (seed) axis of all its arguments."""
    if on_cpu():
        return lambda *arguments: jax.lax.map(lambda seed: function(*seed), arguments)
    return jax.vmap(function)


def block_count(rows: int) -> int:
    """The least number of equal blocks of at most `CPU_ROWS` rows; 1 on an accelerator."""
    if not on_cpu():
        return 1
    return next(n for n in range(-(-rows // CPU_ROWS), rows + 1) if rows % n == 0)
