"""What of a configuration cannot work together, found before anything is trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rtc.config.method_options import Surface
from rtc.config.sections import (
    Cell,
    Configuration,
    EvaluationConfig,
    HeadConfig,
    ImportedPolicy,
    MethodConfig,
    PolicyConfig,
)
from rtc.errors import ConfigError, did_you_mean

Policies = Mapping[str, PolicyConfig | ImportedPolicy]
# Methods that ask their policy for what only some of the built-in objectives train.
TRAINED_FOR = {"ttrtc": ("delayed_prefix", "soft_prefix"), "soft": ("soft_prefix",)}


def check_levels(levels: Sequence[str]) -> None:
    """Raises ConfigError if a level is listed twice."""
    seen = set()
    for i, level in enumerate(levels):
        if level in seen:
            raise ConfigError(f"levels.{i}: {level!r} is given twice")
        seen.add(level)


def check_sizes(config: Configuration, policies: Policies, chunk_size: int) -> None:
    """Raises ConfigError, naming the key, where one size leaves nothing for another."""
    trained = {name: p for name, p in policies.items() if isinstance(p, PolicyConfig)}
    _check_experts(config)
    _check_dataset(config, chunk_size if trained else 1)
    for name, policy in trained.items():
        windows = _windows(config, chunk_size + policy.objective.get("max_shift", 0))
        if policy.batch_size > windows:
            raise ConfigError(
                f"policies.{name}.batch_size: {policy.batch_size} is more than the {windows} "
                f"windows of {chunk_size} actions that a data set of {config.datasets.transitions} "
                f"transitions over {config.datasets.num_envs} environments has; lower it, or "
                f"raise datasets.transitions"
            )
        delay = trained_delay(vars(policy))
        if delay is not None and delay > chunk_size:
            raise ConfigError(
                f"policies.{name}.objective.simulated_delay: {delay} is more than "
                f"action_chunk_size = {chunk_size}; delays 0 .. simulated_delay - 1 are simulated"
            )
    for name in ("traces", "videos"):
        section = getattr(config, name)
        if not section.delay <= section.horizon <= chunk_size - section.delay:
            raise ConfigError(
                f"{name}.horizon: expected delay <= horizon <= {chunk_size} - delay, "
                f"got delay {section.delay}, horizon {section.horizon}"
            )


def _check_experts(config: Configuration) -> None:
    experts, least = config.experts, config.datasets.min_solve_rate
    rows = experts.num_envs * experts.rollout_steps
    if rows % experts.minibatches:
        raise ConfigError(
            f"experts.minibatches: {experts.minibatches} does not divide "
            f"num_envs x rollout_steps = {rows}"
        )
    if rows // experts.minibatches < 2:
        raise ConfigError(
            f"experts.minibatches: {experts.minibatches} leaves minibatches of one sample, as "
            f"num_envs x rollout_steps = {rows}; give each at least two"
        )
    if experts.total_steps < rows:
        raise ConfigError(
            f"experts.total_steps: {experts.total_steps} is less than one update of {rows} steps"
        )
    if experts.stop_at_solve_rate is not None and experts.stop_at_solve_rate < least:
        raise ConfigError(
            f"experts.stop_at_solve_rate: {experts.stop_at_solve_rate} ends seeds below "
            f"datasets.min_solve_rate = {least}, which they need to play; raise it to {least}"
        )


def _check_dataset(config: Configuration, chunk_size: int) -> None:
    datasets = config.datasets
    if datasets.transitions % datasets.num_envs:
        raise ConfigError(
            f"datasets.num_envs: {datasets.num_envs} does not divide "
            f"transitions = {datasets.transitions}"
        )
    steps = datasets.transitions // datasets.num_envs
    if steps < chunk_size:
        raise ConfigError(
            f"datasets.transitions: {datasets.transitions} over {datasets.num_envs} environments "
            f"are {steps} steps of each, too few for one window of {chunk_size} actions; give at "
            f"least {chunk_size * datasets.num_envs}, or lower datasets.num_envs"
        )


def _windows(config: Configuration, chunk_size: int) -> int:
    """Windows of a data set: they do not cross from one environment to the next."""
    steps = config.datasets.transitions // config.datasets.num_envs
    return config.datasets.num_envs * (steps - chunk_size + 1)


def check_methods(methods: Mapping[str, MethodConfig], policies: Policies) -> None:
    """Raises ConfigError where a method's policy is not there, or not made for it."""
    for label, method in methods.items():
        where = f"methods.{label}"
        if method.policy not in policies:
            raise ConfigError(
                f"{where}.policy: no policy {method.policy!r}"
                f"{did_you_mean(method.policy, policies)}"
            )
        policy = policies[method.policy]
        weak = method.options.get("weak_epoch")
        if weak is not None and isinstance(policy, PolicyConfig):
            check_epoch(policies, method.policy, weak, f"{where}.weak_epoch")
        keep, samples = method.options.get("keep"), method.options.get("samples")
        if method.method == "bid" and (keep is None) != (weak is None):
            raise ConfigError(
                f"{where}.keep: give keep and weak_epoch both, or neither (rejection only)"
            )
        if keep is not None and samples is not None and keep > samples:
            raise ConfigError(f"{where}.keep: {keep} is more than samples = {samples}")
        wanted = TRAINED_FOR.get(method.method)
        if wanted and isinstance(policy, PolicyConfig):
            trained = policy.objective["objective"]
            if trained not in wanted and ":" not in trained:
                raise ConfigError(
                    f"{where}.policy: the objective of {method.policy!r} was {trained}; "
                    f"name a policy trained with {' or '.join(wanted)}"
                )


