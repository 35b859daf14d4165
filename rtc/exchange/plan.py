"""What a policy trained elsewhere is like, asked before a run begins."""

from collections.abc import Sequence
from pathlib import Path

from rtc.config.run import Artifact
from rtc.config.sections import ImportedPolicy
from rtc.errors import ArtifactError, ConfigError
from rtc.exchange.names import reference_name
from rtc.exchange.policies import find_pickles, policy_sizes, read_policy_pickle
from rtc.levels import load_level
from rtc.storage.pretrained import find_source


def read_artifact(name: str, policy: ImportedPolicy, levels: Sequence[str]) -> Artifact:
    """What the pickles of an imported policy say of it; see `rtc.levels.plan.find_artifact`.

    Raises ConfigError, with the key, if there is nothing for one of the levels.
    """
    try:
        files, *_ = [_pickles(policy, level) for level in levels]
        last = files[max(files)]
        sizes = policy_sizes(read_policy_pickle(last), last)
    except ArtifactError as error:
        raise ConfigError(f"policies.{name}.import: {error}") from None
    return Artifact(last, sizes["model"]["action_chunk_size"], None, tuple(sorted(files)))


def _pickles(policy: ImportedPolicy, given: str) -> dict[int, Path]:
    """By epoch, counted from 1."""
    level = load_level(given)
    source = find_source(policy.source.replace("{level}", level.name))
    if not source.exists():
        raise ArtifactError(f"{source}: no such file or folder")
    return find_pickles(source, level, reference_name(level.name))
