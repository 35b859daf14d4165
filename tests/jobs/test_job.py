"""How a job ends: whatever happens, one line on the terminal, an exit code, and a log."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

FRAME = """
import os, sys, time
from rtc.jobs.job import job
with job(log="results/logs/experts/x/seed_0.log", threads={threads}, device={device!r}):
{body}
"""


def run_job(folder: Path, body: str, device="cpu", threads=1, **environ) -> subprocess.Popen:
    script = folder / "script.py"
    body = textwrap.indent(textwrap.dedent(body), "    ")
    script.write_text(FRAME.format(body=body, device=device, threads=threads))
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("JAX", "CUDA", "RTC_"))}
    return subprocess.Popen(
        [sys.executable, script],
        cwd=folder,
        env=keep | {"RTC_LEASES": str(folder / "leases")} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(job: subprocess.Popen) -> tuple[int, str, str]:
    """Exit code, stdout and the lines on stderr after the one that names the device."""
    out, errors = job.communicate(timeout=60)
    assert "Traceback" not in errors
    return (
        job.returncode,
        out,
        "\n".join(x for x in errors.splitlines() if "] device: cpu" not in x),
    )


def log_of(folder: Path) -> str:
    return (folder / "results/logs/experts/x/seed_0.log").read_text()


def test_a_good_job_logs_its_device_and_cores(tmp_path):
    body = """
    print(len(os.sched_getaffinity(0)), os.environ["PJRT_NPROC"], "jax" in sys.modules)
    print(os.environ["JAX_COMPILATION_CACHE_DIR"], os.environ["JAX_PLATFORMS"])
    """
    code, out, errors = ended(run_job(tmp_path, body))
    assert code == 0 and re.fullmatch(r"\[experts/x/seed_0\] done in \d+\.\d s", errors)
    assert out.splitlines() == ["1 1 False", f"{tmp_path}/results/.cache/jax cpu"]
    assert "threads: 1 (cores " in log_of(tmp_path)
    assert "device: cpu (as configured)" in log_of(tmp_path)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (
            "from rtc.errors import ConfigError; raise ConfigError('methods.x: unknown\\nkey')",
            "methods.x: unknown key",
        ),
        (
            "open('/dev/full', 'w').write('x' * 10_000_000)",
            "no space left on device; free some space on that disk, then run the same command",
        ),
        (
            "raise OSError(30, 'Read-only file system', 'results/a.csv')",
            "results/a.csv: read-only file system; make that folder writable, then run the same",
        ),
        (
            "raise RuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes')",
            "out of memory (RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes); lower jobs_per",
        ),
        (
            "raise RuntimeError(\"Unable to initialize backend 'cuda': no driver\")",
            "device: gpu, but jax cannot use it (Unable to initialize backend 'cuda': no driver)",
        ),
    ],
    ids=["ours", "disk full", "read-only", "memory", "driver"],
)
def test_what_a_person_can_mend_is_one_line_without_traceback(tmp_path, body, line):
    code, _, errors = ended(run_job(tmp_path, body))
    assert code == 1
    assert errors.startswith("[experts/x/seed_0] error: ") and "\n" not in errors
    assert line in errors
    assert line in log_of(tmp_path) and "Traceback" not in log_of(tmp_path)


def test_an_unexpected_error_leaves_its_traceback_in_the_log(tmp_path):
    code, _, errors = ended(run_job(tmp_path, "1 / 0"))
    assert code == 1
    assert errors == (
        "[experts/x/seed_0] error: unexpected ZeroDivisionError: division by zero; "
        "traceback in results/logs/experts/x/seed_0.log"
    )
    assert "Traceback (most recent call last)" in log_of(tmp_path)


@pytest.mark.parametrize(
    "stray",
    [
        # In a thread; in a callback of C code; printed by C code, as tensorstore does.
        "import threading; t = threading.Thread(target=int, args=('x',)); t.start(); t.join()",
        "import ctypes; ctypes.CFUNCTYPE(None)(lambda: int('x'))()",
        "try: int('x')\nexcept ValueError as error: sys.excepthook(ValueError, error, None)",
    ],
    ids=["thread", "callback", "printed"],
)
def test_what_a_library_lets_fall_goes_to_the_log(tmp_path, stray):
    code, _, errors = ended(run_job(tmp_path, stray))
    assert code == 0
    assert "ValueError" not in errors
    assert "ValueError: invalid literal" in log_of(tmp_path)


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")],
)
def test_signals_clean_up(tmp_path, number, code, word):
    body = """
    from rtc.storage.io import atomic_path
    with atomic_path("results/table.csv") as path:
        path.write_text("half")
        print("ready", flush=True)
        time.sleep(60)
    """
    job = run_job(tmp_path, body)
    assert job.stdout.readline() == "ready\n"
    job.send_signal(number)
    assert ended(job)[0] == code
    assert word in log_of(tmp_path)
    assert sorted(p.name for p in (tmp_path / "results").iterdir()) == ["logs"]


def test_a_job_ends_when_the_process_that_started_it_is_killed(tmp_path):
    body = """
    print(os.getpid(), flush=True)
    time.sleep(60)
    """
    script = FRAME.format(
        body=textwrap.indent(textwrap.dedent(body), "    "), device="cpu", threads=1
    )
    (tmp_path / "child.py").write_text(script)
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys; subprocess.run([sys.executable, 'child.py'])",
        ],
        cwd=tmp_path,
        env=os.environ | {"RTC_LEASES": str(tmp_path / "leases")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and "terminated" not in log_of(tmp_path):
        time.sleep(0.05)
    assert "terminated" in log_of(tmp_path)
    with pytest.raises(ProcessLookupError):
        for _ in range(200):
            os.kill(child, 0)
            time.sleep(0.05)


def test_a_log_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "results").write_text("a file where the folder should be")
    code, _, errors = ended(run_job(tmp_path, "pass"))
    assert code == 1
    assert errors.count("\n") == 0 and "results" in errors


def test_gpu_without_one_stops_at_once_and_names_the_fix(tmp_path):
    code, _, errors = ended(run_job(tmp_path, "pass", device="gpu", CUDA_VISIBLE_DEVICES=""))
    assert code == 1
    assert "device: gpu, but " in errors and "\n" not in errors
    assert "pip install -e .[cuda12]" in errors and "device: cpu" in errors


def test_more_threads_than_cores_are_not_pinned_twice(tmp_path):
    body = "print(len(os.sched_getaffinity(0)), os.environ['PJRT_NPROC'])"
    code, out, _ = ended(run_job(tmp_path, body, threads=10_000))
    cores = len(os.sched_getaffinity(0))
    assert (code, out) == (0, f"{cores} {cores}\n")


def test_a_half_written_program_in_the_cache_is_replaced(tmp_path):
    body = """
    import jax
    print(jax.jit(lambda x: x * 2 + 1)(3))
    """
    cache = tmp_path / "results/.cache/jax"
    environ = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}

    def run() -> str:
        before = log_of(tmp_path) if cache.exists() else ""
        assert ended(run_job(tmp_path, body, **environ))[:2] == (0, "7\n")
        return log_of(tmp_path).removeprefix(before)

    run()
    entries = {path: path.read_bytes() for path in cache.glob("jit_*-cache")}
    assert entries
    for path, content in entries.items():
        path.write_bytes(content[: len(content) // 2])
    assert "Error reading persistent compilation cache" in run()
    # The damaged entry stood in the way of a new one in that run; the next one writes it.
    run()
    for path, content in entries.items():
        assert path.stat().st_size > len(content) // 2
    assert "Error reading" not in run()
