"""More jobs than devices: never more on one than its slots, and a dead job frees its device."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from rtc.errors import RtcError
from rtc.jobs.leases import lease_cores, lease_device, lease_folder, try_device

WORKER = Path(__file__).with_name("lease_worker.py")
DEVICES = ["0", "1", "2"]


def start(folder: Path, name: str, seconds: float, jobs_per_gpu: int = 1) -> subprocess.Popen:
    environ = os.environ | {"RTC_LEASES": str(folder / "leases"), "RTC_DEVICES": ",".join(DEVICES)}
    environ.pop("CUDA_VISIBLE_DEVICES", None)
    command = [sys.executable, WORKER, folder / "journal", folder / f"{name}.log", jobs_per_gpu]
    return subprocess.Popen(
        [*map(str, command), str(seconds)], env=environ, stderr=subprocess.PIPE, text=True
    )


def most_at_once(folder: Path) -> dict[str, int]:
    """The largest number of jobs that each device ever had, from the journal."""
    present, most = Counter(), Counter()
    for line in sorted((folder / "journal").read_text().splitlines()):
        _, event, device, _ = line.split()
        present[device] += 1 if event == "came" else -1
        most[device] = max(most[device], present[device])
    return dict(most)


@pytest.mark.parametrize("jobs_per_gpu", [1, 2])
def test_twenty_jobs_on_three_devices_never_exceed_the_slots(tmp_path, jobs_per_gpu):
    jobs = [start(tmp_path, str(i), 0.2, jobs_per_gpu) for i in range(20)]
    errors = [job.communicate(timeout=120)[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 20, errors
    lines = (tmp_path / "journal").read_text().splitlines()
    assert len(lines) == 40
    most = most_at_once(tmp_path)
    assert set(most) == set(DEVICES), "a device stayed idle"
    assert max(most.values()) <= jobs_per_gpu


def test_a_killed_job_frees_its_device(tmp_path):
    folder = tmp_path / "leases"
    victim = start(tmp_path, "victim", 60)
    deadline = time.monotonic() + 30
    while not (tmp_path / "journal").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    held = (tmp_path / "journal").read_text().split()[2]
    assert try_device(folder, [held], 1) is None
    victim.kill()
    victim.communicate()
    with lease_device(folder, [held]) as device:
        assert device == held


def test_a_job_waits_for_a_device_and_says_so(tmp_path, caplog, monkeypatch):
    lease, _ = try_device(tmp_path, ["a"], 1)
    waits = []

    def give_back(seconds):
        waits.append(seconds)
        lease.release()

    monkeypatch.setattr(time, "sleep", give_back)
    with (
        caplog.at_level("INFO", logger="rtc"),
        lease_device(tmp_path, ["a"], patience=0.1) as device,
    ):
        assert device == "a"
    assert len(waits) == 1 and 0.05 <= waits[0] <= 0.15
    assert "waiting for a device: all of a are taken" in caplog.text


def test_a_whole_device_and_a_shared_one_exclude_each_other(tmp_path):
    shared, _ = try_device(tmp_path, ["a"], 4)
    assert try_device(tmp_path, ["a"], 1) is None
    assert try_device(tmp_path, ["a"], 4) is not None
    shared.release()
    whole, _ = try_device(tmp_path, ["b"], 1)
    assert try_device(tmp_path, ["b"], 4) is None
    whole.release()
    assert try_device(tmp_path, ["b"], 4) is not None


def test_shared_devices_fill_evenly(tmp_path):
    taken = [try_device(tmp_path, DEVICES, 2) for _ in range(6)]
    assert [device for _, device in taken] == ["0", "1", "2", "0", "1", "2"]
    assert try_device(tmp_path, DEVICES, 2) is None


def test_cores_of_two_jobs_differ_and_short_supply_gives_none(tmp_path):
    with lease_cores(tmp_path, [4, 5, 6], 2) as first:
        assert first == [4, 5]
        with lease_cores(tmp_path, [4, 5, 6], 2) as second:
            assert second is None
            # What the failed try had taken is free again.
            with lease_cores(tmp_path, [4, 5, 6], 1) as third:
                assert third == [6]
    with lease_cores(tmp_path, [4, 5, 6], 3) as all_free:
        assert all_free == [4, 5, 6]


def test_a_device_name_with_slashes_stays_in_the_folder(tmp_path):
    folder = tmp_path / "leases"
    folder.mkdir()
    assert try_device(folder, ["../../etc/x"], 1) is not None
    assert [path.name for path in tmp_path.rglob("device-*")] == ["device-______etc_x"]


def test_a_lease_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("RTC_LEASES", str(link))
    with pytest.raises(RtcError, match="belongs to somebody else; set RTC_LEASES"):
        lease_folder()
