"""One gradient step and the compiled loop over many of them.

Rows of the data set lie on the device; the loop gathers its minibatches from there. Leading axes:
s seeds trained side by side, m minibatches, b windows of a minibatch.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from rtc.config.sections import PolicyConfig
from rtc.flow import FlowPolicy, ModelConfig
from rtc.training.objectives import DeviceRows, Objective, make_objective
from rtc.training.objectives.interface import Drawn
from rtc.types import Array, Bool, Key, PyTree

# Windows of which a layer's activations fit a CPU's cache (512 kB at the paper's size).
PART_SIZE = 64


class Learner(NamedTuple):
    """Parameters and optimizer state; every leaf begins with axis s."""

    params: PyTree
    opt_state: PyTree


class Progress(NamedTuple):
    """Sums over minibatches, each [s]. bad: number of the first minibatch whose loss or gradient
    was not finite, -1 if there was none."""

    loss: Array
    grad_norm: Array
    bad: Array


def model_config(config: PolicyConfig) -> ModelConfig:
    """The network's part of a policy's configuration."""
    return ModelConfig(
        channel_dim=config.channel_dim,
        channel_hidden_dim=config.channel_hidden_dim,
        token_hidden_dim=config.token_hidden_dim,
        num_layers=config.num_layers,
        action_chunk_size=config.action_chunk_size,
        precision=config.precision,
    )


def make_optimizer(config: PolicyConfig) -> optax.GradientTransformation:
    """Global-norm clip, then AdamW with linear warm-up from 0 to a constant rate.

    It sees all parameters as one vector: a few large kernels in place of hundreds of small ones.
    """
    rate: Any = config.learning_rate
    if config.warmup_steps:
        rate = optax.warmup_constant_schedule(0.0, config.learning_rate, config.warmup_steps)
    return optax.flatten(
        optax.chain(
            optax.clip_by_global_norm(config.max_grad_norm),
            optax.adamw(rate, weight_decay=config.weight_decay),
        )
    )


def describe(obs_dim: int, action_dim: int, config: PolicyConfig) -> tuple[Any, PyTree]:
    """The network's structure, and shapes of its parameters as nested dicts by name."""
    policy = nnx.eval_shape(lambda: _create(obs_dim, action_dim, config, jax.random.key(0)))
    graph, state = nnx.split(policy, nnx.Param)
    return graph, nnx.to_pure_dict(state)


def init_params(obs_dim: int, action_dim: int, config: PolicyConfig, keys: Array) -> PyTree:
    """First parameters of each seed, stacked. keys: [s]."""

    @jax.jit
    def init(key: Key) -> PyTree:
        _, state = nnx.split(_create(obs_dim, action_dim, config, key), nnx.Param)
        return nnx.to_pure_dict(state)

    # Seed by seed, so that a seed begins the same in every grouping.
    return stack([init(key) for key in keys])


