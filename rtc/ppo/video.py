"""A video of an expert: one environment, one episode, replayed from its best checkpoint."""

from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from rtc.config import EnvConfig
from rtc.env import make_env
from rtc.levels import Level
from rtc.ppo.expert import Expert, load_expert
from rtc.render import iterate_frames
from rtc.types import Key, PyTree
from rtc.video import write_video
from rtc.wrappers import collect_stack

PIECE = 32  # environment steps played between drawings


def write_expert_video(
    level: Level, env: EnvConfig, expert: str | Path, output: str | Path, *, seed: int
) -> int:
    """Films the first episode of the expert's best checkpoint; returns the number of frames.

    expert: folder of the expert. seed: root of the episode's action and sampling noise.
    Two thirds of real speed. Raises ArtifactError if the expert cannot be loaded.
    """
    loaded = load_expert(expert)
    key = jax.random.fold_in(jax.random.key(seed), int(level.digest[:8], 16))
    states = play_episode(level, env, loaded, key)
    return write_video(output, iterate_frames(level, states), fps=20)


def play_episode(level: Level, env: EnvConfig, expert: Expert, key: Key) -> Iterator[PyTree]:
    """Kinetix states of one episode, some at a time, leaves `[t, ...]`."""
    built = make_env(level, engine=env.engine, reward=env.reward)
    stack = collect_stack(built, env, expert.info["history"])

    @jax.jit
    def play(state: PyTree, keys: Key) -> tuple[PyTree, tuple[PyTree, PyTree]]:
        def step(state: PyTree, key: Key) -> tuple[PyTree, tuple[PyTree, PyTree]]:
            sampling, disturbing = jax.random.split(key)
            action = expert.action(sampling, stack.observe(state))
            noise = jax.random.normal(disturbing, action.shape)
            following, outcome = stack.step(state, action, noise)
            return following, (state.state, outcome.done[0])

        return jax.lax.scan(step, state, keys)

    state = stack.reset(1)
    to_kinetix = jax.jit(built.to_kinetix)
    for piece in range(-(-level.params.max_timesteps // PIECE)):
        state, (states, done) = play(state, jax.random.split(jax.random.fold_in(key, piece), PIECE))
        done = np.asarray(done)
        count = int(done.argmax()) + 1 if done.any() else PIECE
        drawn = [to_kinetix(jax.tree.map(lambda leaf, i=i: leaf[i], states)) for i in range(count)]
        yield jax.tree.map(lambda *leaves: np.concatenate([np.asarray(x) for x in leaves]), *drawn)
        if done.any():
            return
