"""The command line: `python -m rtc --help`."""

import argparse
import sys
from pathlib import Path
from typing import Any

import rtc
from rtc.errors import RtcError

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Runs one subcommand. Returns the exit code: 0, or 1 after a one-line error."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command is not _run:
        parser.error(f"unrecognised arguments: {' '.join(rest)}")
    try:
        return options.command(options, rest)
    except RtcError as error:
        print(f"rtc: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rtc",
        description="Real-Time Chunking on Kinetix: from levels to the paper's figures.",
        epilog="Snakemake does the work: `rtc run --cores 2`, or `snakemake --cores 2`.",
    )
    parser.add_argument("--version", action="version", version=f"rtc-pipeline {rtc.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="run the pipeline; arguments go to Snakemake",
        description="Runs Snakemake with these arguments, after clearing what a killed run left "
        "behind (a stale lock, incomplete files). Without arguments: all cores.",
        add_help=True,
    )
    run.set_defaults(command=_run)

    compare = commands.add_parser(
        "compare",
        help="set a method of your own beside naive, realtime and ttrtc on the shipped policies",
        description="Evaluates a method, given by import path (or a built-in one by name), beside "
        "naive, realtime and ttrtc on the policies in pretrained/: tables here, a figure and the "
        "rest under results/compare. Again, it goes on where it was.",
    )
    compare.add_argument("method", help="mypackage.my_method:Mine")
    compare.add_argument("options", nargs="*", help="the method's hyper-parameters: gain=2.0 ...")
    compare.add_argument("--levels", nargs="+", default=[], help="default: all that are shipped")
    compare.add_argument("--delays", nargs="+", default=[], help="default: 1 2 3 4")
    compare.add_argument("--rollouts", type=int, default=128, help="a cell; default: 128")
    compare.add_argument("--policy", default="flow", help="it runs on: flow (default), flow_ttrtc")
    compare.add_argument("--name", help="what tables call it; default: the class's name")
    compare.add_argument("--cores", default="all", help="default: all")
    compare.set_defaults(command=_compare)

    levels = commands.add_parser("levels", help="list the levels that can be named")
    levels.add_argument("--packaged", action="store_true", help="Kinetix's own levels too")
    levels.set_defaults(command=_levels)

    check = commands.add_parser("check", help="check configuration files without running anything")
    check.add_argument("config", nargs="*", type=Path, help="files laid over config/config.yaml")
    check.set_defaults(command=_check)

    doctor = commands.add_parser("doctor", help="say which device, versions and cores are used")
    doctor.set_defaults(command=_doctor)

    take = commands.add_parser(
        "import-reference",
        help="take over artifacts of the reference code",
        description="Reads expert pickles, data sets and flow policies that the reference's "
        "scripts wrote and puts them where this pipeline keeps its own. Pickles are read by a "
        "guarded reader that admits arrays and plain containers only.",
    )
    take.add_argument("directory", type=Path, help="a folder the reference's scripts wrote")
    take.add_argument("--output", type=Path, default=Path("results"), help="default: results")
    take.add_argument(
        "--policy", default="published", help="name for policies (default: published)"
    )
    take.add_argument("--seed", type=int, default=0, help="seed number for policies (default: 0)")
    take.add_argument(
        "--level",
        action="append",
        default=[],
        metavar="NAME=FILE",
        type=_name_and_file,
        help="the file of a level that is not known here (several times for several)",
    )
    take.set_defaults(command=_import)

    give = commands.add_parser(
        "export-reference",
        help="write artifacts in the reference's formats",
        description="Writes experts, data sets and policies of a results folder in the formats "
        "that the reference's scripts read.",
    )
    give.add_argument("output", type=Path, help="folder to write")
    give.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    give.add_argument("--policy", default="flow", help="which policy (default: flow)")
    give.add_argument("--seed", type=int, default=0, help="which policy seed (default: 0)")
    give.set_defaults(command=_export)
    return parser


def _run(_: argparse.Namespace, rest: list[str]) -> int:
    from rtc.jobs.run import run

    return run(rest or ["--cores", "all"])


def _compare(options: argparse.Namespace, _: list[str]) -> int:
    from rtc.jobs.compare import DELAYS, plan_comparison, run_comparison
    from rtc.report.comparison import write_comparison

    # After --levels and --delays argparse takes the method's options for more of these.
    lists = [options.levels, options.delays, options.options]
    given = [text for values in lists for text in values if "=" in text or values is lists[2]]
    levels, delays = ([text for text in values if "=" not in text] for values in lists[:2])
    comparison = plan_comparison(
        options.method,
        given,
        levels=levels,
        delays=delays or DELAYS,
        rollouts=options.rollouts,
        policy=options.policy,
        name=options.name,
    )
    if code := run_comparison(comparison, ["--cores", options.cores]):
        return code
    print(write_comparison(comparison.folder, comparison.label, comparison.rollouts()))
    return 0


def _levels(options: argparse.Namespace, _: list[str]) -> int:
    from rtc.levels import available_levels

    for name in available_levels():
        if options.packaged or "/" not in name:
            print(name)
    return 0


def _check(options: argparse.Namespace, _: list[str]) -> int:
    from rtc.config.text import read_files
    from rtc.levels import load_level
    from rtc.levels.plan import find_artifact, plan_run

    def find(*entry: Any) -> Any:
        found = find_artifact(*entry)
        if found is None:
            from rtc.exchange.plan import read_artifact  # Imports jax, which takes seconds.

            found = read_artifact(*entry)
        return found

    config = read_files([ROOT / "config/config.yaml", *options.config])
    run, levels, _files = plan_run(config, find)
    for level in levels.values():
        load_level(level, solvable=True)
    own = {label: method for label, method in run.methods.items() if ":" in method.method}
    if own:
        from rtc.methods import make_method  # Imports jax, which takes seconds.

        for label, method in own.items():
            make_method(method, label)
    for note in run.notes:
        print(f"note: {note}")
    print(
        f"valid: {len(run.levels)} levels, {run.experts.seeds} expert seeds, "
        f"{len(run.policies)} policies, {len(run.methods)} methods, {len(run.cells)} cells, "
        f"{run.evaluation.rollouts} rollouts a cell"
    )
    return 0


def _doctor(_: argparse.Namespace, __: list[str]) -> int:
    from rtc.jobs.provenance import environment

    for key, value in environment().items():
        print(f"{key:12} {value}")
    return 0


def _import(options: argparse.Namespace, _: list[str]) -> int:
    from rtc.exchange.reference import import_reference

    for path in import_reference(
        options.directory,
        options.output,
        policy=options.policy,
        seed=options.seed,
        levels=dict(options.level),
    ):
        print(path)
    return 0


def _name_and_file(text: str) -> tuple[str, str]:
    name, separator, file = text.partition("=")
    if not (name and separator and file):
        raise argparse.ArgumentTypeError(f"expected NAME=FILE, got {text!r}")
    return name, file


def _export(options: argparse.Namespace, _: list[str]) -> int:
    from rtc.exchange.reference import export_reference

    for path in export_reference(
        options.results, options.output, policy=options.policy, seed=options.seed
    ):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
