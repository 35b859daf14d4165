"""Every benchmark, one after another, as `make bench` runs them: tables and JSON files.

python benchmarks/run_all.py [--quick] [--output results/benchmarks]
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, some minutes in all")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    failed = []
    for script in sorted(HERE.glob("bench_*.py")):
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
