"""Videos of experts: one environment, one episode, replayed from the best checkpoint."""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rtc.config.sections import EnvConfig
from rtc.env import make_env
from rtc.env.render import iterate_frames
from rtc.env.wrappers import Stack, collect_stack
from rtc.experts.expert import Expert, load_expert
from rtc.levels import Level
from rtc.storage.video import write_video
from rtc.types import Key, Keys, PyTree

logger = logging.getLogger("rtc")

PIECE = 32  # environment steps played between drawings


def write_expert_videos(
    level: Level, env: EnvConfig, films: Mapping[Path, Path], *, seed: int
) -> dict[Path, int]:
    """Films the first episode of each expert's best checkpoint, at two thirds of real speed.

    films: folder of an expert -> file of its video. Experts of equal sizes share one compilation.
    seed: root of the episode's action and sampling noise. Returns the number of frames by file.
    Raises ArtifactError if an expert cannot be loaded.
    """
    key = jax.random.fold_in(jax.random.key(seed), int(level.digest[:8], 16))
    built = make_env(level, engine=env.engine, reward=env.reward)
    to_kinetix = jax.jit(built.to_kinetix)
    players: dict[int, Callable[..., Any]] = {}
    frames = {}
    for folder, output in films.items():
        expert = load_expert(folder)
        history = expert.info["history"]
        stack = collect_stack(built, env, history)
        if history not in players:
            players[history] = make_player(stack, expert)
        play = partial(players[history], expert.params)
        episode = play_episode(level, stack.reset(1), play, to_kinetix, key)
        frames[output] = write_video(output, iterate_frames(level, episode), fps=20)
        logger.info("%s: %d frames of %s", level.name, frames[output], output)
    return frames


def make_player(stack: Stack, expert: Expert) -> Callable[..., tuple[PyTree, PyTree]]:
    """Plays a piece of an episode: `(params, state, keys [t]) -> (state, (states, done [t]))`,
    for all experts of the level that differ from this one in their parameters alone."""

    @jax.jit
    def play(params: PyTree, state: PyTree, keys: Keys) -> tuple[PyTree, tuple[PyTree, PyTree]]:
        expert_now = dataclasses.replace(expert, params=params)

        def step(state: PyTree, key: Key) -> tuple[PyTree, tuple[PyTree, PyTree]]:
            sampling, disturbing = jax.random.split(key)
            action = expert_now.action(sampling, stack.observe(state))
            noise = jax.random.normal(disturbing, action.shape)
            following, outcome = stack.step(state, action, noise)
            return following, (state.state, outcome.done[0])

        return jax.lax.scan(step, state, keys)

    return play


def play_episode(
    level: Level,
    state: PyTree,
    play: Callable[[PyTree, Keys], tuple[PyTree, PyTree]],
    to_kinetix: Callable[[PyTree], PyTree],
    key: Key,
) -> Iterator[PyTree]:
    """Kinetix states of one episode from `state` on, some at a time, leaves `[t, ...]`."""
    for piece in range(-(-level.params.max_timesteps // PIECE)):
        state, (states, done) = play(state, jax.random.split(jax.random.fold_in(key, piece), PIECE))
        states, done = jax.device_get((states, done))
        count = int(done.argmax()) + 1 if done.any() else PIECE
        drawn = [to_kinetix(jax.tree.map(itemgetter(i), states)) for i in range(count)]
        yield jax.tree.map(lambda *leaves: np.concatenate(leaves), *jax.device_get(drawn))
        if done.any():
            return
