"""Weights as they are shipped: one `.safetensors` file of float16 arrays by name.

Read back, they are float32 again, with the values that float16 kept: what is shipped is what is
evaluated. Any user of safetensors can open the file.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rtc.errors import ArtifactError
from rtc.storage.io import atomic_path

SUFFIX = ".safetensors"
# Of the folder that files are shipped in; it says each file's SHA-256.
MANIFEST = "manifest.json"
DEEPEST = 6


def write_weights(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes float32 arrays, rounded to float16, whole or not at all.

    Raises ArtifactError if a number is not finite or beyond what float16 holds.
    """
    from safetensors.numpy import save

    half = {}
    for name, array in sorted(arrays.items()):
        with np.errstate(over="ignore"):
            half[name] = np.ascontiguousarray(array, np.float16)
        if not np.isfinite(half[name]).all():
            raise ArtifactError(
                f"{path}: {name} holds numbers that float16 does not (beyond 65504 or not finite)"
            )
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(half))


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Reads what `write_weights` wrote, as float32 arrays by name.

    Raises ArtifactError if the file is missing, damaged, or another than its manifest says.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(path)
    check_shipped(path)
    try:
        arrays = load(path.read_bytes())
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise ArtifactError(
            f"{path}: no readable weights ({error}); bring the file back"
        ) from error
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def copy_weights(source: str | Path, target: str | Path) -> None:
    """Copies a file of weights as it is, whole or not at all. Raises ArtifactError as above."""
    check_shipped(source)
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def check_shipped(path: str | Path) -> None:
    """Raises ArtifactError if a manifest in a folder above lists the file with another SHA-256."""
    path = Path(path).absolute()
    for folder in path.parents[:DEEPEST]:
        entry = _listed(folder / MANIFEST).get(path.relative_to(folder).as_posix())
        if entry is not None and entry != file_digest(path):
            raise ArtifactError(
                f"{path}: not the file that {folder / MANIFEST} lists (another SHA-256); "
                f"bring it back, or run: snakemake pretrained"
            )


def _listed(manifest: Path) -> dict[str, str]:
    """{file: SHA-256} of a manifest; empty if it is none, or somebody else's."""
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        return {name: entry["sha256"] for name, entry in files.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex. Raises ArtifactError if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({type(error).__name__})") from error
