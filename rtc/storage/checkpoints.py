"""Checkpoints: trees of arrays as orbax folders, whole or not at all, checked when read.

A tree is stored as nested dicts of host arrays, whatever containers it had: a checkpoint
written on a GPU opens anywhere, and any orbax user can read it. Keys of dicts, fields of
NamedTuples and dataclasses and positions in sequences become the names; a key such as
`in_proj/kernel` is a path of names. No pickle.

Those that are shipped are one `.safetensors` file each (`rtc.storage.float16`) and read in the
same way, `checkpoints/10.safetensors` under the name `checkpoints/10`.

Beside orbax's files lies `files.json` with the SHA-256 of each; they are compared
before orbax opens anything, because on a broken file orbax fails late and not in one voice.
"""

import contextlib
import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rtc.errors import ArtifactError
from rtc.storage.float16 import SUFFIX, read_weights
from rtc.storage.io import atomic_path
from rtc.types import PyTree

Names = tuple[str, ...]
_MANIFEST = "files.json"


def save_checkpoint(path: str | Path, tree: PyTree) -> None:
    """Writes `tree` to the folder `path`, replacing what is there, whole or not at all.

    tree: any pytree of arrays, numbers and typed random keys (TypeError on strings and on
    arrays of size 0); None and empty containers are left out.
    Raises ArtifactError when the folder cannot be written (disk full, read-only).
    """
    # orbax costs a second to import; programs that only read a config do not pay it.
    from orbax.checkpoint import v1 as ocp

    path = Path(path)
    leaves = _named_arrays(tree)
    if not leaves:
        raise ValueError("a checkpoint needs at least one array")
    try:
        with atomic_path(path) as temporary, _quiet():
            ocp.save(temporary.absolute(), _nest(leaves))
            (temporary / _MANIFEST).write_text(json.dumps(_file_digests(temporary), indent=1))
    except (OSError, ValueError, RuntimeError) as error:
        raise ArtifactError(
            f"{path}: the checkpoint cannot be written ({_first_line(error)}); "
            f"make room or allow writing there, then run the same command again"
        ) from error


def restore_checkpoint(path: str | Path, like: PyTree | None = None) -> PyTree:
    """Reads what `save_checkpoint` wrote to the folder `path`, or a shipped file of that name.

    like: a tree of arrays, `jax.ShapeDtypeStruct`s, numbers and typed random keys; the result
    has its structure, and every shape and dtype must agree. Without it: nested dicts of
    arrays by name. Leaves are numpy arrays; where `like` has typed keys, they are keys again.
    Raises ArtifactError (file, why, the command that mends it) if the folder is missing,
    damaged or of another network size.
    """
    path = Path(path)
    leaves = _read(path)
    if like is None:
        return _nest(leaves)
    wanted = {_names(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(like)}
    _check_names(path, set(wanted), set(leaves))
    restored = [_fit(path, names, leaves[names], leaf) for names, leaf in wanted.items()]
    return jax.tree.unflatten(jax.tree.structure(like), restored)


def list_checkpoints(folder: str | Path) -> dict[int, Path]:
    """The checkpoints in `folder` by number (update or epoch), ascending; {} if there are none."""
    names = {path: path.name.removesuffix(SUFFIX) for path in Path(folder).glob("*")}
    found = {int(name): path for path, name in names.items() if name.isdigit()}
    return dict(sorted(found.items()))


def tree_digest(tree: PyTree) -> str:
    """Hex digest over the names, dtypes, shapes and bytes of a tree's arrays."""
    return _digest(_named_arrays(tree))


def mend_command(path: Path) -> str:
    """The command that makes a damaged artifact of a run anew, for error messages."""
    parents = [path, *path.parents]
    run = next((p.parent for p in parents if p.name == "checkpoints"), path)
    return f"rm -r {run} && make"


def _read(path: Path) -> dict[Names, np.ndarray]:
    shipped = path.with_name(path.name.removesuffix(SUFFIX) + SUFFIX)
    if shipped.is_file():
        return {tuple(name.split("/")): array for name, array in read_weights(shipped).items()}
    from orbax.checkpoint import v1 as ocp

    if not path.is_dir():
        near = list_checkpoints(path.parent)
        there = f"; there are {', '.join(map(str, near))}" if near else ""
        raise ArtifactError(f"{path}: no such checkpoint{there}; run: {mend_command(path)}")
    _check_files(path)
    try:
        with _quiet():
            return _named_arrays(ocp.load(path.absolute()))
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(
            f"{path}: this version of orbax cannot read the checkpoint ({_first_line(error)}); "
            f"run: {mend_command(path)}"
        ) from error


def _check_files(path: Path) -> None:
    try:
        expected = dict(json.loads((path / _MANIFEST).read_text()))
        found = _file_digests(path)
    except (OSError, ValueError, TypeError) as error:
        why = f"{_MANIFEST}: {_first_line(error)}"
    else:
        odd = [
            name for name in {**found, **expected} if found.get(name, "") != expected.get(name, "")
        ]
        if not odd:
            return
        why = f"{odd[0]} is {'changed' if odd[0] in found else 'missing'}"
    raise ArtifactError(f"{path}: the checkpoint is damaged ({why}); run: {mend_command(path)}")


def _file_digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != _MANIFEST)
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


