"""The whole configuration of a run: schema, cross-checks, dataclasses. Imports no jax.

`load_run_config` is what the Snakefile calls at parse; every message is one line that names
the key's path, what was expected and the nearest valid name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from rtc.config.cells import parse_cells
from rtc.config.sections import (
    Cell,
    DatasetConfig,
    EnvConfig,
    EvaluationConfig,
    ExpertConfig,
    ImportedPolicy,
    MethodConfig,
    PolicyConfig,
    StageResources,
    TraceConfig,
    VideoConfig,
    build,
    method_config,
)
from rtc.config.text import check_size, one_line, read_files, read_values
from rtc.errors import ConfigError, did_you_mean

# Options of the built-in methods, so that a typing error stops before anything is trained.
# A test holds this table and the registry of rtc.methods together.
METHOD_OPTIONS = {
    "naive": (),
    "realtime": ("schedule", "beta", "jacobian"),
    "bid": ("samples", "keep", "weak_epoch"),
    "te": ("m",),
    "ttrtc": (),
    "diffuser_overwrite": (),
}


# Sections in which a file laid over another takes an entry out by setting it to null.
REMOVABLE = ("policies", "methods")


@dataclass(frozen=True)
class RunConfig:
    """One run. levels: sources as given; policies and methods by name; cells of the sweep."""

    seed: int
    device: str
    jobs_per_gpu: int
    levels: tuple[str, ...]
    env: EnvConfig
    experts: ExpertConfig
    datasets: DatasetConfig
    policies: Mapping[str, PolicyConfig | ImportedPolicy]
    methods: Mapping[str, MethodConfig]
    evaluation: EvaluationConfig
    cells: tuple[Cell, ...]
    traces: TraceConfig
    videos: VideoConfig
    wandb: str
    resources: Mapping[str, StageResources]


def load_run_config(config: Mapping[str, Any], schema: str | Path) -> RunConfig:
    """Checks a parsed configuration and builds its dataclasses.

    config: the merged YAML. schema: path of config.schema.yaml.
    Raises ConfigError: one line with the key's path, what was expected, the nearest name.
    """
    try:
        return _load(config, yaml.safe_load(Path(schema).read_text(encoding="utf-8")))
    except ConfigError as error:
        raise ConfigError(one_line(str(error))) from None


def _load(config: Mapping[str, Any], rules: Mapping[str, Any]) -> RunConfig:
    check_size(config)
    config = {k: read_values(v, rules["properties"].get(k, {}), k) for k, v in config.items()}
    config = {k: _without_nulls(v) if k in REMOVABLE else v for k, v in config.items()}
    _check_schema(config, rules)
    policies = _policies(config["policies"])
    methods = {label: method_config(label, m) for label, m in config["methods"].items()}
    run = RunConfig(
        seed=config["seed"],
        device=config["device"],
        jobs_per_gpu=config["jobs_per_gpu"],
        levels=tuple(config["levels"]),
        env=build(EnvConfig, config["env"], "env"),
        experts=build(ExpertConfig, config["experts"], "experts"),
        datasets=build(DatasetConfig, config["datasets"], "datasets"),
        policies=policies,
        methods=methods,
        evaluation=build(EvaluationConfig, config["evaluation"], "evaluation"),
        cells=tuple(parse_cells(config["evaluation"]["cells"], chunk_size=_chunk_size(policies))),
        traces=build(TraceConfig, config["traces"], "traces"),
        videos=build(VideoConfig, config["videos"], "videos"),
        wandb=config["tracking"]["wandb"],
        resources={
            stage: build(StageResources, values, f"resources.{stage}")
            for stage, values in config["resources"].items()
        },
    )
    _check_sizes(run)
    _check_methods(run)
    return run


def _without_nulls(section: Any) -> Any:
    if not isinstance(section, Mapping):
        return section
    return {name: entry for name, entry in section.items() if entry is not None}


def _check_schema(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(
        validator.iter_errors(config), key=lambda e: (list(map(str, e.path)), e.message)
    )
    if errors:
        raise ConfigError(_describe(errors[0]))


def _describe(error: jsonschema.ValidationError) -> str:
    path = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = error.schema.get("properties", {})
        unknown = min(str(key) for key in error.instance if key not in known)
        where = f"{path}.{unknown}" if path else unknown
        return f"{where}: unknown key{did_you_mean(unknown, known)}"
    if error.validator == "required":
        missing = sorted(key for key in error.validator_value if key not in error.instance)[0]
        where = f"{path}.{missing}" if path else missing
        return f"{where}: missing; config/config.yaml shows its default"
    if error.validator == "enum":
        options = ", ".join(str(option) for option in error.validator_value)
        return (
            f"{path}: expected one of {options}, got {error.instance!r}"
            f"{did_you_mean(str(error.instance), map(str, error.validator_value))}"
        )
    if error.validator == "type":
        kinds = error.validator_value
        kinds = kinds if isinstance(kinds, str) else " or ".join(kinds)
        hint = ""
        if isinstance(error.instance, str) and _looks_numeric(error.instance):
            hint = " (YAML reads 1e-3 as text; write 1.0e-3)"
        return f"{path}: expected {kinds}, got {error.instance!r}{hint}"
    return f"{path or 'config'}: {error.message}"


def _looks_numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _policies(section: Mapping[str, Any]) -> dict[str, PolicyConfig | ImportedPolicy]:
    """Completes each entry: what it leaves out comes from the policy it starts from."""
    full: dict[str, dict[str, Any]] = {}
    result: dict[str, PolicyConfig | ImportedPolicy] = {}
    for name, entry in section.items():
        if "import" in entry:
            if extra := sorted(set(entry) - {"import", "seeds"}):
                raise ConfigError(
                    f"policies.{name}.{extra[0]}: an imported policy takes no such key"
                )
            result[name] = ImportedPolicy(source=entry["import"], seeds=entry.get("seeds", 1))
            continue
        start = entry.get("start_from")
        if start and start["policy"] not in full:
            raise ConfigError(
                f"policies.{name}.start_from.policy: no policy {start['policy']!r} above it"
                f"{did_you_mean(start['policy'], full)}"
            )
        base = full[start["policy"]] if start else next(iter(full.values()), {})
        full[name] = {**base, "start_from": None, **entry}
        result[name] = build(PolicyConfig, full[name], f"policies.{name}")
        if start:
            _check_epoch(
                result, start["policy"], start["epoch"], f"policies.{name}.start_from.epoch"
            )
            _check_same_shape(result, name, start["policy"])
    return {name: _within(policy) for name, policy in result.items()}


def _within(policy: PolicyConfig | ImportedPolicy) -> PolicyConfig | ImportedPolicy:
    """Keeps of keep_epochs what the training reaches; the last epoch is always kept."""
    if isinstance(policy, ImportedPolicy):
        return policy
    return replace(policy, keep_epochs=tuple(e for e in policy.keep_epochs if e <= policy.epochs))


def _check_epoch(policies: Mapping[str, Any], name: str, epoch: int, where: str) -> None:
    policy = policies[name]
    kept = {*policy.keep_epochs, policy.epochs}
    if epoch not in kept or epoch > policy.epochs:
        raise ConfigError(
            f"{where}: epoch {epoch} of {name!r} is not kept; "
            f"add it to policies.{name}.keep_epochs "
            f"(kept: {', '.join(map(str, sorted(e for e in kept if e <= policy.epochs)))})"
        )


def _check_same_shape(policies: Mapping[str, Any], name: str, start: str) -> None:
    shape = (
        "channel_dim",
        "channel_hidden_dim",
        "token_hidden_dim",
        "num_layers",
        "action_chunk_size",
    )
    for key in shape:
        ours, theirs = getattr(policies[name], key), getattr(policies[start], key)
        if ours != theirs:
            raise ConfigError(
                f"policies.{name}.{key}: {ours} differs from {theirs} of {start!r}, "
                f"which it starts from"
            )


def _chunk_size(policies: Mapping[str, PolicyConfig | ImportedPolicy]) -> int:
    sizes = {p.action_chunk_size for p in policies.values() if isinstance(p, PolicyConfig)}
    if len(sizes) > 1:
        raise ConfigError(
            f"policies: action_chunk_size must be the same for all policies of a run, "
            f"got {sorted(sizes)}"
        )
    return sizes.pop() if sizes else 8


def _check_sizes(run: RunConfig) -> None:
    experts, datasets = run.experts, run.datasets
    rows = experts.num_envs * experts.rollout_steps
    if rows % experts.minibatches:
        raise ConfigError(
            f"experts.minibatches: {experts.minibatches} does not divide "
            f"num_envs x rollout_steps = {rows}"
        )
    if experts.total_steps < rows:
        raise ConfigError(
            f"experts.total_steps: {experts.total_steps} is less than one update of {rows} steps"
        )
    if datasets.transitions % datasets.num_envs:
        raise ConfigError(
            f"datasets.num_envs: {datasets.num_envs} does not divide "
            f"transitions = {datasets.transitions}"
        )
    chunk = _chunk_size(run.policies)
    for name in ("traces", "videos"):
        section = getattr(run, name)
        if not section.delay <= section.horizon <= chunk - section.delay:
            raise ConfigError(
                f"{name}.horizon: expected delay <= horizon <= {chunk} - delay, "
                f"got delay {section.delay}, horizon {section.horizon}"
            )


def _check_methods(run: RunConfig) -> None:
    for label, method in run.methods.items():
        where = f"methods.{label}"
        if method.policy not in run.policies:
            raise ConfigError(
                f"{where}.policy: no policy {method.policy!r}"
                f"{did_you_mean(method.policy, run.policies)}"
            )
        if ":" not in method.method:
            if method.method not in METHOD_OPTIONS:
                raise ConfigError(
                    f"{where}.method: unknown method {method.method!r}"
                    f"{did_you_mean(method.method, METHOD_OPTIONS)}"
                )
            known = (*METHOD_OPTIONS[method.method], "flow_steps")
            for option in method.options:
                if option not in known:
                    raise ConfigError(
                        f"{where}.{option}: unknown option{did_you_mean(option, known)}"
                    )
        policy = run.policies[method.policy]
        weak = method.options.get("weak_epoch")
        if weak is not None and isinstance(policy, PolicyConfig):
            _check_epoch(run.policies, method.policy, weak, f"{where}.weak_epoch")
        keep, samples = method.options.get("keep"), method.options.get("samples")
        if keep is not None and samples is not None and keep > samples:
            raise ConfigError(f"{where}.keep: {keep} is more than samples = {samples}")
        if method.method == "ttrtc" and getattr(policy, "simulated_delay", 1) is None:
            raise ConfigError(
                f"{where}.policy: {method.policy!r} was not trained for a pinned prefix; "
                f"name a policy with simulated_delay"
            )


def load_files(paths: list[Path], schema: str | Path) -> RunConfig:
    """Lays configuration files over one another, as Snakemake does, and checks the result.

    paths: the complete file first, then those that hold only what differs.
    Raises ConfigError naming the file or the key.
    """
    return load_run_config(read_files(paths), schema)
