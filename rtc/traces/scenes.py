"""What traces and videos share: the guidance they show, and the scenes they play."""

from pathlib import Path
from typing import Any, NamedTuple

from rtc.config.sections import EnvConfig, MethodConfig
from rtc.env import make_env
from rtc.errors import ArtifactError, ConfigError
from rtc.evaluate.scene import Scene, make_scene
from rtc.evaluate.tally import used_actions
from rtc.flow.loading import LoadedPolicy, load_policy
from rtc.levels import Level
from rtc.methods import make_method
from rtc.types import PyTree


class Guidance(NamedTuple):
    """How chunks are made. delay, horizon: steps. flow_steps: of a chunk. schedule: of the
    prefix weights. beta: greatest guidance weight."""

    delay: int
    horizon: int
    flow_steps: int
    schedule: str
    beta: float


class Trained(NamedTuple):
    """A policy and the environment it acts in. folder: where the policy lies."""

    env: Any
    env_config: EnvConfig
    loaded: LoadedPolicy
    folder: Path

    @property
    def seed(self) -> int:
        """The number in a folder's name such as `seed_0`; 0 for another name."""
        number = self.folder.name.removeprefix("seed_")
        return int(number) if number.isdecimal() else 0


def load_trained(
    level: Level, env_config: EnvConfig, folder: str | Path, epoch: int | None = None
) -> Trained:
    """Loads a policy and makes the environment of its level.

    Raises ArtifactError if the policy cannot be read or was trained on another level.
    """
    loaded = load_policy(folder, epoch)
    if loaded.level != level.name:
        raise ArtifactError(
            f"{folder}: this policy was trained on {loaded.level}, not on {level.name}"
        )
    env = make_env(level, engine=env_config.engine, reward=env_config.reward)
    return Trained(env, env_config, loaded, Path(folder))


def scene_of(trained: Trained, name: str, guidance: Guidance) -> tuple[Scene, PyTree]:
    """The scene of a method by its registry name, and the policies' parameters.

    Raises ConfigError on an unknown method, ArtifactError if the policy's observation is not
    the level's.
    """
    options = {}
    if name == "realtime":
        options = {"schedule": guidance.schedule, "beta": guidance.beta}
    method = make_method(MethodConfig(method=name, policy="", options=options))
    weak_epoch = getattr(method, "weak_epoch", None)
    weak = None if weak_epoch is None else load_policy(trained.folder, weak_epoch).policy
    try:
        return make_scene(
            trained.env,
            method,
            trained.loaded.policy,
            weak,
            used=used_actions(trained.env.level),
            action_noise=trained.env_config.action_noise,
            flow_steps=guidance.flow_steps,
        )
    except ValueError as error:
        raise ArtifactError(
            f"{trained.folder}: {error}; the level has changed since this policy was trained"
        ) from error


def check_guidance(guidance: Guidance, chunk_size: int) -> None:
    """Raises ConfigError unless 0 <= delay <= horizon, 1 <= horizon <= chunk_size, 1 <= flow_steps.

    A delay above chunk_size - horizon is let through, see `short_prefix`.
    """
    delay, horizon = guidance.delay, guidance.horizon
    if not 1 <= horizon <= chunk_size:
        raise ConfigError(f"horizon: expected 1 to {chunk_size} steps (a chunk), got {horizon}")
    if not 0 <= delay <= horizon:
        raise ConfigError(f"delay: expected 0 to {horizon} steps (the horizon), got {delay}")
    if guidance.flow_steps < 1:
        raise ConfigError(f"flow_steps: expected at least 1, got {guidance.flow_steps}")


def short_prefix(delay: int, horizon: int, chunk_size: int) -> str:
    """What happens if the previous chunk ends before the new one is ready; "" if it does not."""
    left = chunk_size - horizon
    if delay <= left:
        return ""
    over = delay - left
    return (
        f"delay {delay} with horizon {horizon} leaves a prefix of {left}: when an inference "
        f"begins, only {left} of the previous chunk's {chunk_size} actions are left, but the new "
        f"chunk is ready after {delay} steps. So guidance holds {left} steps with weight 1 and "
        f"none softly, and for the last {over} of the {delay} steps the zeros that pad the "
        f"previous chunk are executed. A horizon of at most {chunk_size - delay} avoids this."
    )
