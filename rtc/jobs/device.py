"""Where a job computes: which devices exist, which one is taken, how many cores and how much
device memory it may use. Decided before jax is imported, by environment variables; imports no jax.
"""

import contextlib
import importlib.util
import logging
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rtc.errors import RtcError, check_choice
from rtc.jobs.leases import lease_cores, lease_device, lease_folder

logger = logging.getLogger("rtc")

INSTALL = "pip install -e .[cuda12]"
PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")
# jax takes 75 % of a device by itself; jobs that share one leave this much for CUDA's own needs.
SHARED_MEMORY = 0.9
# Variables of jax that say where it computes, what it keeps and prints; all others change what or
# how it computes (64 bits, no compilation, another generator), and jobs keep to jax's own defaults.
KEPT = re.compile(
    r"JAX_(PLATFORMS|PJRT_\w+|LOG\w+|DUMP_\w+|DEBUG_LOG_MODULES|\w*(CACHE|TRACEBACK|VISIBLE)\w*)"
)
SEVERAL_DEVICES = re.compile(r"--xla_force_host_platform_device_count=\S*")
# For messages that the log file keeps and the terminal does not show.
LOG_ONLY = {"log_only": True}


@contextlib.contextmanager
def use_device(device: str, *, jobs_per_gpu: int = 1) -> Iterator[str]:
    """Leases what `device` asks for, says so in the log and to jax. Yields "cpu" or the GPU.

    device: "cpu"; "gpu", which waits for a free one and raises RtcError at once if there is
    no usable one; "auto", a GPU if there is a usable one, else the CPU.
    jobs_per_gpu: jobs that may share a device; each gets its share of the memory.
    """
    check_choice("device", device, ("auto", "cpu", "gpu"))
    if jobs_per_gpu < 1:
        raise RtcError(f"jobs_per_gpu: expected 1 or more, got {jobs_per_gpu}")
    devices, obstacle = usable_devices()
    if device == "gpu" and obstacle:
        raise RtcError(f"device: gpu, but {obstacle.what}; {obstacle.fix}, or set device: cpu")
    if device == "cpu" or obstacle:
        why = "as configured" if device == "cpu" else f"auto: {obstacle.what}"
        logger.info("device: cpu (%s)", why)
        # A platform that the user names (a TPU, say) is left alone where we have no opinion.
        named = os.environ.get("JAX_PLATFORMS", "")
        if device == "cpu" or not named or "cuda" in named.split(","):
            os.environ["JAX_PLATFORMS"] = "cpu"
        yield "cpu"
        return
    identities = device_identities(devices)
    with lease_device(_lease_scope(), list(identities), jobs_per_gpu) as identity:
        _announce(identities[identity], device, jobs_per_gpu, os.environ)
        yield identities[identity]


