"""The small policy of the golden file, with its weak companion."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rtc.flow import FlowPolicy, ModelConfig
from rtc.policy import with_parameters


def policy_of(arrays, prefix):
    """The policy whose parameters the golden file holds under `prefix`."""
    sizes = {k.removeprefix("config/"): int(v) for k, v in arrays.items() if "config/" in k}
    policy = FlowPolicy(
        obs_dim=arrays["obs"].shape[1],
        action_dim=arrays["noise"].shape[2],
        config=ModelConfig(**sizes),
        rngs=nnx.Rngs(0),
    )
    named = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    return with_parameters(policy, named)


@pytest.fixture(scope="session")
def stored():
    """All arrays of the golden file."""
    with np.load(Path(__file__).parent.parent / "golden" / "flow_policy.npz") as file:
        return dict(file)


@pytest.fixture(scope="session")
def policy(stored):
    return policy_of(stored, "params/")


@pytest.fixture(scope="session")
def weak_policy(stored):
    return policy_of(stored, "weak_params/")


@pytest.fixture(scope="session")
def inputs(stored):
    """obs, noise and previous chunk of the golden file on the device."""
    return {name: jnp.asarray(stored[name]) for name in ("obs", "noise", "prev_action_chunk")}


@pytest.fixture
def key():
    return jax.random.key(0)
