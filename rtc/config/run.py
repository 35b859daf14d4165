"""The whole configuration of a run: built into dataclasses, cross-checked. Imports no jax.

`load_run_config` is what the Snakefile calls at parse; every message is one line that names
the key's path, what was expected and the nearest valid name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from rtc.config.build import build, convert, from_text, options_of, read_section
from rtc.config.cells import parse_cells
from rtc.config.checks import (
    check_acting,
    check_epoch,
    check_forecast,
    check_heads,
    check_kicks,
    check_levels,
    check_methods,
    check_sizes,
    check_weak_epochs,
    prefix_note,
    trained_delay,
)
from rtc.config.method_options import class_surface
from rtc.config.plug_ins import split_objective
from rtc.config.sections import (
    Cell,
    Configuration,
    HeadConfig,
    ImportedPolicy,
    LevelEntry,
    MethodConfig,
    PolicyConfig,
    StartFrom,
    head_config,
    method_config,
)
from rtc.config.text import check_size, lay_over, one_line, read_files
from rtc.errors import ConfigError, did_you_mean

# Keys of `experts` that say which targets there are, not how one of them is made.
ONE_FOR_ALL = ("seeds", "seeds_per_job", "video")


class Artifact(NamedTuple):
    """What is known of an imported policy before it is imported. path: of the file that says so.
    simulated_delay: of its training; None if it had none, or it is not known. epochs: those kept;
    empty if it is not known."""

    path: Path
    chunk_size: int
    simulated_delay: int | None
    epochs: tuple[int, ...] = ()


# (name in `policies`, its entry, levels as given) -> what is known, or None.
FindArtifact = Callable[[str, ImportedPolicy, tuple[str, ...]], Artifact | None]


def no_artifact(name: str, policy: ImportedPolicy, levels: tuple[str, ...]) -> None:
    """Where no files are to be looked at."""


@dataclass(frozen=True)
class RunConfig(Configuration):
    """One run: the configuration with its policies completed, its methods split into their own
    options and the rest, and the cells of the sweep.

    levels: as given, without settings of their own; `at` has those. chunk_size: H. notes: what
    the run asks of a method or policy that it was not made for; said wherever its results are
    shown. own: the run as it is for levels with settings of their own.
    """

    policies: Mapping[str, PolicyConfig | ImportedPolicy]
    methods: Mapping[str, MethodConfig]
    heads: Mapping[str, HeadConfig]
    cells: tuple[Cell, ...]
    chunk_size: int
    notes: tuple[str, ...]
    own: Mapping[str, "RunConfig"]

    def at(self, level: str) -> "RunConfig":
        """The run as it is for one level, given as in `levels`."""
        return self.own.get(level, self)


def load_run_config(
    config: Mapping[str, Any], find_artifact: FindArtifact = no_artifact
) -> RunConfig:
    """Checks a parsed configuration, the merged YAML, and builds its dataclasses.

    find_artifact: says what is known of imported policies.
    Raises ConfigError: one line with the key's path, what was expected, the nearest name.
    """
    try:
        return _load(config, find_artifact)
    except ConfigError as error:
        raise ConfigError(one_line(str(error))) from None


def _load(config: Mapping[str, Any], find_artifact: FindArtifact) -> RunConfig:
    check_size(config)
    sections = build(Configuration, config, "")
    listed = [e if isinstance(e, LevelEntry) else LevelEntry(e) for e in sections.levels]
    sections = replace(sections, levels=tuple(entry.level for entry in listed))
    # A file laid over another takes an entry out by setting it to null.
    entries = {name: _without_nulls(sections, name) for name in ("policies", "methods")}
    policies = _policies(entries["policies"])
    engine = sections.env.engine
    heads = {n: _head(n, entry) for n, entry in sections.heads.items() if entry is not None}
    methods = {
        label: _method(label, entry, engine, heads) for label, entry in entries["methods"].items()
    }
    check_levels(sections.levels)
    artifacts = {
        name: found
        for name, policy in policies.items()
        if isinstance(policy, ImportedPolicy)
        and (found := find_artifact(name, policy, sections.levels))
    }
    chunk_size = _chunk_size(policies, artifacts)
    cells = tuple(parse_cells(sections.evaluation.cells, chunk_size))
    check_sizes(sections, policies, chunk_size)
    check_methods(methods, policies)
    check_heads(heads, policies)
    check_kicks(sections.evaluation)
    check_weak_epochs(methods, {name: (a.path, a.epochs) for name, a in artifacts.items()})
    delays = {name: found.simulated_delay for name, found in artifacts.items()}
    delays |= {
        n: trained_delay(vars(p)) for n, p in policies.items() if isinstance(p, PolicyConfig)
    }
    notes = [prefix_note(label, m, delays.get(m.policy), cells) for label, m in methods.items()]
    if disturbances := sections.evaluation.disturbances:
        told = ", ".join(f"{key} {value:g}" for key, value in disturbances.items())
        notes.append(f"evaluations are disturbed: {told}")
    built = {"policies": policies, "methods": methods, "heads": heads}
    built |= {"cells": cells, "chunk_size": chunk_size, "notes": tuple(filter(None, notes))}
    # Last, so that what is wrong for all levels is not said of one.
    own = {
        entry.level: _own(config, entry, f"levels.{i}", find_artifact)
        for i, entry in enumerate(listed)
        if entry != LevelEntry(entry.level)
    }
    return RunConfig(**vars(sections) | built, own=own)


def _own(
    config: Mapping[str, Any], entry: LevelEntry, where: str, find_artifact: FindArtifact
) -> RunConfig:
    """The run for one level: its own settings laid over the others, and checked like them."""
    over = {name: value for name, value in vars(entry).items() if name != "level" and value}
    shared = [(s, key) for s in ("experts",) for key in ONE_FOR_ALL if key in over.get(s, {})]
    shared += [
        (f"policies.{name}", key)
        for name, keys in over.get("policies", {}).items()
        for key in ("seeds", "seeds_per_job")
        if key in keys
    ]
    if shared:
        raise ConfigError(f"{where}.{'.'.join(shared[0])}: is the same for all levels of a run")
    # A section that the command line gave as text is laid over as what it says.
    config = {**config, **{name: from_text(config[name], name) for name in over}}
    policies = over.get("policies", {})
    if strange := sorted(name for name in policies if name not in config["policies"]):
        hint = did_you_mean(strange[0], config["policies"])
        raise ConfigError(f"{where}.policies.{strange[0]}: no such policy{hint}")
    try:
        return _load(lay_over(config, over | {"levels": [entry.level]}), find_artifact)
    except ConfigError as error:
        raise ConfigError(f"{where} ({entry.level}): {error}") from None


def _without_nulls(sections: Configuration, name: str) -> dict[str, Mapping[str, Any]]:
    entries = {key: entry for key, entry in getattr(sections, name).items() if entry is not None}
    if not entries:
        raise ConfigError(f"{name}: expected at least one entry")
    return entries


def _method(
    label: str, entry: Mapping[str, Any], engine: str, heads: Mapping[str, HeadConfig]
) -> MethodConfig:
    """An entry of `methods`, its options held to what the method's dataclass says of them."""
    where = f"methods.{label}"
    method = method_config(label, entry)
    surface = class_surface("method", method.method, where)
    check_forecast(method, surface.needs, engine, where)
    method = replace(method, options=read_section(surface.options, method.options, where))
    check_acting(method, surface, heads, where)
    return method


