"""Compiles for a GPU on a machine that has none, down to the scheduled program.

Needs `pip install -e .[gpu-check]`. XLA's GPU compiler asks a device only for its limits; here they
come from a text, as in XLA's own folder of gpu_specs.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax

# Limits of each device by the name that --gpu takes, from the vendor's data sheets.
GPUS = {
    "h100": {
        "name": "NVIDIA H100 80GB HBM3",
        "capability": 9,
        "cores": 132,
        "clock_ghz": 1.98,
        "bandwidth": 3_352_320_000_000,
        "memory": 84_978_434_048,
        "l2": 52_428_800,
        "shared": 233_472,
    },
}


@dataclass(frozen=True)
class Compiled:
    """text: the scheduled program in XLA's notation. seconds: of compilation, tracing apart."""

    text: str
    seconds: float


def target_config(gpu: str) -> str:
    """The device as XLA's text proto."""
    limits = GPUS[gpu]
    return f"""
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: {limits["shared"]}
  shared_memory_per_block_optin: {limits["shared"] - 1024}
  core_count: {limits["cores"]} fpus_per_core: 128 clock_rate_ghz: {limits["clock_ghz"]}
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: {limits["bandwidth"]} l2_cache_size: {limits["l2"]}
  device_memory_size: {limits["memory"]}
  cuda_compute_capability {{ major: {limits["capability"]} }}
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}}
platform_name: "CUDA"
runtime_version {{ major: 12 minor: 9 patch: 0 }}
dnn_version_info {{ major: 9 minor: 8 patch: 0 }}
device_description_str: "{limits["name"]}"
"""


def prepare_process() -> None:
    """Before jax looks for devices: the CUDA plugin is loaded although there is no driver."""
    os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"
    os.environ["RTC_STEP_KERNEL"] = "on"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def as_if_on_gpu() -> Iterator[None]:
    """Branches on `jax.default_backend()` are traced as they would be on a GPU."""
    from jax._src import xla_bridge

    asked, named = jax.default_backend, xla_bridge.canonicalize_platform

    def canonical(platform: str) -> str:
        # Without a client for it jax does not know that "gpu" is "cuda" (jax issue 23971).
        return "cuda" if platform in ("gpu", "cuda") else named(platform)

    jax.default_backend, xla_bridge.canonicalize_platform = lambda: "gpu", canonical
    try:
        yield
    finally:
        jax.default_backend, xla_bridge.canonicalize_platform = asked, named


def compile_for(gpu: str, function: Callable[..., Any], *arguments: Any) -> Compiled:
    """Traces with the shapes of `arguments` and compiles; nothing is run."""
    from jax.experimental.topologies import get_topology_desc
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    with as_if_on_gpu():
        topology = get_topology_desc(
            platform="cuda", target_config=target_config(gpu), topology="1x1x1"
        )
        placed = NamedSharding(Mesh(topology.devices, ("x",)), PartitionSpec())
        shapes = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=placed),
            jax.eval_shape(lambda *given: given, *arguments),
        )
        lowered = jax.jit(function).lower(*shapes)
        began = time.perf_counter()
        compiled = lowered.compile()
        return Compiled(compiled.as_text(), time.perf_counter() - began)
