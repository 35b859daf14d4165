"""The small policy of the golden file, its weak companion and its inputs."""

from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rtc.flow import FlowPolicy, ModelConfig, with_parameters
from rtc.methods import Context


@cache
def stored_arrays():
    """All arrays of the golden file."""
    with np.load(Path(__file__).parent / "golden" / "flow_policy.npz") as file:
        return dict(file)


@cache
def golden_policy(prefix="params/"):
    """The policy whose parameters the golden file holds under `prefix`."""
    arrays = stored_arrays()
    sizes = {k.removeprefix("config/"): int(v) for k, v in arrays.items() if "config/" in k}
    policy = FlowPolicy(
        obs_dim=arrays["obs"].shape[1],
        action_dim=arrays["noise"].shape[2],
        config=ModelConfig(**sizes),
        rngs=nnx.Rngs(0),
    )
    named = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    return with_parameters(policy, named)


def golden_inputs():
    """obs, noise and prev_action_chunk on the device."""
    arrays = stored_arrays()
    return {name: jnp.asarray(arrays[name]) for name in ("obs", "noise", "prev_action_chunk")}


def golden_context(delay, horizon=4, **told):
    """What a method is given at these inputs; told: further fields of the context."""
    inputs = golden_inputs()
    return Context(
        obs=inputs["obs"],
        previous=inputs["prev_action_chunk"],
        delay=jnp.int32(delay),
        horizon=jnp.int32(horizon),
        key=jax.random.key(0),
        noise=inputs["noise"][None],
        **told,
    )
