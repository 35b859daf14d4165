"""Every benchmark, one after another, as `make bench` runs them: tables and JSON files.

python benchmarks/run_all.py [--quick] [--output results/benchmarks]
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# From minutes to an hour each; a new script comes last until it is put in its place.
SHORTEST_FIRST = ("box2d", "policies", "methods", "evaluation", "run", "training", "env")


def scripts() -> list[Path]:
    """Every bench_*.py, the shortest first."""
    order = [f"bench_{name}" for name in SHORTEST_FIRST]
    found = {path.stem: path for path in sorted(HERE.glob("bench_*.py"))}
    return [found[name] for name in dict.fromkeys([*order, *found])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, some minutes in all")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    failed = []
    for script in scripts():
        print(f"\n== {script.stem} ==", flush=True)
        command = [
            sys.executable,
            str(script),
            "--json",
            str(options.output / f"{script.stem}.json"),
        ]
        if subprocess.run(command + (["--quick"] if options.quick else [])).returncode:
            failed.append(script.stem)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