def variables_not_used(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Variables that would move numbers or stop sound programs: {name: what jobs have instead}.

    None is no such variable. Of XLA_FLAGS it is the number of pretended devices alone.
    """
    changed: dict[str, str | None] = {
        name: None for name in environ if name.startswith("JAX_") and not KEPT.fullmatch(name)
    }
    flags = environ.get("XLA_FLAGS", "")
    if SEVERAL_DEVICES.search(flags):
        changed["XLA_FLAGS"] = SEVERAL_DEVICES.sub("", flags).strip() or None
    return changed


def drop_unused_variables(environ: MutableMapping[str, str]) -> None:
    """Takes those variables out of the environment of this job; the log file says which."""
    for name, instead in sorted(variables_not_used(environ).items()):
        was = environ.pop(name)
        if instead is not None:
            environ[name] = instead
        logger.info("%s=%s is not used by jobs", name, was, extra=LOG_ONLY)


class Obstacle(NamedTuple):
    """what keeps a job from the GPU, and the fix."""

    what: str
    fix: str


def usable_devices() -> tuple[list[str], Obstacle | None]:
    """GPUs this process may use, as CUDA_VISIBLE_DEVICES names them, and what stands in the way.

    RTC_DEVICES="0,1" states the devices for machines without any (tests).
    """
    devices = visible_devices()
    if not devices:
        return [], Obstacle("no NVIDIA GPU is visible", f"run where there is one (and {INSTALL})")
    if "RTC_DEVICES" in os.environ:
        return devices, None
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        return devices, Obstacle("JAX_PLATFORMS=cpu is set", "unset it")
    if not any(importlib.util.find_spec(plugin) for plugin in PLUGINS):
        return devices, Obstacle("jax has no CUDA support here", INSTALL)
    return devices, None


def visible_devices() -> list[str]:
    """GPUs by the names that CUDA_VISIBLE_DEVICES takes; those it lists, if it is set."""
    found = all_devices()
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None or not found:
        return found
    tokens = [token.strip() for token in listed.split(",")]
    # CUDA ends the list at the first entry that it does not know (-1, NoDevFiles, empty).
    for end, token in enumerate(tokens):
        if not re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", token):
            return tokens[:end]
    return tokens


def all_devices() -> list[str]:
    """Every GPU of this machine: by UUID where nvidia-smi tells, else by index."""
    if "RTC_DEVICES" in os.environ:
        return [d.strip() for d in os.environ["RTC_DEVICES"].split(",") if d.strip()]
    listing = _nvidia_smi()
    if listing is not None:
        return parse_listing(listing)
    nodes = (re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*"))
    return sorted((node[1] for node in nodes if node), key=int)


def parse_listing(listing: str) -> list[str]:
    """UUIDs of `nvidia-smi -L`; a GPU that is cut into MIG instances is given by those."""
    devices: list[str] = []
    for line in listing.splitlines():
        if found := re.search(r"\(UUID: ((?:GPU|MIG)-[^)]+)\)", line):
            if found[1].startswith("MIG-") and devices and devices[-1].startswith("GPU-"):
                devices.pop()
            devices.append(found[1])
    return devices


def device_identities(devices: Sequence[str]) -> dict[str, str]:
    """What a lease is called -> what CUDA_VISIBLE_DEVICES is set to, for each device.

    An index means another device in each container or Slurm job, so that the lease goes by
    the UUID where it is known.
    """
    known = all_devices()
    identities = {}
    for device in devices:
        index = int(device) if device.isdigit() else -1
        named = 0 <= index < len(known) and not known[index].isdigit()
        identities[known[index] if named else device] = device
    return identities


def memory_fraction(jobs_per_gpu: int) -> float:
    """The share of a device's memory that each of `jobs_per_gpu` jobs may take."""
    return round(SHARED_MEMORY / jobs_per_gpu, 4)


@contextlib.contextmanager
def use_threads(threads: int) -> Iterator[int]:
    """Holds this process to `threads` cores: pinned to leased ones, else by pool size alone.

    Yields the number of cores. Jobs that run at the same time are pinned to different cores.
    If too few are free (another program's jobs hold them), the pools are limited and the
    process is not pinned, so that nothing waits.
    """
    if threads < 1:
        raise RtcError(f"threads: expected 1 or more, got {threads}")
    before = available_cores()
    count = min(threads, len(before))
    # PJRT_NPROC is XLA's pool; the others are those of BLAS, OpenMP and Arrow.
    for name in ("PJRT_NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(count)
    with lease_cores(lease_folder(), before, count) as cores:
        if cores is None or not hasattr(os, "sched_setaffinity"):
            logger.info("threads: %d (not pinned: too few cores are free)", count, extra=LOG_ONLY)
            yield count
            return
        os.sched_setaffinity(0, cores)
        logger.info("threads: %d (cores %s)", count, ", ".join(map(str, cores)), extra=LOG_ONLY)
        try:
            yield count
        finally:
            os.sched_setaffinity(0, before)


def available_cores() -> list[int]:
    """The cores this process may run on; all of them where the system cannot tell (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _announce(
    device: str, asked: str, jobs_per_gpu: int, environ: MutableMapping[str, str]
) -> None:
    """Tells jax which device is ours and how much of it; logs the same."""
    environ["CUDA_VISIBLE_DEVICES"] = device
    share = ""
    if jobs_per_gpu > 1:
        # jaxlib refuses to start if both names are set; the second is the older one.
        environ.pop("XLA_PYTHON_CLIENT_MEM_FRACTION", None)
        environ["XLA_CLIENT_MEM_FRACTION"] = str(memory_fraction(jobs_per_gpu))
        share = f", {memory_fraction(jobs_per_gpu):.0%} of its memory"
    # With "gpu", jax must not fall back to the CPU in silence.
    if asked == "gpu" and "RTC_DEVICES" not in environ:
        environ["JAX_PLATFORMS"] = "cuda,cpu"
    logger.info("device: gpu %s (%s%s)", device, asked, share)


def _lease_scope() -> Path:
    """The folder of device leases. Devices that Slurm gave to a job are that job's own."""
    folder = lease_folder()
    granted = os.environ.get("SLURM_JOB_GPUS") or os.environ.get("SLURM_STEP_GPUS")
    job = os.environ.get("SLURM_JOB_ID", "")
    if granted and job.isdigit():
        folder = folder / f"slurm-{job}"
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _nvidia_smi() -> str | None:
    try:
        result = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None
