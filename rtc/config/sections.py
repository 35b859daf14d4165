"""The configuration as frozen dataclasses, built from the YAML sections without defaults.

Every value stands in `config/config.yaml`; an unknown or missing key is an error that names
the key's path and the nearest valid name. `workflow/schemas/config.schema.yaml` describes the
same keys for people and for types and ranges; a test holds the two together.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rtc.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class EnvConfig:
    """engine: "specialised" or "kinetix". action_noise: std of the Gaussian added to every
    action. reward: "reference" (largest of the substeps) or "kinetix" (first non-zero)."""

    engine: str
    action_noise: float
    reward: str


@dataclass(frozen=True)
class ExpertConfig:
    """RPO experts, see FACTS of the benchmark in docs/parity.md; steps are environment steps."""

    seeds: int
    seeds_per_job: int
    total_steps: int
    num_envs: int
    rollout_steps: int
    log_every: int
    stop_at_solve_rate: float | None
    stop_after_intervals: int
    learning_rate: float
    max_grad_norm: float
    gamma: float
    gae_lambda: float
    clip: float
    value_coefficient: float
    epochs: int
    minibatches: int
    rpo_alpha: float
    entropy_coefficient: float
    hidden_sizes: tuple[int, ...]
    observation_history: int
    dense_reward_scale: float
    video: bool


@dataclass(frozen=True)
class DatasetConfig:
    """transitions: rows per level, over num_envs environments; min_solve_rate: what an expert
    checkpoint must reach to play; rows_per_group: parquet row group."""

    transitions: int
    num_envs: int
    min_solve_rate: float
    rows_per_group: int


@dataclass(frozen=True)
class StartFrom:
    """A policy variant begins from this epoch's checkpoint of another policy."""

    policy: str
    epoch: int


@dataclass(frozen=True)
class PolicyConfig:
    """A flow policy and its training; simulated_delay switches training-time RTC on."""

    seeds: int
    seeds_per_job: int
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    max_grad_norm: float
    channel_dim: int
    channel_hidden_dim: int
    token_hidden_dim: int
    num_layers: int
    action_chunk_size: int
    simulated_delay: int | None
    start_from: StartFrom | None
    keep_epochs: tuple[int, ...]
    precision: str
    evaluate_every: int
    evaluation_rollouts: int


@dataclass(frozen=True)
class MethodConfig:
    """method: a registry name or "package.module:Class"; policy: a key of `policies`;
    options: the method's own hyper-parameters; flow_steps: Euler steps of a chunk where the
    method's differ from `evaluation.flow_steps`, else None."""

    method: str
    policy: str
    options: Mapping[str, Any]
    flow_steps: int | None = None


@dataclass(frozen=True)
class Cell:
    """One entry of a sweep. delay: steps, or a distribution {"uniform": [lo, hi]} or
    {"choices": {steps: probability}} drawn per chunk; estimate: the delay a method is told."""

    delay: int | Mapping[str, Any]
    horizon: int
    estimate: int


@dataclass(frozen=True)
class EvaluationConfig:
    """rollouts per cell, rollouts stepped at once, Euler steps of a chunk, and the cells."""

    rollouts: int
    rollouts_per_batch: int
    flow_steps: int
    cells: Any

    def steps_of(self, method: MethodConfig) -> int:
        """Euler steps of a chunk under `method`."""
        return self.flow_steps if method.flow_steps is None else method.flow_steps


@dataclass(frozen=True)
class ImportedPolicy:
    """A policy trained elsewhere; `source` is a folder, {level} stands for the level's name."""

    source: str
    seeds: int = 1


@dataclass(frozen=True)
class TraceConfig:
    """The decision whose flow is drawn step by step."""

    delay: int
    horizon: int
    flow_steps: int
    schedule: str
    beta: float


@dataclass(frozen=True)
class VideoConfig:
    """Side-by-side videos; of this many rollouts the median one is shown."""

    delay: int
    horizon: int
    rollouts: int


@dataclass(frozen=True)
class StageResources:
    """Of one job of a stage: cores, memory in MB, time in minutes."""

    threads: int
    mem_mb: int
    runtime: int


def build(kind: type, section: Mapping[str, Any], where: str) -> Any:
    """Builds the frozen dataclass `kind` from one section of the YAML.

    where: the section's path, for messages (`experts`, `policies.flow`).
    Raises ConfigError on an unknown key, a missing key or a value of the wrong type.
    """
    if not isinstance(section, Mapping):
        raise ConfigError(f"{where}: expected a mapping, got {type(section).__name__}")
    names = {field.name: field.type for field in dataclasses.fields(kind)}
    for key in section:
        if key not in names:
            raise ConfigError(f"{where}.{key}: unknown key{did_you_mean(key, names)}")
    hints = typing.get_type_hints(kind)
    for key in names:
        if key not in section:
            raise ConfigError(f"{where}.{key}: missing; config/config.yaml shows its default")
    return kind(**{key: _convert(section[key], hints[key], f"{where}.{key}") for key in names})


def _convert(value: Any, hint: Any, where: str) -> Any:
    if hint is Any:
        return value
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if option is type(None) and value is None:
            return None
        if dataclasses.is_dataclass(option) and isinstance(value, Mapping):
            return build(option, value, where)
        if typing.get_origin(option) is tuple and isinstance(value, list | tuple):
            element = typing.get_args(option)[0]
            return tuple(_convert(v, element, f"{where}.{i}") for i, v in enumerate(value))
        if _is_mapping(option) and isinstance(value, Mapping):
            return dict(value)
        if option is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if isinstance(option, type) and isinstance(value, option):
            if option is int and isinstance(value, bool):
                continue
            return value
    expected = " or ".join(getattr(o, "__name__", str(o)) for o in options)
    raise ConfigError(f"{where}: expected {expected}, got {value!r}")


def _is_mapping(option: Any) -> bool:
    origin = typing.get_origin(option) or option
    return isinstance(origin, type) and issubclass(origin, Mapping)


def method_config(label: str, section: Mapping[str, Any]) -> MethodConfig:
    """Splits one entry of `methods` into registry name, policy and the method's options."""
    if not isinstance(section, Mapping):
        raise ConfigError(f"methods.{label}: expected a mapping, got {type(section).__name__}")
    own = ("method", "policy", "flow_steps")
    options = {key: value for key, value in section.items() if key not in own}
    head = {key: section[key] for key in own if key in section}
    head = {"flow_steps": None, "options": options} | head
    return build(MethodConfig, head, f"methods.{label}")
