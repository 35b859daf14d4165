"""Solutions of a level, found as open-loop action sequences by the cross-entropy method.

Every episode of a level starts from one state, so a level is solved once by one sequence of
actions. The cross-entropy method (Rubinstein 1999, doi 10.1023/A:1010091220143) draws many
sequences from a normal, plays them all with the environment's noise, and fits the normal to
the best. While nearly none solves, the noise is turned down: first a way is found, then one
that noise does not disturb. As in iCEM (arXiv 2008.06389) the draws are correlated in time and
some of the best are played again in the next round, where noise takes those away that were
only lucky.

Axes: k candidates, p pieces of a sequence (each holds its action for some steps), t steps,
a actions, n solutions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rtc.env.wrappers import Stack
from rtc.types import Array, Float, Key


@dataclass(frozen=True)
class SearchConfig:
    """candidates: sequences a round. horizon: steps of a sequence. hold: steps of a piece.
    elites: sequences the normal is fitted to. kept: of those, played again in the next round.
    colour: exponent of the noise's power spectrum over the pieces; 0 is white.
    smoothing: share of the old normal in the new one. least_std: of the normal, in units of
    half an action's range. rounds: at most. few, patience: rounds left once this share of the
    candidates solves under all the noise. calmer, louder: by how much less noise the next round
    has while fewer solve, by how much more once they do. enough: share of solved candidates to
    stop at. early: weight of an early goal against chance among the candidates that solve.
    solutions: sequences that are written. trials: noisy plays that rank the last candidates.
    """

    candidates: int = 768
    horizon: int = 160
    hold: int = 5
    elites: int = 64
    kept: int = 16
    colour: float = 1.0
    smoothing: float = 0.2
    least_std: float = 0.1
    rounds: int = 100
    few: float = 0.01
    patience: int = 24
    calmer: float = 0.05
    louder: float = 0.1
    enough: float = 0.35
    early: float = 0.0
    solutions: int = 8
    trials: int = 12


class SearchState(NamedTuple):
    """mean, std: [p, a] of the normal, actions scaled to [-1, 1]. best: [e, p, a] the kept
    sequences, best first. round: [] rounds played. share: [] solved candidates of the last
    round. noise: [] share of the environment's noise that the next round is played with.
    first: [] the first round with a solution. taken: [] the first with `few` under all the
    noise; -1 for none. key: of what comes."""

    mean: Array
    std: Array
    best: Array
    round: Array
    share: Array
    noise: Array
    first: Array
    taken: Array
    key: Array


class Played(NamedTuple):
    """What sequences led to, each [k]. solved: at the goal within the horizon. length: steps
    until the episode ended, or the horizon. closest: least distance of the goal on the way."""

    solved: Array
    length: Array
    closest: Array


class Solutions(NamedTuple):
    """actions: [n, t, a] as the environment takes them. robust: [n] share of noisy plays that
    solve. length: [n] mean steps of those that do."""

    actions: Array
    robust: Array
    length: Array


def begin_search(action_size: int, config: SearchConfig, key: Key) -> SearchState:
    """The widest normal, and sequences that do nothing."""
    pieces = -(-config.horizon // config.hold)
    shape = (pieces, action_size)
    still = jnp.zeros((config.kept, *shape))
    return SearchState(
        jnp.zeros(shape),
        jnp.ones(shape),
        still,
        jnp.zeros((), jnp.int32),
        jnp.zeros(()),
        jnp.ones(()),
        jnp.full((), -1, jnp.int32),
        jnp.full((), -1, jnp.int32),
        key,
    )


def searches(
    stack: Stack, config: SearchConfig, keys: Sequence[Key]
) -> Iterator[tuple[SearchState, Solutions]]:
    """One search a key: how it ended, and the sequences that noise disturbs least.

    A search ends when enough candidates solve the level or it has had its rounds. They run on
    the host around one compiled play, which all searches and their last trials share.
    """
    play = jax.jit(lambda *given: play_open(stack, config, *given))
    draw, learn = (jax.jit(f, static_argnums=0) for f in (draw_candidates, fit))
    for key in keys:
        state = begin_search(stack.env.action_size, config, key)
        while not finished(config, state):
            candidates = draw(config, state)
            played = play(candidates, jax.random.fold_in(state.key, 1), state.noise)
            state = learn(config, state, candidates, played)
        finalists = draw(config, state)[: config.candidates // config.trials]
        trials = jnp.repeat(finalists, config.trials, axis=0)
        played = play(trials, jax.random.fold_in(state.key, 1), jnp.ones(()))
        yield state, rank(stack, config, finalists, played)


def finished(config: SearchConfig, state: SearchState) -> bool:
    """Enough candidates solve the level, or the search has had its time."""
    rounds, taken = int(state.round), int(state.taken)
    loud = float(state.noise) == 1.0
    late = 0 < taken <= rounds - config.patience
    return late or rounds >= config.rounds or (loud and float(state.share) >= config.enough)


def draw_candidates(config: SearchConfig, state: SearchState) -> Float[Array, "k p a"]:
    """The kept sequences, the middle of the normal, and draws from it."""
    fresh = config.candidates - config.kept - 1
    key = jax.random.fold_in(state.key, 0)
    noise = coloured_noise(key, (fresh, *state.mean.shape), config.colour)
    drawn = jnp.clip(state.mean[None] + state.std[None] * noise, -1.0, 1.0)
    return jnp.concatenate([state.best, state.mean[None], drawn])


def fit(
    config: SearchConfig, state: SearchState, candidates: Float[Array, "k p a"], played: Played
) -> SearchState:
    """The normal moved to the best candidates."""
    luck = jax.random.uniform(jax.random.fold_in(state.key, 3), played.length.shape)
    order = jnp.argsort(-score(played, config, luck))
    elites = candidates[order[: config.elites]]
    old, new = config.smoothing, 1 - config.smoothing
    share = played.solved.mean(dtype=jnp.float32)
    change = jnp.where(share >= config.few, config.louder, -config.calmer)

    def since(first, least):
        return jnp.where((first < 0) & (share >= least), state.round + 1, first)

    return SearchState(
        old * state.mean + new * elites.mean(0),
        jnp.maximum(old * state.std + new * elites.std(0), config.least_std),
        elites[: config.kept],
        state.round + 1,
        share,
        jnp.clip(state.noise + change, 0.0, 1.0),
        since(state.first, 1 / config.candidates),
        since(state.taken, jnp.where(state.noise < 1.0, 2.0, config.few)),
        jax.random.fold_in(state.key, 2),
    )


def rank(
    stack: Stack, config: SearchConfig, finalists: Float[Array, "f p a"], played: Played
) -> Solutions:
    """Of the finalists those that noise disturbs least. played: [f * trials] of each in turn."""
    solved = played.solved.reshape(len(finalists), -1).astype(jnp.float32)
    length = (played.length.reshape(solved.shape) * solved).sum(1) / jnp.maximum(solved.sum(1), 1)
    robust = solved.mean(1)
    order = jnp.argsort(-robust)[: config.solutions]
    actions = as_actions(finalists[order], stack.action_low, config)
    return Solutions(actions, robust[order], length[order])


def play_open(
    stack: Stack,
    config: SearchConfig,
    candidates: Float[Array, "k p a"],
    key: Key,
    noise_scale: Float[Array, ""],
) -> Played:
    """Plays every sequence once from the level's start, with that much of the action noise."""
    std = stack.action_noise * noise_scale
    env, count = stack.env, len(candidates)
    actions = jnp.swapaxes(as_actions(candidates, stack.action_low, config), 0, 1)

    def step(carry):
        time, state, over, played = carry
        noise = jax.random.normal(jax.random.fold_in(key, time), actions.shape[1:])
        state, seen = env.step(state, actions[time] + std * noise)
        played = Played(
            played.solved | (seen.solved & seen.done & ~over),
            played.length + ~over,
            jnp.where(over, played.closest, jnp.minimum(played.closest, seen.distance)),
        )
        return time + 1, state, over | seen.done, played

    def going_on(carry):
        time, _, over, _ = carry
        return (time < config.horizon) & ~over.all()

    no = jnp.zeros(count, bool)
    first = Played(no, jnp.zeros(count, jnp.int32), jnp.full(count, jnp.inf))
    start = jnp.zeros((), jnp.int32), env.reset(count), no, first
    return jax.lax.while_loop(going_on, step, start)[3]