def _check_names(path: Path, wanted: set[Names], found: set[Names]) -> None:
    if wanted == found:
        return
    odd = min(wanted ^ found)
    what = "is missing from it" if odd in wanted else "is not part of the network"
    raise ArtifactError(
        f"{path}: the checkpoint is of another network: {'/'.join(odd)} {what} "
        f"({len(found)} arrays found, {len(wanted)} expected); run: {mend_command(path)}"
    )


def _fit(path: Path, names: Names, found: np.ndarray, like: Any) -> Any:
    dtype = getattr(like, "dtype", None)
    is_key = dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)
    if is_key:
        keys = jax.random.wrap_key_data(found)
        found_shape = keys.shape
        agree = keys.shape == like.shape and keys.dtype == like.dtype
    else:
        expected = like if hasattr(like, "shape") else np.asarray(like)
        found_shape = found.shape
        agree = found.shape == tuple(expected.shape) and found.dtype == expected.dtype
        dtype = expected.dtype
    if not agree:
        shape = list(getattr(like, "shape", ()))
        raise ArtifactError(
            f"{path}: the checkpoint is of another network size: {'/'.join(names)} is "
            f"{found.dtype}{list(found_shape)}, expected {dtype}{shape}; "
            f"change the config back, or run: {mend_command(path)}"
        )
    return keys if is_key else found


def _named_arrays(tree: PyTree) -> dict[Names, np.ndarray]:
    flat = jax.tree_util.tree_leaves_with_path(tree)
    return {_names(keys): _to_host(leaf) for keys, leaf in flat}


def _names(keys: tuple[Any, ...]) -> Names:
    return tuple(part for key in keys for part in str(_bare(key)).split("/")) or ("value",)


def _bare(key: Any) -> Any:
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return getattr(key, attribute)
    return key


def _to_host(leaf: Any) -> np.ndarray:
    if hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    if array.dtype.kind in "OUSM":
        raise TypeError(f"a checkpoint holds numbers only, got {type(leaf).__name__}")
    if not array.size:
        raise TypeError(f"a checkpoint cannot hold an array without elements: {array.shape}")
    return array


def _nest(leaves: dict[Names, np.ndarray]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for names, leaf in leaves.items():
        node = root
        for name in names[:-1]:
            node = node.setdefault(name, {})
        node[names[-1]] = leaf
    return root


def _digest(leaves: dict[Names, np.ndarray]) -> str:
    sha = hashlib.sha256()
    for names, leaf in sorted(leaves.items(), key=lambda item: item[0]):
        sha.update(f"{'/'.join(names)} {leaf.dtype} {leaf.shape};".encode())
        sha.update(np.ascontiguousarray(leaf).tobytes())
    return sha.hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # orbax reports every step of a save through absl and warns about shardings we do not use.
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:160]}" if text else type(error).__name__
