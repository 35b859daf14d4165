"""What a head learns from: moments of the frozen policy's own rollouts, or of the data set.

In rollouts chunks follow one another as in an evaluation of `naive`. Before each, a delay d is
drawn from 0 .. H/2 (no more than the chunk in execution still has actions), then a horizon from
max(d, 1) .. H - d; both are the same for all environments. What an environment does after its
episode is not recorded; with the next chunk the level begins again.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from rtc.errors import ArtifactError
from rtc.experts.expert import Expert, load_expert
from rtc.flow import FlowPolicy, sample
from rtc.flow.heads import HeadRows
from rtc.types import Array, Key, PyTree


class Player(NamedTuple):
    """What plays and what judges. full_observation: the policy takes all of Kinetix's entries.
    history: observations kept, as many as the head or the expert wants. action_noise: standard
    deviation of the noise on executed actions."""

    env: Any
    policy: FlowPolicy
    expert: Expert
    full_observation: bool
    history: int
    action_noise: float
    flow_steps: int

    def chunk(self, obs: Array, key: Key) -> Array:
        """The policy's chunks [b, h, a] for observations [b, o]."""
        noise = jax.random.normal(key, (len(obs), *self.chunk_shape))
        obs = self.env.expand(obs) if self.full_observation else obs
        return sample(self.policy, obs, noise, self.flow_steps)

    @property
    def chunk_shape(self) -> tuple[int, int]:
        return self.policy.action_chunk_size, self.policy.action_dim


class Playing(NamedTuple):
    """envs: state of the environments. seen: [b, k, o] newest observations, now last. last: [b, a]
    action of one step ago. previous: [b, h, a] chunk in execution, aligned to now. since: [b]
    steps since it was made. alive: [b] the episode goes on."""

    envs: PyTree
    seen: Array
    last: Array
    previous: Array
    since: Array
    alive: Array


def rollout_rows(player: Player, num_envs: int, transitions: int, key: Key) -> HeadRows:
    """`transitions` moments in which the policy's action is about to be executed, on the host.

    The label is the mode of the expert's distribution.
    """
    rounds = _rounds(player, num_envs, key)
    parts, found = [], 0
    with tqdm(total=transitions, unit="step", disable=not sys.stderr.isatty()) as bar:
        while found < transitions:
            rows, alive = jax.device_get(next(rounds))
            parts.append(jax.tree.map(lambda array, alive=alive: array[alive], rows))
            bar.update(alive.sum())
            found += alive.sum()
    return jax.tree.map(lambda *arrays: np.concatenate(arrays)[:transitions], *parts)


def _rounds(player: Player, num_envs: int, key: Key) -> Iterator[tuple[HeadRows, Array]]:
    """The rows of one chunk after another, [h, b, ...], and which of them count, [h, b]."""
    start_key, key = jax.random.split(key)
    # The network goes in as an argument: constants of its size would slow the compilation.
    graph, parameters = nnx.split(player.policy.prepare(player.flow_steps))

    def playing(parameters: PyTree) -> Player:
        return player._replace(policy=nnx.merge(graph, parameters))

    @jax.jit
    def begin(parameters: PyTree) -> Playing:
        envs = player.env.reset(num_envs)
        obs = player.env.observe(envs)
        previous = playing(parameters).chunk(obs, start_key)
        return Playing(
            envs,
            jnp.repeat(obs[:, None], player.history, axis=1),
            jnp.zeros((num_envs, previous.shape[2])),
            previous,
            jnp.zeros(num_envs, jnp.int32),
            jnp.ones(num_envs, bool),
        )

    @jax.jit
    def play(
        parameters: PyTree, start: Playing, state: Playing, delay: Any, horizon: Any, key: Key
    ):
        return _play_chunk(playing(parameters), start, state, delay, horizon, key)

    start = begin(parameters)
    state, size, executed = start, player.chunk_shape[0], 0
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    for number in range(sys.maxsize):
        delay = rng.integers(0, min(size // 2, size - executed) + 1)
        executed = rng.integers(max(delay, 1), size - delay + 1)
        one = jax.random.fold_in(key, number)
        state, rows, alive = play(parameters, start, state, delay, executed, one)
        yield rows, alive


def _play_chunk(
    player: Player, start: Playing, state: Playing, delay: Array, horizon: Array, key: Key
) -> tuple[Playing, HeadRows, Array]:
    """Makes a chunk, executes `horizon` steps, and begins the level again where it has ended."""
    chunk_key, noise_key, start_key = jax.random.split(key, 3)
    chunk = player.chunk(state.seen[:, -1], chunk_key)
    size = chunk.shape[1]

    def step(index: Array, carry: tuple[Playing, HeadRows, Array]) -> Any:
        state, rows, counted = carry
        new = index >= delay
        action = jnp.where(new, chunk[:, index], state.previous[:, index])
        place = jnp.where(new, index, state.since + index)
        label = expert_action(player.expert, state.seen, state.last)
        now = HeadRows(state.seen, state.last, action, place, label)
        rows = jax.tree.map(lambda all, one: all.at[index].set(one), rows, now)
        counted = counted.at[index].set(state.alive)
        noise = jax.random.normal(jax.random.fold_in(noise_key, index), action.shape)
        envs, stepped = player.env.step(state.envs, action + player.action_noise * noise)
        seen = jnp.concatenate([state.seen[:, 1:], stepped.obs[:, None]], axis=1)
        alive = state.alive & ~stepped.done
        return state._replace(envs=envs, seen=seen, last=action, alive=alive), rows, counted

    rows = HeadRows(state.seen, state.last, state.last, state.since, state.last)
    rows = jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), rows)
    counted = jnp.zeros((size, len(chunk)), bool)
    state, rows, counted = jax.lax.fori_loop(0, horizon, step, (state, rows, counted))
    shifted = jnp.concatenate([chunk, jnp.zeros_like(chunk)], axis=1)
    shifted = jax.lax.dynamic_slice_in_dim(shifted, horizon, size, axis=1)
    state = state._replace(previous=shifted, since=jnp.full_like(state.since, horizon))
    return _begin_again(player.env, start, state, start_key), rows, counted


def _begin_again(env: Any, start: Playing, state: Playing, key: Key) -> Playing:
    """Where an episode has ended the next one begins, under one of the first chunks."""
    ended = ~state.alive
    first = start._replace(previous=jax.random.permutation(key, start.previous), envs=())

    def choose(fresh: Array, now: Array) -> Array:
        return jnp.where(ended.reshape(-1, *(1,) * (now.ndim - 1)), fresh, now)

    rest = jax.tree.map(choose, first, state._replace(envs=()))
    return rest._replace(envs=env.replay(state.envs, ended))


def expert_action(expert: Expert, seen: Array, last: Array) -> Array:
    """The mode of the expert's action [b, a]. seen: [b, k, o]. last: [b, a]."""
    seen = seen[:, seen.shape[1] - expert.info["history"] :]
    history = jnp.concatenate([seen.reshape(len(seen), -1), last], axis=1)
    return expert.action(None, history, noise=jnp.zeros_like(last))


def best_expert(folders: Sequence[str | Path], level_digest: str) -> Expert:
    """The one with the highest solve rate, the first of equals; each at its best checkpoint.

    Raises ArtifactError where one is damaged or of another level.
    """
    experts = [load_expert(folder) for folder in folders]
    for folder, expert in zip(folders, experts, strict=True):
        if expert.info["level_digest"] != level_digest:
            raise ArtifactError(f"{folder}: the expert is of another level; name one of this")
    return max(experts, key=lambda expert: expert.solve_rate)
