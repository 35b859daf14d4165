"""A trained policy from its folder: `load_policy(path)`, and what `policy.json` says of it."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rtc.errors import ArgumentError, ArtifactError
from rtc.flow import FlowPolicy
from rtc.flow.network import ModelConfig
from rtc.levels import load_level
from rtc.storage.checkpoints import list_checkpoints, mend_command, restore_checkpoint
from rtc.storage.pretrained import find_pretrained
from rtc.types import Array, Float, Key, PyTree, checked

# What policy.json must say for a policy to be built from it.
REQUIRED = ("level", "obs_dim", "action_dim", "model", "observation")


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy with what it takes to run it.

    policy: the network and its samplers. level: name of the level it was trained on.
    epoch: of the checkpoint. info: all of `policy.json`.
    """

    policy: FlowPolicy
    level: str
    epoch: int
    info: Mapping[str, Any]

    @cached_property
    def observation_indices(self) -> np.ndarray:
        """[o] places of the policy's observation entries in Kinetix's full observation."""
        return np.asarray(self.info["observation"]["indices"], np.int32)

    @cached_property
    def observation_constants(self) -> np.ndarray:
        """[f] the full observation; entries that vary are overwritten by `expand`."""
        return np.asarray(self.info["observation"]["constants"], np.float32)

    @property
    def observation_names(self) -> tuple[str, ...]:
        """A name per entry of the policy's observation."""
        return tuple(self.info["observation"]["names"])

    @checked(o="observation_indices.size")
    def expand(self, obs: Float[Array, "*b o"]) -> Float[Array, "*b f"]:
        """Kinetix's full observation from the entries that vary, exactly."""
        constants = jnp.asarray(self.observation_constants)
        full = jnp.broadcast_to(constants, (*obs.shape[:-1], len(constants)))
        return full.at[..., self.observation_indices].set(obs)

    @checked(f="observation_constants.size")
    def compress(self, full: Float[Array, "*b f"]) -> Float[Array, "*b o"]:
        """The entries of Kinetix's full observation that vary."""
        return full[..., self.observation_indices]

    @checked()
    def action(
        self, obs: Float[Array | np.ndarray, "*b p"], key: Key, *, num_steps: int = 5
    ) -> Float[Array, "*b h a"]:
        """Chunks of actions, by `num_steps` Euler steps.

        obs: one or a batch, as `env.observe` gives it or all of Kinetix's entries; they are told
        apart by their number, and turned into what the network takes.
        Raises ArgumentError for another number of entries, or fewer steps than 1.
        """
        obs = jnp.asarray(obs, jnp.float32)
        wanted, full = self.policy.obs_dim, len(self.observation_constants)
        varying = len(self.observation_indices)
        if obs.shape[-1] not in (varying, full):
            raise ArgumentError(
                f"obs: expected {varying} entries (those that vary on {self.level}) or {full} "
                f"(all of Kinetix's), got {obs.shape[-1]}"
            )
        if obs.shape[-1] != wanted:
            obs = self.expand(obs) if wanted == full else self.compress(obs)
        chunk = self._sample(obs.reshape(-1, wanted), key, num_steps)
        return chunk.reshape(*obs.shape[:-1], *chunk.shape[1:])

    @cached_property
    def _sample(self) -> Any:
        @functools.cache
        def prepared(num_steps: int) -> tuple[Any, PyTree]:
            # Kept beyond a trace of the caller's, so nothing traced may get in.
            with jax.ensure_compile_time_eval():
                return nnx.split(self.policy.prepare(num_steps))

        @functools.partial(jax.jit, static_argnums=(0, 4))
        def compiled(graph: Any, state: PyTree, obs: Array, key: Key, num_steps: int) -> Array:
            return nnx.merge(graph, state).action(key, obs, num_steps)

        return lambda obs, key, num_steps: compiled(*prepared(num_steps), obs, key, num_steps)


def load_policy(path: str | Path, epoch: int | None = None) -> LoadedPolicy:
    """The policy in a folder such as `results/policies/h17_unicycle/flow/seed_0`, or a shipped one
    by its level's name, "h17_unicycle" or "h17_unicycle/flow_ttrtc".

    epoch: of the checkpoint; None for the last one.
    Raises ArtifactError (file, why, the command that mends it) if the folder is missing,
    incomplete or damaged, or has no such epoch.
    """
    shipped = find_pretrained(path, "policies", lambda level: load_level(level).digest)
    path = shipped or Path(path)
    info = read_policy_info(path)
    kept = list_checkpoints(path / "checkpoints")
    if epoch is None:
        epoch = max(kept, default=0)
    graph, state = nnx.split(abstract_policy(info, path))
    shapes = nnx.to_pure_dict(state)
    params = restore_checkpoint(path / "checkpoints" / str(epoch), shapes)
    policy = nnx.merge(graph, jax.tree.map(jnp.asarray, params))
    return LoadedPolicy(policy, info["level"]["name"], epoch, info)


def read_policy_info(path: str | Path) -> dict[str, Any]:
    """What `policy.json` in the folder `path` says. Raises ArtifactError naming the file."""
    return read_info(Path(path) / "policy.json", REQUIRED)


def read_info(file: Path, required: Sequence[str]) -> dict[str, Any]:
    """What the JSON file of an artifact says, which has these keys. Raises ArtifactError."""
    repair = mend_command(file.parent)
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
        missing = [key for key in required if key not in info]
    except (OSError, ValueError, TypeError) as error:
        why = "missing" if not file.exists() else f"damaged ({type(error).__name__}: {error})"
        raise ArtifactError(f"{file}: {why}; run: {repair}") from error
    if missing:
        raise ArtifactError(f"{file}: no key {missing[0]!r}; run: {repair}")
    return info


def abstract_policy(info: Mapping[str, Any], path: Path) -> FlowPolicy:
    """A policy of the size that `policy.json` in `path` says, with shapes for parameters."""
    try:
        config = ModelConfig(**info["model"])
    except TypeError as error:
        raise ArtifactError(
            f"{path / 'policy.json'}: model: {error}; run: {mend_command(path)}"
        ) from error
    sizes = {"obs_dim": info["obs_dim"], "action_dim": info["action_dim"]}
    return nnx.eval_shape(lambda: FlowPolicy(**sizes, config=config, rngs=nnx.Rngs(0)))