def _head(name: str, entry: Mapping[str, Any]) -> HeadConfig:
    """An entry of `heads`, its options held to what the head's dataclass says of them."""
    where = f"heads.{name}"
    head = head_config(name, entry)
    options = read_section(class_surface("head", head.head, where).options, head.options, where)
    return replace(head, options=options)


def _policies(section: Mapping[str, Any]) -> dict[str, PolicyConfig | ImportedPolicy]:
    """Completes each entry: what it leaves out comes from the policy it starts from, or from the
    first complete one. The order does not matter: Snakemake puts what the command line names
    before what files hold."""
    own = {name: entry for name, entry in section.items() if "import" not in entry}
    needed = options_of(PolicyConfig).keys() - {"start_from"}
    first = next((name for name in own if needed <= own[name].keys()), next(iter(own), ""))
    full: dict[str, dict[str, Any]] = {}
    for name in own:
        _complete(name, own, first, full)
    result = {
        name: build(PolicyConfig, full[name], f"policies.{name}")
        if name in full
        else _imported(name, entry)
        for name, entry in section.items()
    }
    for name, policy in result.items():
        if isinstance(policy, PolicyConfig) and (start := policy.start_from):
            check_epoch(result, start.policy, start.epoch, f"policies.{name}.start_from.epoch")
            _check_same_shape(result, name, start.policy)
    return {name: _settled(policy, f"policies.{name}") for name, policy in result.items()}


