"""The kernel of a step, level by level: registers, spills, memory of a thread, seconds to compile.

Printed and compiled for a GPU by the compilers that jax[cuda12] brings; nothing is run. Registers
and spills bound how fast it can be: a processor of an H100 has 65,536 registers.

    python benchmarks/gpu_kernel.py [--levels ...] [--architecture sm_90] [--json FILE] [--quick]

In an environment with `pip install -e .[gpu-check]`.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from gpu_target import prepare_process

prepare_process()

from rtc.env.specialised import SpecialisedEngine  # noqa: E402
from rtc.levels import load_level  # noqa: E402
from rtc.physics.kernel.nvidia import compile_ptx  # noqa: E402

ROOT = Path(__file__).parents[1]
LEVELS = sorted(path.stem for path in (ROOT / "config" / "levels").glob("*.yaml"))


def ptxas() -> Path:
    """The assembler that comes with jax[cuda12]."""
    folders = map(Path, find_spec("nvidia").submodule_search_locations)
    return next(tool for folder in folders for tool in folder.glob("*/bin/ptxas"))


def assemble(ptx: str, architecture: str) -> dict[str, int]:
    """What the assembler says of the kernel, in bytes of a thread but for the registers."""
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "step.ptx"
        text.write_text(ptx)
        command = [ptxas(), "-v", f"-arch={architecture}", text, "-o", text.with_suffix(".cubin")]
        words = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    patterns = {
        "registers": r"Used (\d+) registers",
        "stack": r"(\d+) bytes stack frame",
        "spill_stores": r"(\d+) bytes spill stores",
        "spill_loads": r"(\d+) bytes spill loads",
    }
    return {name: int(re.search(p, words).group(1)) for name, p in patterns.items()}


def measure(level: str, architecture: str) -> dict[str, Any]:
    """One row of the table."""
    times = [time.perf_counter()]
    source = SpecialisedEngine(load_level(level), "reference").kernel.source
    times.append(time.perf_counter())
    ptx = compile_ptx(source.cuda())
    times.append(time.perf_counter())
    report = assemble(ptx, architecture)
    times.append(time.perf_counter())
    seconds = [after - before for before, after in pairwise(times)]
    names = ("print_seconds", "nvrtc_seconds", "ptxas_seconds")
    lines = source.body.count("\n")
    return {"level": level, "lines": lines, **report, **dict(zip(names, seconds))}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", nargs="+", default=LEVELS)
    parser.add_argument("--architecture", default="sm_90")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="one level")
    options = parser.parse_args()
    rows = []
    for level in ["cartpole_thrust"] if options.quick else options.levels:
        row = measure(level, options.architecture)
        if not rows:
            print(" ".join(f"{name:>13}" for name in row))
        rows.append(row)
        cells = (f"{v:13.1f}" if isinstance(v, float) else f"{v:>13}" for v in row.values())
        print(" ".join(cells), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
