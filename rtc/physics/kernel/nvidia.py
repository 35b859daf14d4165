"""The printed program on an NVIDIA GPU: compiled by NVRTC, called from inside a jax program.

NVRTC comes with `jax[cuda12]` and `jax[cuda13]`. The call goes by XLA's own target for kernels in
PTX, which is not a public interface: tests/physics/test_gpu_program.py compiles one.
"""

import ctypes
import ctypes.util
import hashlib
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from math import prod
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap

from rtc.physics.kernel.program import THREADS, Source
from rtc.types import Array

TARGET = "__gpu$xla.gpu.ptx"
ARCHITECTURE = "compute_80"  # of every GPU from Ampere on; the driver makes it that of its own
PTX_VERSION = "7.8"  # older drivers refuse newer texts unread


class NoCompilerError(RuntimeError):
    """NVRTC is not installed."""


def kernel_at_hand() -> bool:
    """Whether programs traced now may call kernels: on a GPU, with RTC_STEP_KERNEL=on.

    Off by default: the kernel was compiled for a GPU and its program run on CPUs, but it has not
    been run on a GPU yet.
    """
    if jax.default_backend() != "gpu" or os.environ.get("RTC_STEP_KERNEL", "off") != "on":
        return False
    try:
        nvrtc()
    except NoCompilerError as error:
        warnings.warn(f"{error}: a step takes a thousand launches in place of one", stacklevel=3)
        return False
    return True


@cache
def nvrtc() -> ctypes.CDLL:
    """The compiler's library. Raises NoCompilerError."""
    spec = find_spec("nvidia")
    folders = [Path(p) for p in (spec.submodule_search_locations if spec else None) or ()]
    found = [str(p) for f in folders for p in sorted(f.glob("*/lib/libnvrtc.so.*"))]
    system = ctypes.util.find_library("nvrtc")
    for name in [*found, *([system] if system else [])]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise NoCompilerError("NVRTC, which comes with jax[cuda12] and jax[cuda13], was not found")


def ptx_of(source: Source) -> str:
    """The program as PTX, from the folder of jax's compilation cache if it lies there."""
    text = source.cuda()
    name = hashlib.sha256(f"{ARCHITECTURE} {PTX_VERSION} {text}".encode()).hexdigest()
    folder = jax.config.jax_compilation_cache_dir
    kept = Path(folder) / f"kernel-{name}.ptx" if folder else None
    if kept and kept.is_file():
        return kept.read_text()
    ptx = compile_ptx(text)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{id(ptx)}.part")
        part.write_text(ptx)
        part.replace(kept)
    return ptx


def compile_ptx(text: str) -> str:
    """CUDA C to PTX. Raises RuntimeError with the compiler's words."""
    library, program = nvrtc(), ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"step.cu", 0, None, None)
    options = [f"--gpu-architecture={ARCHITECTURE}".encode(), b"--diag-suppress=177"]
    failed = library.nvrtcCompileProgram(
        program, len(options), (ctypes.c_char_p * len(options))(*options)
    )
    words = _text(library, program, "ProgramLog" if failed else "PTX")
    library.nvrtcDestroyProgram(ctypes.byref(program))
    if failed:
        raise RuntimeError(f"NVRTC: {words}")
    # A hint that came with version 8.3, the only thing newer than what is declared.
    words = re.sub(r'^\s*\.pragma "used_bytes_mask.*\n', "", words, flags=re.MULTILINE)
    return re.sub(r"\.version \d+\.\d+", f".version {PTX_VERSION}", words, count=1)


def _text(library: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> str:
    size = ctypes.c_size_t()
    getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(library, f"nvrtcGet{what}")(program, buffer)
    return buffer.value.decode()


def launch(
    source: Source, ptx: str, arrays: Sequence[Array], over: Mapping[int, int]
) -> list[Array]:
    """One launch for all environments of `arrays`; under vmap still one.

    over: array -> the output that may be written over it.
    """
    return _launcher(source, ptx, over, ())(*arrays)


def _launcher(source: Source, ptx: str, over: Mapping[int, int], lead: tuple[int, ...]) -> Callable:
    """The call for arrays with some leading axes."""

    @custom_vmap
    def call(*arrays: Array) -> list[Array]:
        batch = source.batch_of([x.shape[len(lead) :] for x in arrays])
        results = [
            jax.ShapeDtypeStruct((*lead, *port.of(batch).shape), port.dtype)
            for port in source.outputs
        ]
        count = len(arrays) + 1
        same = {1 + k: output for k, output in over.items()}
        kernel = jax.ffi.ffi_call(TARGET, results, input_output_aliases=same)
        return kernel(
            jnp.full(1, batch, jnp.int32),
            *arrays,
            name="step",
            kernel_type="ptx",
            kernel_data=ptx,
            **_sizes("grid", -(-batch // THREADS), prod(lead)),
            **_sizes("block", THREADS, 1),
            shared_mem_bytes=np.int32(0),
            output_indices=np.arange(count, count + len(results), dtype=np.int32),
        )

    @call.def_vmap
    def batched(size: int, which: Sequence[bool], *arrays: Array) -> tuple[list[Array], list[bool]]:
        spread = [
            x if along else jnp.broadcast_to(x, (size, *x.shape)) for x, along in zip(arrays, which)
        ]
        return _launcher(source, ptx, over, (size, *lead))(*spread), [True] * len(source.outputs)

    return call


def _sizes(what: str, x: int, y: int) -> dict[str, np.int32]:
    return {f"{what}_{axis}": np.int32(n) for axis, n in zip("xyz", (x, y, 1))}