def _complete(
    name: str,
    own: Mapping[str, Mapping[str, Any]],
    first: str,
    full: dict[str, dict[str, Any]],
    waiting: tuple[str, ...] = (),
) -> None:
    """Puts the complete entry into `full`, after those it rests on. waiting: what rests on it."""
    where = f"policies.{name}.start_from"
    start = convert(own[name].get("start_from"), StartFrom | None, where)
    if start and start.policy not in own:
        known = [other for other in own if other != name]
        raise ConfigError(
            f"{where}.policy: no policy {start.policy!r} that is trained here"
            f"{did_you_mean(start.policy, known)}"
        )
    rests_on = start.policy if start else first
    if start and rests_on in (*waiting, name):
        raise ConfigError(f"{where}.policy: {name!r} cannot start from itself, through others too")
    if rests_on not in (*full, *waiting, name):
        _complete(rests_on, own, first, full, (*waiting, name))
    full[name] = {**full.get(rests_on, {}), "start_from": None, **own[name]}


def _imported(name: str, entry: Mapping[str, Any]) -> ImportedPolicy:
    trained = options_of(PolicyConfig).keys() - options_of(ImportedPolicy)
    if extra := sorted(trained & entry.keys()):
        raise ConfigError(f"policies.{name}.{extra[0]}: an imported policy takes no such key")
    return build(ImportedPolicy, entry, f"policies.{name}")


def _settled(policy: PolicyConfig | ImportedPolicy, where: str) -> PolicyConfig | ImportedPolicy:
    """Keeps of keep_epochs what the training reaches, the last epoch is always kept; holds the
    options of its objective to what the objective's dataclass says of them."""
    if isinstance(policy, ImportedPolicy):
        return policy
    name, given = split_objective(policy.objective, where)
    options = read_section(
        class_surface("objective", name, where).options, given, f"{where}.objective"
    )
    kept = tuple(epoch for epoch in policy.keep_epochs if epoch <= policy.epochs)
    return replace(policy, keep_epochs=kept, objective={"objective": name, **options})


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


def _chunk_size(
    policies: Mapping[str, PolicyConfig | ImportedPolicy], artifacts: Mapping[str, Artifact]
) -> int:
    """H, which all policies of a run share; 8 where nothing says it."""
    sizes = {}
    for name, policy in policies.items():
        size, found = policy.action_chunk_size, artifacts.get(name)
        if found and size not in (None, found.chunk_size):
            raise ConfigError(
                f"policies.{name}.action_chunk_size: {size}, but the chunks of {found.path} "
                f"have {found.chunk_size} actions"
            )
        sizes[name] = found.chunk_size if found else size
    known = {name: size for name, size in sizes.items() if size is not None}
    if len(set(known.values())) > 1:
        told = ", ".join(f"{name} {size}" for name, size in known.items())
        raise ConfigError(
            f"policies: action_chunk_size must be the same for all policies of a run, got {told}"
        )
    return next(iter(known.values()), 8)


def load_files(paths: list[Path], find_artifact: FindArtifact = no_artifact) -> RunConfig:
    """Lays configuration files over one another, as Snakemake does, and checks the result.

    paths: the complete file first, then those that hold only what differs.
    Raises ConfigError naming the file or the key.
    """
    return load_run_config(read_files(paths), find_artifact)
