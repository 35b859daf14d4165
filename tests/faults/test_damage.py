"""Disks that are full or read-only, files that are cut or changed: one line that says what to do,
nothing else lost, and the same command goes on once it is mended."""

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from rtc.storage.checkpoints import list_checkpoints, restore_checkpoint, save_checkpoint

LEVEL = "cartpole_thrust"
DATASET = f"datasets/{LEVEL}.parquet"
POLICY = f"policies/{LEVEL}/flow/seed_0"
TABLE = "results/evaluations.csv"
NAIVE = f"evaluations/{LEVEL}/flow/seed_0/naive.csv"
pytestmark = pytest.mark.timeout(3000)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")


@contextlib.contextmanager
def mounted(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system in memory, of this size."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "rtc-test", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        pytest.skip(f"mounting is not allowed here: {result.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


def one_error(pipeline, output: str, *parts: str) -> str:
    """The one line that a failing job said; it holds each of `parts`."""
    errors = pipeline.errors(output)
    assert len(errors) == 1, output[-4000:]
    for part in parts:
        assert part in errors[0], errors[0]
    return errors[0]


def digests(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and not {"logs", "benchmarks", ".cache", ".state"} & set(p.parts)
    }


def lost(before: dict[str, bytes], after: dict[str, bytes], *meant: str) -> list[str]:
    """Files that are gone or changed, aside from those under the paths that are `meant` to be."""
    return [
        name
        for name, content in before.items()
        if after.get(name) != content and not name.startswith(meant)
    ]


@needs_root
@pytest.mark.parametrize(
    "kilobytes", [400] + [pytest.param(k, marks=pytest.mark.long) for k in (8, 60, 150, 250, 700)]
)
def test_a_full_disk(pipeline, finished, ledger, kilobytes):
    ledger.append("disk full")
    with mounted(pipeline.results, kilobytes):
        code, output = pipeline.run()
        assert code == 1
        for error in pipeline.errors(output):
            assert re.search(r"no space left on device|cannot be written", error), error
            assert "results" in error and "run the same command again" in error
        remount(pipeline.results, "size=500m")
        code, output = pipeline.run()
        assert code == 0, output[-4000:]
        ours, theirs = (p.results / "evaluations.csv" for p in (pipeline, finished))
        assert ours.read_bytes() == theirs.read_bytes()


@needs_root
def test_a_read_only_results_folder(copy, finished, ledger):
    ledger.append("read-only results")
    with mounted(copy.folder / "disk", 500_000) as disk:
        shutil.copytree(copy.results, disk / "results")
        shutil.rmtree(copy.results)
        copy.results.symlink_to(disk / "results")
        forget(copy)
        before = digests(disk / "results")
        remount(disk, "ro")
        code, output = copy.run()
        assert code == 1
        told = f"rtc: {copy.results}: read-only, or somebody else's; make it writable"
        assert output.startswith(told) and output.count("\n") == 1, output
        remount(disk, "rw")
        assert digests(disk / "results") == before
        code, output = copy.run()
        assert code == 0, output[-4000:]
        ours, theirs = (p.results / "evaluations.csv" for p in (copy, finished))
        assert ours.read_bytes() == theirs.read_bytes()


def test_a_truncated_data_set(copy, finished, ledger):
    ledger.append("truncated parquet")
    path = copy.results / DATASET
    os.truncate(path, path.stat().st_size // 2)
    before = digests(copy.results)
    code, output = copy.run()
    assert code == 1
    error = one_error(copy, output, DATASET, "run: rm ")
    assert not lost(before, digests(copy.results), f"policies/{LEVEL}/flow", "evaluations")
    mend(copy, error)
    assert copy.run()[0] == 0
    ours, theirs = (p.results / "evaluations.csv" for p in (copy, finished))
    assert ours.read_bytes() == theirs.read_bytes()


def test_a_damaged_checkpoint(copy, finished, ledger):
    ledger.append("damaged checkpoint")
    checkpoint = list(list_checkpoints(copy.results / POLICY / "checkpoints").values())[-1]
    largest = max((p for p in checkpoint.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    largest.write_bytes(bytes(content))
    forget(copy)
    before = digests(copy.results)
    code, output = copy.run()
    assert code == 1
    error = one_error(copy, output, POLICY, "damaged", "run: rm -r ")
    assert not lost(before, digests(copy.results), "evaluations")
    mend(copy, error)
    assert copy.run()[0] == 0
    ours, theirs = (p.results / "evaluations.csv" for p in (copy, finished))
    assert ours.read_bytes() == theirs.read_bytes()


def test_a_checkpoint_of_another_network_size(copy, finished, ledger):
    ledger.append("checkpoint of another network size")
    for checkpoint in list_checkpoints(copy.results / POLICY / "checkpoints").values():
        save_checkpoint(checkpoint, wider(restore_checkpoint(checkpoint)))
    forget(copy)
    before = digests(copy.results)
    code, output = copy.run()
    assert code == 1
    error = one_error(copy, output, POLICY, "of another network size", "expected float32", "rm -r ")
    assert not lost(before, digests(copy.results), "evaluations")
    mend(copy, error)
    assert copy.run()[0] == 0
    ours, theirs = (p.results / "evaluations.csv" for p in (copy, finished))
    assert ours.read_bytes() == theirs.read_bytes()


def wider(tree):
    """The parameters of a network with one more unit in each layer."""
    return jax.tree.map(lambda leaf: np.pad(leaf, [(0, 1)] * leaf.ndim), tree)


def test_a_level_that_changed_since_training(copy, finished, ledger):
    """Snakemake would train again; here it is told to look at times, and those are old."""
    ledger.append("level changed since training")
    source, built = copy.folder / f"config/levels/{LEVEL}.yaml", f"results/levels/{LEVEL}.npz"
    original, times = source.read_text(), (copy.folder / built).stat()
    source.write_text(original.replace("left: -0.05", "left: -0.1"))
    assert copy.run(built)[0] == 0
    os.utime(copy.folder / built, ns=(times.st_atime_ns, times.st_mtime_ns))
    forget(copy)
    before = digests(copy.results)
    code, output = copy.run(TABLE, "--rerun-triggers", "mtime")
    assert code == 1
    error = one_error(copy, output, POLICY, LEVEL, "changed since this policy was trained")
    assert "bring back its file, or run: rm -r " in error
    assert not lost(before, digests(copy.results), "evaluations")
    source.write_text(original)
    assert copy.run()[0] == 0
    ours, theirs = (p.results / "evaluations.csv" for p in (copy, finished))
    assert ours.read_bytes() == theirs.read_bytes()


def test_nan_stops_one_seed_and_the_other_makes_the_data_set(pipeline, ledger):
    """Both experts learn in one program; after two updates the second one's numbers are broken."""
    ledger.append("NaN in one expert of a job")
    code = pipeline.folder / "rtc/experts/train.py"
    before = "            update += count\n"
    assert code.read_text().count(before) == 1
    poison = (
        "            if update == 2:\n"
        "                training = training._replace(learner=jax.tree.map(\n"
        "                    lambda x: x.at[1].set(jnp.nan) if x.dtype == jnp.float32 else x,\n"
        "                    training.learner))\n"
    )
    code.write_text(code.read_text().replace(before, before + poison))
    config = pipeline.folder / "config/config.yaml"
    settings = yaml.safe_load(config.read_text())
    settings["experts"]["seeds_per_job"] = 2
    config.write_text(yaml.safe_dump(settings, sort_keys=False))
    status, output = pipeline.run(f"results/{DATASET}")
    assert status == 0, output[-4000:]
    told = f"{LEVEL} seed 1: not a finite number in update 3; the seed stops, checkpoint 2 is kept"
    assert told in one_error(pipeline, output)
    assert told in (pipeline.results / f"logs/experts/{LEVEL}/seeds_0.log").read_text()
    for seed, kept in ((0, [2, 4]), (1, [2])):
        folder = pipeline.results / f"experts/{LEVEL}/seed_{seed}/checkpoints"
        assert list(list_checkpoints(folder)) == kept
    metadata = pq.read_schema(pipeline.results / DATASET).metadata
    assert json.loads(metadata[b"level"]) == LEVEL


def forget(pipeline) -> None:
    """Removes an evaluation and the table, so that the next run plays it again."""
    for path in (pipeline.results / NAIVE, pipeline.folder / TABLE):
        path.unlink()


def mend(pipeline, error: str) -> None:
    """Runs the command that the error names, up to the `&& make` that a user adds."""
    command = re.search(r"run: (rm [^&]*)&& make", error)
    assert command, error
    subprocess.run(command[1], shell=True, cwd=pipeline.folder, check=True)
