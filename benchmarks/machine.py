"""What a benchmark ran on, for the head of its table and of its JSON."""

import platform
from pathlib import Path

import rtc
from rtc.jobs.provenance import environment


def about() -> dict[str, str]:
    """{"device": ..., "processor": ..., "cores": ..., package: version, ..., "commit": ...}."""
    return {"rtc": rtc.__version__, "processor": processor(), **environment()}


def processor() -> str:
    """The processor's model as Linux names it, else what Python knows, which may be nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def headline() -> str:
    """One line: "AMD EPYC, 2 cores; jax 0.9.0 on cpu; commit 1234567"."""
    facts = about()
    cores = "1 core" if facts["cores"] == "1" else f"{facts['cores']} cores"
    return (
        f"{facts['processor']}, {cores}; "
        f"jax {facts['jax']} on {facts['device']}; commit {facts['commit']}"
    )
