import jax
import pytest

from tests.golden_policy import golden_inputs, golden_policy, stored_arrays


@pytest.fixture(scope="session")
def stored():
    """All arrays of the golden file."""
    return stored_arrays()


@pytest.fixture(scope="session")
def policy():
    """The small policy of the golden file."""
    return golden_policy()


@pytest.fixture(scope="session")
def inputs():
    """obs, noise and prev_action_chunk of the golden file."""
    return golden_inputs()


@pytest.fixture
def key():
    return jax.random.key(0)