def check_kicks(config: EvaluationConfig) -> None:
    """Raises ConfigError where kicks have no strength, or a strength and no chance."""
    given = {"kick_probability": config.kick_probability, "kick_scale": config.kick_scale}
    for key, other in (tuple(given), tuple(given)[::-1]):
        if given[key] and not given[other]:
            raise ConfigError(
                f"evaluation.{other}: 0, but {key} is {given[key]:g}; expected both above 0, or "
                f"both 0 (no kicks)"
            )


def check_heads(heads: Mapping[str, HeadConfig], policies: Policies) -> None:
    """Raises ConfigError where a head's policy is not there, or it has too little to learn from."""
    for name, head in heads.items():
        if head.policy not in policies:
            raise ConfigError(
                f"heads.{name}.policy: no policy {head.policy!r}"
                f"{did_you_mean(head.policy, policies)}"
            )
        if head.batch_size > head.transitions:
            raise ConfigError(
                f"heads.{name}.batch_size: {head.batch_size} is more than "
                f"transitions = {head.transitions}"
            )


def check_acting(
    method: MethodConfig, surface: Surface, heads: Mapping[str, HeadConfig], where: str
) -> None:
    """Raises ConfigError where a method lacks the heads that it acts with, or they are not its.

    surface: of the method. heads: of the run. where: the entry's path.
    """
    if "heads" in surface.needs and not method.heads:
        raise ConfigError(
            f"{where}.heads: missing; {method.method} acts with a trained head; expected a list "
            f"of keys of heads{' such as ' + next(iter(heads)) if heads else ''}"
        )
    if method.heads and "act" not in surface.names:
        raise ConfigError(f"{where}.heads: {method.method} does not act on every step")
    for name in method.heads:
        if name not in heads:
            raise ConfigError(f"{where}.heads: no head {name!r}{did_you_mean(name, heads)}")
        if heads[name].policy != method.policy:
            raise ConfigError(
                f"{where}.heads: {name!r} is trained on policy {heads[name].policy!r}, but the "
                f"method executes {method.policy!r}; name a head of that policy"
            )
        for key in surface.options.keys() & heads[name].options.keys():
            ours = method.options.get(key, surface.options[key].default)
            if ours != heads[name].options[key]:
                raise ConfigError(
                    f"{where}.{key}: {ours}, but heads.{name}.{key} is {heads[name].options[key]}; "
                    f"give both the same"
                )


def check_forecast(method: MethodConfig, needs: Sequence[str], engine: str, where: str) -> None:
    """Raises ConfigError where a method lacks the forecast that it needs, or one cannot be made.

    needs: keys that the method cannot do without. where: the entry's path.
    """
    if "forecast" in needs and method.forecast == "none":
        raise ConfigError(
            f"{where}.forecast: missing; {method.method} decides for the moment at which its "
            f"chunk takes over; expected oracle or model"
        )
    if method.forecast != "model":
        if method.model is not None:
            raise ConfigError(f"{where}.model: only with forecast: model")
        return
    if method.model is None:
        raise ConfigError(f"{where}.model: missing; expected factors such as {{gravity: 1.2}}")
    if set(vars(method.model).values()) == {1.0}:
        raise ConfigError(f"{where}.model: is the level itself, so say forecast: oracle")
    if engine != "specialised":
        raise ConfigError(
            f"{where}.forecast: a model's forecast is made by env.engine: specialised only"
        )


def check_weak_epochs(
    methods: Mapping[str, MethodConfig], kept: Mapping[str, tuple[Path, tuple[int, ...]]]
) -> None:
    """Raises ConfigError where a method asks an imported policy for an epoch that is not there.

    kept: policy -> the file that says it, and its epochs, none if it does not say them.
    """
    for label, method in methods.items():
        weak, (path, epochs) = method.options.get("weak_epoch"), kept.get(method.policy, ("", ()))
        if weak is not None and epochs and weak not in epochs:
            raise ConfigError(
                f"methods.{label}.weak_epoch: epoch {weak} of {method.policy!r} is not in {path} "
                f"(there are {', '.join(map(str, epochs))})"
            )


def check_epoch(policies: Mapping[str, Any], name: str, epoch: int, where: str) -> None:
    """Raises ConfigError unless that epoch's checkpoint of a trained policy is kept."""
    policy = policies[name]
    kept = {*policy.keep_epochs, policy.epochs}
    if epoch not in kept or epoch > policy.epochs:
        raise ConfigError(
            f"{where}: epoch {epoch} of {name!r} is not kept; "
            f"add it to policies.{name}.keep_epochs "
            f"(kept: {', '.join(map(str, sorted(e for e in kept if e <= policy.epochs)))})"
        )


def trained_delay(policy: Mapping[str, Any]) -> int | None:
    """`simulated_delay` of the objective of a policy, None if it has none.

    policy: its configuration, or what its policy.json says of it; before there were objectives
    the key stood beside the others.
    """
    objective = policy.get("objective")
    options = objective if isinstance(objective, Mapping) else policy
    return options.get("simulated_delay")


def prefix_note(
    label: str, method: MethodConfig, simulated_delay: int | None, cells: Sequence[Cell]
) -> str | None:
    """One sentence if a method gives its policy longer prefixes than it was trained for.

    label: of the method. simulated_delay: of the policy's training; None if it had none.
    """
    pins = method.method in TRAINED_FOR or ":" in method.method
    longer = sorted({cell.estimate for cell in cells if cell.estimate >= (simulated_delay or 0)})
    if simulated_delay is None or not pins or not longer:
        return None
    delays = f"delay{'s' if len(longer) > 1 else ''} {', '.join(map(str, longer))}"
    return (
        f"{label} at {delays}: its policy {method.policy} was trained for delays of at most "
        f"{simulated_delay - 1} (simulated_delay {simulated_delay})"
    )
