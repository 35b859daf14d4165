"""The chunk size of pickles is known before a run, or else when they are imported."""

import numpy as np
import pytest

from rtc.config.sections import ImportedPolicy
from rtc.errors import ArtifactError, ConfigError
from rtc.exchange import import_policy
from rtc.exchange.plan import read_artifact
from tests.exchange.conftest import pickle_as_reference, policy_arrays

NAME = "worlds_l_h17_unicycle.pkl"
LEVELS = ("h17_unicycle",)


@pytest.fixture
def sixteen(tmp_path):
    """A run of the reference whose policy has chunks of 16 actions."""
    arrays = policy_arrays(0)
    for layer in range(2):
        for part, shape in {"in": (16, 12), "out": (12, 16)}.items():
            arrays[f"mlp_stack/{layer}/token_mix_{part}/kernel"] = np.ones(shape, np.float32)
    pickle_as_reference(tmp_path / "bc/31/policies" / NAME, arrays)
    return tmp_path / "bc"


def test_the_check_reads_pickles(sixteen):
    found = read_artifact("published", ImportedPolicy(str(sixteen)), LEVELS)
    assert found.chunk_size == 16
    assert found.path == sixteen / "31/policies" / NAME
    assert (found.simulated_delay, found.epochs) == (None, (32,))


@pytest.mark.parametrize(
    ("source", "levels", "words"),
    [
        ("nowhere", LEVELS, "policies.published.import: .*nowhere: no such file or folder"),
        ("bc", (*LEVELS, "mjc_swimmer"), r"policies.published.import: .*worlds_l_mjc_swimmer.pkl"),
    ],
)
def test_what_is_not_there_is_named_with_its_key(sixteen, source, levels, words):
    with pytest.raises(ConfigError, match=words):
        read_artifact("published", ImportedPolicy(str(sixteen.parent / source)), levels)


def test_another_chunk_size_is_refused_before_the_evaluation(sixteen, level, tmp_path):
    with pytest.raises(ArtifactError, match=r"chunks of 16 actions.* write action_chunk_size: 16"):
        import_policy(sixteen, level, tmp_path / "out", chunk_size=8)
    assert not (tmp_path / "out/policy.json").exists()
    import_policy(sixteen, level, tmp_path / "out", chunk_size=16)
    with pytest.raises(ArtifactError, match="out: chunks of 16 actions"):
        import_policy(tmp_path / "out", level, tmp_path / "again", chunk_size=8)
