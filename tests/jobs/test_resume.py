"""Resume state: found again, never of another job, never written by two, never half."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from rtc.jobs.resume import resume_state

BASIS = {"config": {"epochs": 3}, "seeds": [0, 1]}


def tree(number: int) -> dict:
    return {"params": np.full(4, number, np.float32), "count": np.int64(number)}


def test_the_newest_state_is_found_and_the_older_are_dropped(tmp_path):
    with resume_state(tmp_path / "s", BASIS) as state:
        assert state.load() is None
        for number in (1, 2, 10):
            state.save(number, tree(number))
    with resume_state(tmp_path / "s", BASIS) as state:
        number, found = state.load(tree(0))
        assert number == 10
        np.testing.assert_array_equal(found["params"], tree(10)["params"])
        assert [p.name for p in (tmp_path / "s" / "steps").iterdir()] == ["10"]


def test_a_state_that_does_not_fit_is_told_and_passed_over(tmp_path, caplog):
    with resume_state(tmp_path, BASIS) as state:
        state.save(3, tree(3))
        assert state.load({"params": np.zeros(5, np.float32)}) is None
        next((tmp_path / "steps/3").rglob("manifest*")).unlink()
        assert state.load(tree(0)) is None
    assert "resume state ignored" in caplog.text
    assert "damaged" in caplog.text


@pytest.mark.parametrize("found", ['{"config": {"epochs": 4}}', "{", "[1]", None])
def test_another_fingerprint_empties_the_folder(tmp_path, caplog, found):
    with resume_state(tmp_path, BASIS) as state:
        state.save(1, tree(1))
        (tmp_path / "kept").mkdir()
    if found is None:
        (tmp_path / "fingerprint.json").unlink()
    else:
        (tmp_path / "fingerprint.json").write_text(found)
    with resume_state(tmp_path, BASIS) as state:
        assert state.load() is None
        assert sorted(p.name for p in tmp_path.iterdir()) == ["fingerprint.json", "lock"]
        assert json.loads((tmp_path / "fingerprint.json").read_text()) == BASIS
    if found == '{"config": {"epochs": 4}}':
        assert "config, seeds changed; starting anew" in caplog.text


def test_no_folder_keeps_nothing():
    with resume_state(None, BASIS) as state:
        state.save(1, tree(1))
        assert state.load() is None
        state.clear()


def test_clearing_leaves_the_lock_to_its_owner(tmp_path):
    with resume_state(tmp_path, BASIS) as state:
        state.save(1, tree(1))
        state.clear()
        assert [p.name for p in tmp_path.iterdir()] == ["lock"]


# Holds the lock as resume_state does, without the seconds that importing jax takes.
HOLDER = """
import fcntl, os, sys, time
with open(sys.argv[1], "a+") as handle:
    fcntl.flock(handle, fcntl.LOCK_EX)
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_process_waits_until_the_first_is_killed(tmp_path, caplog):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        killed = []

        def kill():
            time.sleep(0.7)
            killed.append(True)
            os.kill(holder.pid, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        with caplog.at_level(logging.WARNING, "rtc"):
            thread.start()
            with resume_state(tmp_path, BASIS):
                assert killed
                assert (tmp_path / "lock").read_text() == str(os.getpid())
        thread.join()
        assert f"process {holder.pid} works here; waiting for its end" in caplog.text
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
