"""The GPU's program of a step, compiled for the CPU by gcc: to test what a GPU would compute."""

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from rtc.env.specialised import SpecialisedEngine

needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc to compile the kernel with")


class CProgram:
    """`step(state, action)` of an engine as its kernel computes it, one environment at a time."""

    def __init__(self, engine: SpecialisedEngine, folder: Path) -> None:
        self._yields = jax.tree.structure(jax.eval_shape(engine.advance, *_example(engine)))
        self._ports = engine.kernel.source.outputs
        source, library = folder / "step.c", folder / "step.so"
        source.write_text(engine.kernel.source.c())
        flags = ["-O1", "-w", "-fno-math-errno", "-shared", "-fPIC"]
        command = ["gcc", *flags, str(source), "-o", str(library), "-lm"]
        subprocess.run(command, check=True, timeout=300)
        self._call = ctypes.CDLL(str(library)).step

    def __call__(self, state: Any, action: Any, in_place: bool = False) -> tuple[Any, Any]:
        """in_place: the new state is written over a copy of the old one."""
        given = [np.ascontiguousarray(x) for x in jax.tree.leaves((state, action))]
        count = np.array([len(action)], np.int32)
        shapes = [port.of(len(action)) for port in self._ports]
        made = [np.zeros(shape.shape, shape.dtype) for shape in shapes]
        if in_place:
            made[: len(given) - 1] = given[:-1] = [x.copy() for x in given[:-1]]
        self._call(*(x.ctypes.data_as(ctypes.c_void_p) for x in (count, *given, *made)))
        return jax.tree.unflatten(self._yields, made)


def _example(engine: SpecialisedEngine) -> tuple[Any, np.ndarray]:
    static = engine.level.static
    actions = static.num_motor_bindings + static.num_thruster_bindings
    return engine.reset(1), np.zeros((1, actions), np.float32)
