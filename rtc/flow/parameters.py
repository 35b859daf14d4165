"""Parameters of a policy under flat names such as `mlp_stack/0/adaln_1/kernel`."""

from collections.abc import Mapping
from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from flax import nnx

from rtc.errors import ArtifactError, did_you_mean

Policy = TypeVar("Policy", bound=nnx.Module)


def named_parameters(policy: nnx.Module) -> dict[str, np.ndarray]:
    """All parameters of `policy` on the host, by name."""
    return {
        _name(path): np.asarray(value[...])
        for path, value in nnx.to_flat_state(nnx.state(policy, nnx.Param))
    }


def with_parameters(policy: Policy, named: Mapping[str, np.ndarray]) -> Policy:
    """A copy of `policy` that holds the parameters `named`.

    Raises ArtifactError when a name is missing or unknown, or a shape differs.
    """
    graph, state = nnx.split(policy)
    flat = dict(nnx.to_flat_state(state))
    names = {_name(path): path for path in flat}
    for name in named:
        if name not in names:
            raise ArtifactError(f"parameter {name!r} is unknown{did_you_mean(name, names)}")
    replaced = []
    for name, path in names.items():
        if name not in named:
            raise ArtifactError(f"parameter {name!r} is missing")
        if tuple(named[name].shape) != flat[path][...].shape:
            raise ArtifactError(
                f"parameter {name!r} has shape {tuple(named[name].shape)}, "
                f"the network needs {flat[path][...].shape}"
            )
        value = jnp.asarray(named[name], flat[path][...].dtype)
        replaced.append((path, flat[path].replace(value)))
    return nnx.merge(graph, nnx.from_flat_state(replaced))


def count_parameters(policy: nnx.Module) -> int:
    """Number of trained numbers."""
    return sum(value.size for value in named_parameters(policy).values())


def _name(path: tuple) -> str:
    return "/".join(str(part) for part in path)
