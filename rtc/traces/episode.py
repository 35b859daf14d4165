"""Recorded episodes: what a method saw at each inference, and what was executed.

The noise is that of the evaluation, so rollout i here is rollout i there (on the CPU up to last
bits, which depend on how many rollouts are played side by side).
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rtc.evaluate.noise import Streams, chunk_noise, keys_at, normal_at
from rtc.evaluate.scene import Scene
from rtc.flow import sample
from rtc.methods import Context
from rtc.types import Array, PyTree
from rtc.visualize import ChunkTimeline


class Play(NamedTuple):
    """Episodes under way: the environment's state, obs [b, o], previous [b, h, a] (the chunk in
    execution, aligned to now), the method's carry, time [] in environment steps."""

    env: PyTree
    obs: Array
    previous: Array
    carry: PyTree
    time: Array


class Piece(NamedTuple):
    """One inference and the s steps executed until the next; b rollouts.

    obs: [b, o] as the policy takes it. previous, noise, chunk: [b, h, a]. actions: [s, b, a] as
    commanded. reward, done, solved: [s, b]. states: Kinetix states of one rollout after each
    step, leaves [s, ...], or None.
    """

    obs: Any
    previous: Any
    noise: Any
    chunk: Any
    actions: Any
    reward: Any
    done: Any
    solved: Any
    states: Any


class Player:
    """Plays episodes of a scene side by side, chunk by chunk, with a fixed delay and horizon.

    delay, horizon: steps. With delay > h - horizon the end of the previous chunk is its zero
    padding, and that is what is executed then. draw: keep the Kinetix states of one rollout.
    """

    def __init__(
        self, scene: Scene, streams: Streams, delay: int, horizon: int, *, rollouts: int, draw: bool
    ) -> None:
        self.delay, self.horizon = delay, horizon
        self._streams = streams
        if draw:
            # Kinetix cannot be imported while a program is traced, so it is made to be here.
            scene.env.to_kinetix(scene.env.reset(1))

        def begin(policies: PyTree, streams: Streams, shown: Array) -> tuple[Play, PyTree]:
            play = first_play(scene, policies, streams, rollouts)
            return play, drawable(scene, play.env, shown) if draw else None

        def advance(
            policies: PyTree, streams: Streams, play: Play, shown: Array
        ) -> tuple[Play, Piece]:
            return play_chunk(scene, policies, streams, play, shown, delay, horizon, draw)

        self._begin, self._advance = jax.jit(begin), jax.jit(advance)

    def start(self, policies: PyTree, shown: int = 0) -> tuple[Play, PyTree]:
        """Fresh episodes, and the Kinetix state of rollout `shown` (None without `draw`)."""
        return self._begin(policies, self._streams, jnp.int32(shown))

    def pieces(self, policies: PyTree, play: Play, shown: int = 0) -> Iterator[Piece]:
        """Piece after piece, as numpy, until every episode has ended."""
        ended = np.zeros(play.obs.shape[0], bool)
        while not ended.all():
            play, piece = self._advance(policies, self._streams, play, jnp.int32(shown))
            piece = jax.device_get(piece)
            ended |= piece.done.any(axis=0)
            yield piece


def first_play(scene: Scene, policies: PyTree, streams: Streams, rollouts: int) -> Play:
    """The start; the chunk in execution is a naive sample from the first observation."""
    policy, _ = scene.merge(policies)
    env = scene.env.reset(rollouts)
    obs = scene.env.observe(env)
    rollout = jnp.arange(rollouts, dtype=jnp.int32)
    shape = (policy.action_chunk_size, policy.action_dim)
    noise = normal_at(streams.first, rollout, jnp.zeros_like(rollout), shape)
    previous = sample(policy, scene.policy_observation(obs), noise, scene.flow_steps)
    return Play(env, obs, previous, scene.method.init(rollouts, *shape), jnp.int32(0))