def score(played: Played, config: SearchConfig, luck: Float[Array, " k"]) -> Float[Array, " k"]:
    """Solved before not solved; among the others the close ones first.

    luck: [k] uniform in [0, 1]. Among the solved, those that come early are rarely those that
    noise leaves alone; chance lets the latter be drawn more often, as they solve more often.
    """
    far = jnp.nan_to_num(played.closest, nan=1e6, posinf=1e6)
    early = config.early * (1.0 - played.length / config.horizon)
    return jnp.where(played.solved, 1.0 + luck + early, -far)


def as_actions(
    candidates: Float[Array, "k p a"], low: Float[np.ndarray, " a"], config: SearchConfig
) -> Float[Array, "k t a"]:
    """Pieces in [-1, 1] as one action a step; thrusters in [0, 1]."""
    motor = (low < 0)[None, None]
    scaled = jnp.where(motor, candidates, 0.5 + 0.5 * candidates)
    return jnp.repeat(scaled, config.hold, axis=1)[:, : config.horizon]


def coloured_noise(key: Key, shape: tuple[int, int, int], colour: float) -> Float[Array, "k p a"]:
    """Normal noise of variance 1 whose power falls with frequency^colour along the pieces.

    Timmer and Koenig 1995, as in iCEM: a random spectrum, transformed back.
    """
    count, pieces, actions = shape
    frequencies = np.maximum(np.fft.rfftfreq(pieces), 1 / pieces)
    scale = frequencies ** (-colour / 2)
    # Each frequency but the first and (of an even number) the last stands for two.
    twice = np.full(len(scale), 2.0)
    twice[0] = 1.0
    if pieces % 2 == 0:
        twice[-1] = 1.0
    spread = np.sqrt((twice * scale**2).sum()) / pieces
    parts = jax.random.normal(key, (2, count, len(scale), actions))
    # The ends of the spectrum are real, so all their variance is in the real part.
    real = np.where(twice == 1.0, np.sqrt(2.0), 1.0)[None, :, None]
    imaginary = np.where(twice == 1.0, 0.0, 1.0)[None, :, None]
    spectrum = jax.lax.complex(parts[0] * real, parts[1] * imaginary)
    weights = (scale / (spread * np.sqrt(2.0))).astype(np.float32)[None, :, None]
    return jnp.fft.irfft(spectrum * weights, n=pieces, axis=1)