def stack(trees: Sequence[PyTree]) -> PyTree:
    """One tree of several, with a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _create(obs_dim: int, action_dim: int, config: PolicyConfig, key: Key) -> FlowPolicy:
    return FlowPolicy(
        obs_dim=obs_dim, action_dim=action_dim, config=model_config(config), rngs=nnx.Rngs(key)
    )


def loss_and_gradient(
    objective: Objective,
    graph: Any,
    params: PyTree,
    obs: Array,
    action: Array,
    drawn: Drawn,
    parts: int,
) -> tuple[Array, PyTree]:
    """The loss of a minibatch and its gradient, added up over `parts` equal parts of it.

    On a CPU the activations of a small part stay in the cache.
    """

    def loss_of(params: PyTree, obs: Array, action: Array, drawn: Drawn) -> Array:
        return objective.loss(nnx.merge(graph, params), obs, action, drawn)

    if parts == 1:
        return jax.value_and_grad(loss_of)(params, obs, action, drawn)

    def add(total: PyTree, part: Any) -> tuple[PyTree, None]:
        # Each part's loss is a mean over what counts of it; parts differ in that.
        count = objective.count(*part[1:])
        result = jax.value_and_grad(loss_of)(params, *part)
        return jax.tree.map(lambda t, r: t + count * r, total, (*result, 1.0)), None

    split = jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), (obs, action, drawn))
    nothing = jax.tree.map(jnp.zeros_like, (0.0, params, 0.0))
    (loss, grads, count), _ = jax.lax.scan(add, nothing, split)
    return loss / count, jax.tree.map(lambda g: g / count, grads)


def make_update(
    graph: Any, config: PolicyConfig, own: Bool[np.ndarray, "o"] | None
) -> Callable[..., Any]:
    """`update(learner of one seed, rows, starts [b], key) -> (learner, loss, grad_norm)`.

    own: entries of the observation that belong to the agent's own bodies, None if not known.
    """
    optimizer, objective = make_optimizer(config), make_objective(config.objective)
    parts = count_parts(config.batch_size) if jax.default_backend() == "cpu" else 1

    def update(
        learner: Learner, rows: DeviceRows, starts: Array, key: Key
    ) -> tuple[Learner, Array, Array]:
        size = config.action_chunk_size
        drawn = objective.draw(key, (starts.shape[0], size, rows.action.shape[1]))
        obs, action = objective.windows(rows, starts, size, drawn, own)
        loss, grads = loss_and_gradient(objective, graph, learner.params, obs, action, drawn, parts)
        changes, opt_state = optimizer.update(grads, learner.opt_state, learner.params)
        params = optax.apply_updates(learner.params, changes)
        return Learner(params, opt_state), loss, optax.tree.norm(grads)

    return update


def count_parts(batch_size: int) -> int:
    """Parts of a minibatch on a CPU: the fewest of at most `PART_SIZE` windows that divide it."""
    least = -(-batch_size // PART_SIZE)
    return next(parts for parts in range(least, batch_size + 1) if batch_size % parts == 0)


def over_seeds(update: Callable[..., Any], seeds: int) -> Callable[..., Any]:
    """`update` for all seeds: side by side, on a CPU one after another."""
    if seeds > 1 and jax.default_backend() != "cpu":
        return jax.vmap(update, in_axes=(0, None, 0, 0))

    def in_turn(learner: Learner, rows: DeviceRows, starts: Array, keys: Array) -> Any:
        if seeds == 1:
            own = jax.tree.map(lambda leaf: leaf[0], (learner, starts, keys))
            result = update(own[0], rows, own[1], own[2])
            return jax.tree.map(lambda leaf: leaf[None], result)
        return jax.lax.map(
            lambda own: update(own[0], rows, own[1], own[2]), (learner, starts, keys)
        )

    return in_turn


def make_train(
    graph: Any, config: PolicyConfig, seeds: int, own: Bool[np.ndarray, "o"] | None = None
) -> Callable[..., Any]:
    """The compiled loop: `train(learner, rows, starts [s, m, b], keys [s], first, last)`.

    Runs minibatches first .. last - 1 and returns `(learner, Progress)`. The learner's memory is
    given over to the result. first and last are traced: an empty range compiles and does nothing.
    own: see `make_update`.
    """
    update = over_seeds(make_update(graph, config, own), seeds)

    @functools.partial(jax.jit, donate_argnums=0)
    def train(
        learner: Learner,
        rows: DeviceRows,
        starts: Array,
        keys: Array,
        first: Array,
        last: Array,
    ) -> tuple[Learner, Progress]:
        def step(index: Array, carry: tuple[Learner, Progress]) -> tuple[Learner, Progress]:
            learner, progress = carry
            step_keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, index)
            learner, loss, norm = update(learner, rows, starts[:, index], step_keys)
            wrong = (progress.bad < 0) & ~jnp.isfinite(loss + norm)
            return learner, Progress(
                progress.loss + loss,
                progress.grad_norm + norm,
                jnp.where(wrong, index, progress.bad),
            )

        zeros = jnp.zeros(seeds)
        nothing = Progress(zeros, zeros, jnp.full(seeds, -1, jnp.int32))
        return jax.lax.fori_loop(first, last, step, (learner, nothing))

    return train