def play_chunk(
    scene: Scene,
    policies: PyTree,
    streams: Streams,
    play: Play,
    shown: Array,
    delay: int,
    horizon: int,
    draw: bool,
) -> tuple[Play, Piece]:
    """One inference, then `horizon` steps: `delay` of the previous chunk, then the new one's."""
    policy, weak_policy = scene.merge(policies)
    rollout = jnp.arange(play.obs.shape[0], dtype=jnp.int32)
    time = jnp.broadcast_to(play.time, rollout.shape)
    shape = play.previous.shape[1:]
    context = Context(
        obs=scene.policy_observation(play.obs),
        previous=play.previous,
        delay=jnp.int32(delay),
        horizon=jnp.int32(horizon),
        key=keys_at(streams.method, rollout, time),
        noise=chunk_noise(streams.chunk, rollout, time, scene.method.samples, shape),
    )
    chunk, carry = scene.method(policy, weak_policy, context, play.carry, scene.flow_steps)
    executed = jnp.concatenate([play.previous[:, :delay], chunk[:, delay:horizon]], axis=1)

    def step(env: PyTree, inputs: tuple[Array, Array]) -> tuple[PyTree, tuple[Any, ...]]:
        index, action = inputs
        noise = normal_at(streams.action, rollout, time + index, action.shape[1:])
        env, stepped = scene.env.step(env, action + scene.action_noise * noise)
        seen = (stepped.obs, stepped.reward, stepped.done, stepped.solved & stepped.done)
        return env, (*seen, drawable(scene, env, shown) if draw else None)

    actions = jnp.swapaxes(executed, 0, 1)
    steps = (jnp.arange(horizon, dtype=jnp.int32), actions)
    env, (obs, reward, done, solved, states) = jax.lax.scan(step, play.env, steps)
    shifted = jnp.concatenate([chunk[:, horizon:], jnp.zeros_like(chunk[:, :horizon])], axis=1)
    piece = Piece(
        context.obs, play.previous, context.noise[0], chunk, actions, reward, done, solved, states
    )
    return Play(env, obs[-1], shifted, carry, play.time + horizon), piece


def drawable(scene: Scene, env: PyTree, shown: Array) -> PyTree:
    """The Kinetix state of one rollout."""
    states = scene.env.to_kinetix(env)
    return jax.tree.map(
        lambda leaf: jax.lax.dynamic_index_in_dim(leaf, shown, 0, keepdims=False), states
    )


class Outcomes(NamedTuple):
    """How episodes ended, [b] each: return, length in steps, whether solved."""

    value: np.ndarray
    length: np.ndarray
    solved: np.ndarray


def outcomes(pieces: Sequence[Piece]) -> Outcomes:
    """The outcome of each rollout, up to and with the step that ended its episode."""
    done = np.concatenate([piece.done for piece in pieces])
    length = done.argmax(axis=0) + 1
    counted = np.arange(len(done))[:, None] < length[None]
    reward = np.concatenate([piece.reward for piece in pieces])
    solved = np.concatenate([piece.solved for piece in pieces])
    return Outcomes((reward * counted).sum(axis=0), length, (solved & counted).any(axis=0))


def timeline(pieces: Sequence[Piece], rollout: int, delay: int, used: np.ndarray) -> ChunkTimeline:
    """One rollout as a sequence of chunks, up to and with the step that ended its episode.

    used: [a] bool, the action dimensions that move something.
    """
    ended = outcomes(pieces)
    length = int(ended.length[rollout])
    horizon = pieces[0].actions.shape[0]
    steps = np.arange(length)
    made = [pieces[0].previous[rollout], *(piece.chunk[rollout] for piece in pieces)]
    return ChunkTimeline(
        actions=np.concatenate([piece.actions[:, rollout] for piece in pieces])[:length],
        source=steps // horizon + (steps % horizon >= delay),
        starts=np.array([0, *(horizon * number for number in range(len(pieces)))]),
        chunks=np.stack(made),
        solved=bool(ended.solved[rollout]),
        used=np.flatnonzero(used).tolist(),
    )
