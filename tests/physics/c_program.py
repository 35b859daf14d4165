"""The GPU's kernels, compiled for the CPU by gcc: to test what a GPU would compute."""

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from rtc.physics.kernel.program import Source

needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc to compile the kernel with")


@contextmanager
def launches_by_gcc(folder: Path) -> Iterator[dict[Source, Callable[..., None]]]:
    """Inside, a launch is a call of the kernel's C program, one environment after the other.

    Yields the programs that were compiled so far.
    """
    programs: dict[Source, Callable[..., None]] = {}

    def launch(source: Source, ptx: str, arrays: Sequence[Any], over: Mapping[int, int]) -> Any:
        if source not in programs:
            programs[source] = compiled(source, folder / f"step{len(programs)}.c")
        batch = source.batch_of([np.shape(x) for x in arrays])
        shapes = [port.of(batch) for port in source.outputs]
        call = partial(called, programs[source], batch, shapes, over)
        traced = any(isinstance(x, jax.core.Tracer) for x in arrays)
        return jax.pure_callback(call, shapes, *arrays) if traced else call(*arrays)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rtc.physics.kernel.nvidia.launch", launch)
        patch.setattr("rtc.physics.kernel.nvidia.ptx_of", lambda source: "")
        yield programs


def compiled(source: Source, path: Path) -> Callable[..., None]:
    """The program's function of pointers."""
    path.write_text(source.c())
    library = path.with_suffix(".so")
    flags = ["-O1", "-w", "-fno-math-errno", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, path, "-o", library, "-lm"], check=True, timeout=300)
    return ctypes.CDLL(str(library)).step


def called(
    program: Callable[..., None],
    batch: int,
    shapes: Sequence[jax.ShapeDtypeStruct],
    over: Mapping[int, int],
    *arrays: Any,
) -> list[np.ndarray]:
    """The outputs; those of `over` are written over a copy of the array, as on a GPU."""
    given = [np.ascontiguousarray(x) for x in arrays]
    made = [np.zeros(shape.shape, shape.dtype) for shape in shapes]
    for k, output in over.items():
        made[output] = given[k] = given[k].copy()
    count = np.array([batch], np.int32)
    program(*(x.ctypes.data_as(ctypes.c_void_p) for x in (count, *given, *made)))
    return made
