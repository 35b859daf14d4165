"""Methods side by side on one rollout: the same level, delay and noise."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from rtc.config.sections import EnvConfig
from rtc.env.render import iterate_frames
from rtc.errors import ConfigError
from rtc.evaluate.noise import make_streams
from rtc.evaluate.tally import used_actions
from rtc.levels import Level
from rtc.storage.video import write_video
from rtc.traces.episode import Outcomes, Piece, Player, outcomes, timeline
from rtc.traces.film import Film, Half
from rtc.traces.scenes import Guidance, check_guidance, load_trained, scene_of
from rtc.types import PyTree

HOLD = 1.8  # seconds that the end stands still


class Contestant(NamedTuple):
    """A method about to be filmed, with the policies' parameters."""

    name: str
    player: Player
    policies: PyTree


def write_comparison_video(
    level: Level,
    env_config: EnvConfig,
    policy_dir: str | Path,
    output_path: str | Path,
    *,
    delay: int,
    horizon: int,
    methods: Sequence[str] = ("naive", "realtime"),
    rollouts: int = 15,
    flow_steps: int = 5,
    beta: float = 5.0,
    schedule: str = "exp",
    seed: int = 0,
    fps: int = 20,
) -> int:
    """Films the median of `rollouts` rollouts under each method, side by side; returns which.

    All methods get the same noise, that of the evaluation. The rollouts are ordered by their
    return summed over the methods, among equals by their summed length, then by number; the
    middle one (the lower of two) is shown. It is then played again and drawn step by step, so
    no more states are held than a chunk has. methods: registry names. fps: environment steps a
    second; 30 is real time.
    Raises ConfigError on impossible options, ArtifactError if the policy cannot be used.
    """
    if not methods or rollouts < 1:
        raise ConfigError("videos: expected at least one method and one rollout")
    trained = load_trained(level, env_config, policy_dir)
    guidance = Guidance(delay, horizon, flow_steps, schedule, beta)
    check_guidance(guidance, trained.loaded.policy.action_chunk_size)
    streams = make_streams(seed, level.name, trained.seed)
    contestants = []
    for name in methods:
        scene, policies = scene_of(trained, name, guidance)
        player = Player(scene, streams, delay, horizon, rollouts=rollouts, draw=True)
        contestants.append(Contestant(name, player, policies))
    played = [rehearse(contestant) for contestant in contestants]
    ended = [outcomes(pieces) for pieces in played]
    shown = median_rollout(ended)
    used = used_actions(level)
    limit = level.params.max_timesteps
    halves = [
        Half(name, timeline(pieces, shown, delay, used), words(result, shown, limit))
        for name, pieces, result in zip(methods, played, ended)
    ]
    subheading = describe(methods, ended, delay, horizon, shown, rollouts)
    film = Film(halves, level.name, subheading, busiest(halves, used))
    write_video(output_path, film_frames(level, contestants, film, shown, fps), float(fps))
    return shown


def rehearse(contestant: Contestant) -> list[Piece]:
    """All rollouts of a method, without the states that would be drawn.

    It runs the very program that the film is drawn from later: another one could round
    differently, and another episode would be filmed than was chosen.
    """
    play, _ = contestant.player.start(contestant.policies)
    pieces = contestant.player.pieces(contestant.policies, play)
    return [piece._replace(states=None) for piece in pieces]


def median_rollout(ended: Sequence[Outcomes]) -> int:
    """The middle rollout by return, then length, both summed over methods, then by number."""
    value = np.sum([result.value for result in ended], axis=0)
    length = np.sum([result.length for result in ended], axis=0)
    order = np.lexsort((np.arange(len(value)), length, value))
    return int(order[(len(order) - 1) // 2])


def words(result: Outcomes, rollout: int, limit: int) -> str:
    """How a rollout ended. limit: steps after which an episode ends in any case."""
    steps = int(result.length[rollout])
    if result.solved[rollout]:
        return f"solved after {steps} steps"
    if result.value[rollout] > 0:
        return f"goal touched and left again after {steps} steps"
    return f"failed after {steps} steps" if steps < limit else f"not solved in {steps} steps"


def describe(
    methods: Sequence[str],
    ended: Sequence[Outcomes],
    delay: int,
    horizon: int,
    shown: int,
    rollouts: int,
) -> str:
    """The line below the heading."""
    solved = ", ".join(
        f"{name} solves {int(result.solved.sum())}" for name, result in zip(methods, ended)
    )
    return (
        f"delay {delay}, horizon {horizon}, the same noise.  "
        f"Of {rollouts} rollouts {solved}; shown is the median, number {shown}."
    )


def busiest(halves: Sequence[Half], used: np.ndarray) -> int:
    """The action dimension that varies most, of those that move something."""
    spread = np.sum([half.timeline.actions.std(axis=0) for half in halves], axis=0)
    return int(np.argmax(np.where(used, spread, -1.0)))


def film_frames(
    level: Level, contestants: Sequence[Contestant], film: Film, shown: int, fps: int
) -> Iterator[np.ndarray]:
    """The frames, drawn while the chosen rollout is played again; the last one is held."""
    scenes = [pictures(level, contestant, shown) for contestant in contestants]
    last: list[np.ndarray] = [np.zeros(0)] * len(scenes)
    for step in range(film.length + 1):
        for number, half in enumerate(film.halves):
            if step <= half.steps:
                last[number] = next(scenes[number])
        frame = film.frame(last, step)
        yield frame
    for _ in range(round(HOLD * fps)):
        yield frame


def pictures(level: Level, contestant: Contestant, shown: int) -> Iterator[np.ndarray]:
    """The scene of one rollout, from the start on, one picture after every step."""

    def states() -> Iterator[PyTree]:
        play, start = contestant.player.start(contestant.policies, shown)
        yield jax.tree.map(lambda leaf: np.asarray(leaf)[None], start)
        for piece in contestant.player.pieces(contestant.policies, play, shown):
            yield piece.states

    return iterate_frames(level, states())
