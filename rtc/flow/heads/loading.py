"""A trained head from its folder, a folder like a policy's: `head.json` and its checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rtc.flow.heads.interface import Head, Sizes
from rtc.flow.heads.registry import make_head
from rtc.flow.loading import read_info
from rtc.storage.checkpoints import list_checkpoints, restore_checkpoint

# What head.json must say for a head to be built from it.
REQUIRED = ("level", "policy", "head", "options", "sizes")


@dataclass(frozen=True)
class LoadedHead:
    """A trained head. network: called as its kind says, that of `Correction` with
    `(obs_history, last_action, action, index)`. kind: what it was made by, with its options, such
    as `observation_history`. info: all of `head.json`."""

    network: nnx.Module
    kind: Head
    info: Mapping[str, Any]


def load_head(path: str | Path) -> LoadedHead:
    """The head in a folder such as `results/heads/catcher_v3/a2c2/seed_0`.

    Raises ArtifactError (file, why, the command that mends it) if the folder is missing,
    incomplete or damaged.
    """
    path = Path(path)
    info = read_info(path / "head.json", REQUIRED)
    kind = make_head(info["head"], info["options"], f"{path}/head.json")
    graph, state = nnx.split(
        nnx.eval_shape(lambda: kind.network(Sizes(**info["sizes"]), nnx.Rngs(0)))
    )
    epoch = max(list_checkpoints(path / "checkpoints"), default=0)
    found = restore_checkpoint(path / "checkpoints" / str(epoch), nnx.to_pure_dict(state))
    return LoadedHead(nnx.merge(graph, jax.tree.map(jnp.asarray, found)), kind, info)
