"""The whole configuration of a run: built into dataclasses, cross-checked. Imports no jax.

`load_run_config` is what the Snakefile calls at parse; every message is one line that names
the key's path, what was expected and the nearest valid name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rtc.config.build import build, convert, options_of, read_section
from rtc.config.cells import parse_cells
from rtc.config.method_options import method_options
from rtc.config.sections import (
    Cell,
    Configuration,
    ImportedPolicy,
    MethodConfig,
    PolicyConfig,
    StartFrom,
    method_config,
)
from rtc.config.text import check_size, one_line, read_files
from rtc.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class RunConfig(Configuration):
    """One run: the configuration with its policies completed, its methods split into their own
    options and the rest, and the cells of the sweep."""

    policies: Mapping[str, PolicyConfig | ImportedPolicy]
    methods: Mapping[str, MethodConfig]
    cells: tuple[Cell, ...]


def load_run_config(config: Mapping[str, Any]) -> RunConfig:
    """Checks a parsed configuration, the merged YAML, and builds its dataclasses.

    Raises ConfigError: one line with the key's path, what was expected, the nearest name.
    """
    try:
        return _load(config)
    except ConfigError as error:
        raise ConfigError(one_line(str(error))) from None


def _load(config: Mapping[str, Any]) -> RunConfig:
    check_size(config)
    sections = build(Configuration, config, "")
    # A file laid over another takes an entry out by setting it to null.
    entries = {name: _without_nulls(sections, name) for name in ("policies", "methods")}
    policies = _policies(entries["policies"])
    methods = {label: _method(label, entry) for label, entry in entries["methods"].items()}
    cells = parse_cells(sections.evaluation.cells, chunk_size=_chunk_size(policies))
    run = RunConfig(
        **vars(sections) | {"policies": policies, "methods": methods, "cells": tuple(cells)}
    )
    _check_levels(run)
    _check_sizes(run)
    _check_methods(run)
    return run


def _without_nulls(sections: Configuration, name: str) -> dict[str, Mapping[str, Any]]:
    entries = {key: entry for key, entry in getattr(sections, name).items() if entry is not None}
    if not entries:
        raise ConfigError(f"{name}: expected at least one entry")
    return entries


def _method(label: str, entry: Mapping[str, Any]) -> MethodConfig:
    """An entry of `methods`, its options held to what the method's dataclass says of them."""
    where = f"methods.{label}"
    method = method_config(label, entry)
    options = method_options(method.method, where)
    return replace(method, options=read_section(options, method.options, where))


def _check_levels(run: RunConfig) -> None:
    for i, level in enumerate(run.levels):
        if level in run.levels[:i]:
            raise ConfigError(f"levels.{i}: {level!r} is given twice")


def _policies(section: Mapping[str, Any]) -> dict[str, PolicyConfig | ImportedPolicy]:
    """Completes each entry: what it leaves out comes from the policy it starts from."""
    full: dict[str, dict[str, Any]] = {}
    result: dict[str, PolicyConfig | ImportedPolicy] = {}
    for name, entry in section.items():
        where = f"policies.{name}"
        if "import" in entry:
            trained = options_of(PolicyConfig).keys() - options_of(ImportedPolicy)
            if extra := sorted(trained & set(entry)):
                raise ConfigError(f"{where}.{extra[0]}: an imported policy takes no such key")
            result[name] = build(ImportedPolicy, entry, where)
            continue
        start = convert(entry.get("start_from"), StartFrom | None, f"{where}.start_from")
        if start and start.policy not in full:
            raise ConfigError(
                f"{where}.start_from.policy: no policy {start.policy!r} above it"
                f"{did_you_mean(start.policy, full)}"
            )
        base = full[start.policy] if start else next(iter(full.values()), {})
        full[name] = {**base, "start_from": None, **entry}
        result[name] = build(PolicyConfig, full[name], where)
        if start:
            _check_epoch(result, start.policy, start.epoch, f"{where}.start_from.epoch")
            _check_same_shape(result, name, start.policy)
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


def load_files(paths: list[Path]) -> RunConfig:
    """Lays configuration files over one another, as Snakemake does, and checks the result.

    paths: the complete file first, then those that hold only what differs.
    Raises ConfigError naming the file or the key.
    """
    return load_run_config(read_files(paths))
