"""Flow policies of the reference: `<epoch>/policies/worlds_l_<level>.pkl`, both ways.

The reference counts epochs from 0, so its folder 31 holds what 32 epochs made: epoch 32 here.
Its policies take all 679 entries of Kinetix's observation, ours those that vary in the level.
Coming in, weights stay as they are, 679 wide, and the evaluation expands observations to fit;
only where all weights on the constant entries are zero (a policy that went out from here) is
the policy made compact again. Going out, a compact policy gets zeros there. So either way
round, weights come back bit for bit.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from rtc.errors import ArtifactError, did_you_mean
from rtc.exchange.names import (
    exported_name,
    flatten,
    need,
    observation_info,
    reference_name,
    unflatten,
)
from rtc.exchange.pickles import read_pickle, write_pickle
from rtc.flow.loading import abstract_policy, read_policy_info
from rtc.levels import Level
from rtc.storage.checkpoints import list_checkpoints, restore_checkpoint, save_checkpoint
from rtc.storage.float16 import copy_weights
from rtc.storage.io import write_json
from rtc.storage.pretrained import find_source

KERNEL = "in_proj/kernel"
MARKS = (KERNEL, "in_proj/bias", "out_proj/kernel", "mlp_stack/0/token_mix_in/kernel",
         "mlp_stack/0/channel_mix_in/kernel")  # fmt: skip


def import_policy(
    source: str | Path,
    level: Level,
    output: str | Path,
    *,
    stem: str | None = None,
    chunk_size: int | None = None,
) -> None:
    """Brings a policy trained elsewhere into a folder of ours: checkpoints and `policy.json`.

    source: a run of the reference (`logs-bc/<run>`, all epochs), one epoch of it
    (`logs-bc/<run>/31`), one pickle, or a policy folder of this pipeline; `{level}` in it
    stands for the level's name. One in `pretrained/` is found beside the package, too.
    stem: what the pickles are called, where that is not `worlds_l_<level>`.
    chunk_size: H of the run's cells; None takes any.
    Raises ArtifactError if there is nothing for the level, it cannot be read or has another H.
    """
    source, output = find_source(str(source).replace("{level}", level.name)), Path(output)
    if (source / "policy.json").is_file():
        _copy_ours(source, level, output, chunk_size)
        return
    files = find_pickles(source, level, stem or reference_name(level.name))
    last = max(files)
    arrays = {epoch: read_policy_pickle(file) for epoch, file in files.items()}
    observation = observation_info(level)
    if all(_ignores_constants(named, observation) for named in arrays.values()):
        arrays = {epoch: compact(named, observation) for epoch, named in arrays.items()}
    info = {
        "level": {"name": level.name, "digest": level.digest},
        "observation": observation,
        **policy_sizes(arrays[last], files[last]),
        "parameters": sum(array.size for array in arrays[last].values()),
        "epochs": last,
        "kept_epochs": sorted(arrays),
        "diverged": None,
        "source": "reference",
        "reference_name": files[last].stem,
        "imported": {
            str(epoch): {"path": str(file), "sha256": _sha256(file)}
            for epoch, file in sorted(files.items())
        },
    }
    _check_chunks(info, chunk_size, files[last])
    _check_width(info, level, files[last])
    for epoch, named in arrays.items():
        _check_shapes(named, info, files[epoch])
        save_checkpoint(output / "checkpoints" / str(epoch), named)
    write_json(output / "policy.json", info)


def export_policy(policy: str | Path, output: str | Path) -> list[Path]:
    """Writes the kept epochs of a policy folder as the reference does; returns the files.

    output: the run's folder; epoch n goes to `<n - 1>/policies/worlds_l_<level>.pkl`.
    """
    policy = Path(policy)
    info = read_policy_info(policy)
    written = []
    for epoch, checkpoint in list_checkpoints(policy / "checkpoints").items():
        named = flatten(restore_checkpoint(checkpoint))
        name = exported_name(info, info["level"]["name"])
        path = Path(output) / str(epoch - 1) / "policies" / f"{name}.pkl"
        write_pickle(path, unflatten(expand(named, info["observation"])))
        written.append(path)
    return written


def find_pickles(source: Path, level: Level, stem: str) -> dict[int, Path]:
    """The pickles called `stem`, by our epoch. Raises ArtifactError if there is none."""
    if source.is_file():
        parent = source.parent.parent.name
        return {int(parent) + 1 if parent.isdigit() else 1: source}
    name = Path("policies") / f"{stem}.pkl"
    folders = [source] if (source / "policies").is_dir() else list(source.glob("*"))
    found = {
        int(folder.name) + 1 if folder.name.isdigit() else 1: folder / name
        for folder in sorted(folders)
        if (folder / name).is_file()
    }
    if not found:
        raise ArtifactError(
            f"{source}: no {name}, neither here nor in folders of epochs; "
            f"expected a run of the reference or one epoch of it{_others(source, level)}"
        )
    return found


def read_policy_pickle(path: Path) -> dict[str, np.ndarray]:
    """Parameters by name. Raises ArtifactError if it is no flow policy."""
    tree = read_pickle(path)
    if not isinstance(tree, Mapping):
        raise ArtifactError(f"{path}: not a flow policy of the reference: no dict of arrays")
    named = flatten(tree)
    need(named, MARKS, path, "a flow policy")
    return named


def policy_sizes(named: Mapping[str, np.ndarray], path: Path) -> dict[str, Any]:
    """What the shapes of a policy say of the network, as in `policy.json`."""
    layers = {int(name.split("/")[1]) for name in named if name.startswith("mlp_stack/")}
    action_dim = named["out_proj/kernel"].shape[-1]
    try:
        tokens, token_hidden = named["mlp_stack/0/token_mix_in/kernel"].shape
        channels, channel_hidden = named["mlp_stack/0/channel_mix_in/kernel"].shape
    except ValueError as error:
        raise ArtifactError(f"{path}: not a flow policy: kernels are no matrices") from error
    return {
        "obs_dim": named[KERNEL].shape[0] - action_dim,
        "action_dim": action_dim,
        "model": {
            "channel_dim": channels,
            "channel_hidden_dim": channel_hidden,
            "token_hidden_dim": token_hidden,
            "num_layers": len(layers),
            "action_chunk_size": tokens,
            "precision": "float32",
        },
    }


def compact(
    named: Mapping[str, np.ndarray], observation: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """A 679-wide policy as one on the entries that vary: the same function of the level's
    observations, what the constant entries add going into the bias. Exact where they add 0."""
    actions = named["out_proj/kernel"].shape[-1]
    kernel, indices = named[KERNEL], np.asarray(observation["indices"])
    constants = np.array(observation["constants"], np.float64)
    constants[indices] = 0
    added = constants @ kernel[actions:].astype(np.float64)
    rows = np.concatenate([np.arange(actions), actions + indices])
    bias = np.where(added == 0, named["in_proj/bias"], named["in_proj/bias"] + added)
    return {**named, KERNEL: kernel[rows], "in_proj/bias": bias.astype(kernel.dtype)}


def expand(
    named: Mapping[str, np.ndarray], observation: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """A compact policy as one on the full observation, with zeros on the constant entries; one
    that is 679 wide stays as it is."""
    kernel, full = named[KERNEL], len(observation["constants"])
    actions = named["out_proj/kernel"].shape[-1]
    if kernel.shape[0] == actions + full:
        return dict(named)
    wide = np.zeros((actions + full, kernel.shape[1]), kernel.dtype)
    wide[:actions] = kernel[:actions]
    wide[actions + np.asarray(observation["indices"])] = kernel[actions:]
    return {**named, KERNEL: wide}


def _ignores_constants(named: Mapping[str, np.ndarray], observation: Mapping[str, Any]) -> bool:
    actions = named["out_proj/kernel"].shape[-1]
    if named[KERNEL].shape[0] != actions + len(observation["constants"]):
        return False
    constant = np.ones(len(observation["constants"]), bool)
    constant[np.asarray(observation["indices"], int)] = False
    return not named[KERNEL][actions:][constant].any()


def _check_width(info: Mapping[str, Any], level: Level, path: Path) -> None:
    widths = (len(info["observation"]["constants"]), len(info["observation"]["indices"]))
    if info["obs_dim"] not in widths:
        raise ArtifactError(
            f"{path}: the policy takes {info['obs_dim']} observations, level {level.name} has "
            f"{widths[0]} ({widths[1]} that vary)"
        )


def _check_chunks(info: Mapping[str, Any], chunk_size: int | None, path: Path) -> None:
    found = info["model"]["action_chunk_size"]
    if chunk_size not in (None, found):
        raise ArtifactError(
            f"{path}: chunks of {found} actions, but the cells of this run are those of chunks of "
            f"{chunk_size}; write action_chunk_size: {found} beside import: in the configuration"
        )


def _check_shapes(named: Mapping[str, np.ndarray], info: Mapping[str, Any], path: Path) -> None:
    _, state = nnx.split(abstract_policy(info, path))
    wanted = {"/".join(map(str, place)): leaf.shape for place, leaf in nnx.to_flat_state(state)}
    for name, array in named.items():
        if name not in wanted:
            raise ArtifactError(f"{path}: unknown parameter {name}{did_you_mean(name, wanted)}")
        if array.shape != wanted[name] or array.dtype != np.float32:
            raise ArtifactError(
                f"{path}: {name} is {array.dtype}{list(array.shape)}, "
                f"expected float32{list(wanted[name])}"
            )
    need(named, tuple(wanted), path, "a whole flow policy")


def _copy_ours(source: Path, level: Level, output: Path, chunk_size: int | None) -> None:
    info = read_policy_info(source)
    _check_chunks(info, chunk_size, source)
    if info["level"]["digest"] != level.digest:
        raise ArtifactError(
            f"{source}: trained on another level than {level.name} "
            f"({info['level']['name']}), or the level changed since"
        )
    for epoch, checkpoint in list_checkpoints(source / "checkpoints").items():
        if checkpoint.is_file():
            copy_weights(checkpoint, output / "checkpoints" / checkpoint.name)
        else:
            save_checkpoint(output / "checkpoints" / str(epoch), restore_checkpoint(checkpoint))
    write_json(output / "policy.json", {**info, "imported": {"path": str(source)}})


def _others(source: Path, level: Level) -> str:
    files = [*source.glob("policies/worlds_*.pkl"), *source.glob("*/policies/worlds_*.pkl")]
    for path in files:
        if path.stem.endswith(f"_{level.name}"):  # of a folder of another letter
            return f"; if {path} is meant, name that file"
    known = {path.stem.removeprefix("worlds_l_") for path in files}
    return f"; there are policies for {', '.join(sorted(known))}" if known else ""


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
