"""A real Slurm of one node with two fake GPUs, from Debian's packages, while the tests run."""

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SLURM = Path("/etc/slurm")
GPUS = [Path("/dev/rtc-test-gpu0"), Path("/dev/rtc-test-gpu1")]
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")

# More cores than the machine may have, so that both GPUs can be in use at once anywhere.
SLURM_CONF = """\
ClusterName=rtc-test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=sched_min_interval=0
KillWait=5
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=32000 Gres=gpu:2
PartitionName=test Nodes={host} Default=YES MaxTime=60 State=UP
"""
GRES_CONF = "NodeName={host} Name=gpu File=/dev/rtc-test-gpu[0-1]\n"


def pytest_collection_modifyitems(config, items):
    """`pytest -m slurm` asks for these; a plain `pytest` starts no daemons."""
    if "slurm" not in config.option.markexpr:
        asked = [item for item in items if "slurm" in item.keywords]
        config.hook.pytest_deselected(items=asked)
        items[:] = [item for item in items if item not in asked]


@pytest.fixture(scope="session")
def slurm(tmp_path_factory) -> Iterator[None]:
    """Starts Slurm, or skips with the reason; afterwards nothing of it is left but packages."""
    if reason := obstacle():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")
    try:
        start_munge()
        configure(folder)
        daemons = [
            subprocess.Popen([name, "-D"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for name in ("slurmctld", "slurmd")
        ]
        try:
            wait_until_idle(folder)
            yield
        finally:
            subprocess.run(["scancel", "--user=root"], check=False)
            for daemon in reversed(daemons):
                daemon.send_signal(signal.SIGTERM)
            for daemon in daemons:
                daemon.wait(timeout=60)
    finally:
        remove_configuration()


def obstacle() -> str | None:
    """Why Slurm cannot be started here, or None once it is installed."""
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        return "starting Slurm needs root on Debian"
    stop_leftovers()
    if (SLURM / "slurm.conf").exists():
        return "this machine has a Slurm of its own (/etc/slurm/slurm.conf)"
    if not all(shutil.which(name) for name in ("slurmctld", "slurmd", "squeue", "munged")):
        install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *PACKAGES]
        environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for command in (install, ["apt-get", "update", "-q"], install):
            result = subprocess.run(command, env=environ, capture_output=True, text=True)
            if command is install and result.returncode == 0:
                return None
        return f"Debian's Slurm cannot be installed: {result.stderr.strip()[-200:]}"
    return None


def stop_leftovers() -> None:
    """Ends a Slurm of these tests whose pytest was killed."""
    path = SLURM / "slurm.conf"
    lines = path.read_text().splitlines() if path.exists() else []
    settings = dict(line.split("=", 1) for line in lines if "=" in line)
    if settings.get("ClusterName") != "rtc-test":
        return
    subprocess.run(["scancel", "--user=root"], check=False, timeout=60)
    for key in ("SlurmdPidFile", "SlurmctldPidFile"):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(Path(settings[key]).read_text()), signal.SIGTERM)
    time.sleep(2)
    remove_configuration()


def start_munge() -> None:
    """Starts Slurm's authentication, unless it answers already."""
    if subprocess.run(["munge", "-n"], capture_output=True).returncode == 0:
        return
    socket_folder = Path("/run/munge")
    socket_folder.mkdir(exist_ok=True)
    shutil.chown(socket_folder, "munge", "munge")
    subprocess.run(["runuser", "-u", "munge", "--", "munged", "--force"], check=True)


def configure(folder: Path) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    SLURM.mkdir(exist_ok=True)
    host = socket.gethostname()
    (SLURM / "slurm.conf").write_text(SLURM_CONF.format(host=host, folder=folder))
    (SLURM / "gres.conf").write_text(GRES_CONF.format(host=host))
    for gpu in GPUS:
        if not gpu.exists():
            os.mknod(gpu, stat.S_IFCHR | 0o666, os.makedev(1, 3))  # As /dev/null.


def wait_until_idle(folder: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    state = ""
    while time.monotonic() < deadline:
        listing = subprocess.run(
            ["sinfo", "-h", "-o", "%T %G"], capture_output=True, text=True, check=False
        )
        state = listing.stdout.strip()
        if state == "idle gpu:2":
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text()[-2000:] for path in folder.glob("slurm*d.log"))
    raise AssertionError(f"Slurm did not start ({state!r}):\n{logs}")


def remove_configuration() -> None:
    for path in (SLURM / "slurm.conf", SLURM / "gres.conf", *GPUS):
        path.unlink(missing_ok=True)
