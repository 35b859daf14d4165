"""What a run ran on: device, versions, commit. For the report and for `rtc doctor`."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "kinetix-env", "snakemake")


def environment() -> dict[str, str]:
    """{"device": ..., "cores": ..., "python": ..., package: version, ..., "commit": ...}."""
    facts = {
        "device": device(),
        "cores": str(len(os.sched_getaffinity(0))),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    return facts | {package: _version(package) for package in PACKAGES} | {"commit": commit()}


def versions() -> str:
    """One line: "python 3.11.7, jax 0.9.0, ..."."""
    packages = ", ".join(f"{package} {_version(package)}" for package in PACKAGES)
    return f"python {platform.python_version()}, {packages}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def device() -> str:
    """The device jax computes on, such as "cpu" or "NVIDIA H200"; imports jax."""
    import jax

    found = jax.devices()
    return found[0].device_kind + (f" x {len(found)}" if len(found) > 1 else "")


def commit() -> str:
    """Short git commit of the checkout, with "+ changes" if files differ; "unknown" without git."""
    try:
        folder = Path(__file__).resolve().parents[2]
        head = _git(folder, "rev-parse", "--short", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} + changes" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    result = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return result.stdout.strip()
