"""Which devices exist, which may be used, and what jax is told, without any device."""

import os
import subprocess
import sys

import pytest

from rtc.errors import ConfigError, RtcError
from rtc.jobs import device as module
from rtc.jobs.device import (
    device_identities,
    drop_unused_variables,
    memory_fraction,
    parse_listing,
    usable_devices,
    use_device,
    use_threads,
    variables_not_used,
    visible_devices,
)

LISTING = """GPU 0: NVIDIA H200 (UUID: GPU-aaaa-1)
GPU 1: NVIDIA H200 (UUID: GPU-bbbb-2)
  MIG 1g.18gb     Device  0: (UUID: MIG-cccc-3)
  MIG 1g.18gb     Device  1: (UUID: MIG-dddd-4)
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in ("CUDA_VISIBLE_DEVICES", "RTC_DEVICES", "XLA_CLIENT_MEM_FRACTION"):
        monkeypatch.delenv(name, raising=False)
    # monkeypatch also puts back what use_device sets.
    for name in ("JAX_PLATFORMS", "PJRT_NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setenv("MKL_NUM_THREADS", os.environ.get("MKL_NUM_THREADS", ""))
    monkeypatch.setenv("JAX_PLATFORMS", "")
    monkeypatch.setenv("RTC_LEASES", str(tmp_path / "leases"))
    monkeypatch.setattr(module, "_nvidia_smi", lambda: None)


def test_devices_are_named_by_uuid_and_mig_instances_replace_their_device():
    assert parse_listing(LISTING) == ["GPU-aaaa-1", "MIG-cccc-3", "MIG-dddd-4"]
    assert parse_listing("No devices were found") == []


def test_a_visible_list_is_respected_and_ends_at_its_first_unknown_entry(monkeypatch):
    monkeypatch.setenv("RTC_DEVICES", "0,1,2,3")
    assert visible_devices() == ["0", "1", "2", "3"]
    for listed, expected in [
        ("2,3", ["2", "3"]),
        ("GPU-aaaa-1", ["GPU-aaaa-1"]),
        ("1,-1,2", ["1"]),
        ("", []),
        ("NoDevFiles", []),
    ]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
        assert visible_devices() == expected, listed


def test_an_index_is_leased_by_the_uuid_behind_it(monkeypatch):
    monkeypatch.setattr(module, "_nvidia_smi", lambda: LISTING)
    assert device_identities(["0"]) == {"GPU-aaaa-1": "0"}
    assert device_identities(["GPU-bbbb-2", "7"]) == {"GPU-bbbb-2": "GPU-bbbb-2", "7": "7"}


def test_auto_says_which_it_took_and_why(monkeypatch, caplog):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with caplog.at_level("INFO", logger="rtc"), use_device("auto") as taken:
        assert taken == "cpu" and os.environ["JAX_PLATFORMS"] == "cpu"
    assert "device: cpu (auto: no NVIDIA GPU is visible)" in caplog.text
    monkeypatch.setenv("RTC_DEVICES", "5")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with caplog.at_level("INFO", logger="rtc"), use_device("auto") as taken:
        assert taken == "5" and os.environ["CUDA_VISIBLE_DEVICES"] == "5"
    assert "device: gpu 5 (auto)" in caplog.text


def test_gpu_names_what_is_missing(monkeypatch):
    with pytest.raises(RtcError, match=r"no NVIDIA GPU is visible; .*cuda12.*device: cpu"):
        use_device("gpu").__enter__()
    monkeypatch.setattr(module, "_nvidia_smi", lambda: LISTING)
    monkeypatch.setattr(module, "PLUGINS", ("no_such_plugin",))
    with pytest.raises(RtcError, match=r"jax has no CUDA support here; pip install -e .\[cuda12\]"):
        use_device("gpu").__enter__()
    monkeypatch.setattr(module, "PLUGINS", ("json",))
    assert usable_devices() == (["GPU-aaaa-1", "MIG-cccc-3", "MIG-dddd-4"], None)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    with pytest.raises(RtcError, match="JAX_PLATFORMS=cpu is set; unset it"):
        use_device("gpu").__enter__()


def test_a_real_gpu_is_demanded_of_jax_and_shared_by_memory(monkeypatch):
    monkeypatch.setattr(module, "_nvidia_smi", lambda: LISTING)
    monkeypatch.setattr(module, "PLUGINS", ("json",))
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.5")
    with use_device("gpu", jobs_per_gpu=4) as taken:
        assert taken == os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-aaaa-1"
        assert os.environ["JAX_PLATFORMS"] == "cuda,cpu"
        assert float(os.environ["XLA_CLIENT_MEM_FRACTION"]) == memory_fraction(4) == 0.225
        assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in os.environ
    for jobs in range(1, 65):
        assert 0 < jobs * memory_fraction(jobs) <= 0.91


def test_devices_that_slurm_granted_are_leased_within_the_job(monkeypatch):
    # Two Slurm jobs may both see "their" device as number 0.
    monkeypatch.setenv("RTC_DEVICES", "0")
    with use_device("gpu"):
        for job in ("11", "12"):
            monkeypatch.setenv("SLURM_JOB_ID", job)
            monkeypatch.setenv("SLURM_JOB_GPUS", "0")
            with use_device("gpu") as taken:
                assert taken == "0"


def test_bad_values_are_named():
    with pytest.raises(ConfigError, match="device: unknown value 'gpus'; did you mean 'gpu'"):
        use_device("gpus").__enter__()
    with pytest.raises(RtcError, match="jobs_per_gpu: expected 1 or more"):
        use_device("cpu", jobs_per_gpu=0).__enter__()
    with pytest.raises(RtcError, match="threads: expected 1 or more"):
        use_threads(0).__enter__()


def test_cores_are_given_back_and_jobs_beyond_them_are_not_pinned():
    before = os.sched_getaffinity(0)
    with use_threads(len(before)):
        assert os.sched_getaffinity(0) == before
        with use_threads(1) as count:
            assert count == 1 and os.environ["PJRT_NPROC"] == "1"
            assert os.sched_getaffinity(0) == before
    with use_threads(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_the_frame_of_a_job_imports_no_jax():
    heavy = {"jax", "numpy", "pandas"}
    code = f"import sys, rtc.jobs.job, rtc.jobs.run; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_variables_that_would_move_numbers_are_not_for_jobs():
    kept = {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": "x",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1",
        "JAX_ENABLE_COMPILATION_CACHE": "1",
        "JAX_LOG_COMPILES": "1",
        "JAX_LOGGING_LEVEL": "DEBUG",
        "JAX_TRACEBACK_FILTERING": "off",
        "JAX_CUDA_VISIBLE_DEVICES": "0",
        "HOME": "/",
    }
    dropped = {
        "JAX_ENABLE_X64": "1",
        "JAX_DEBUG_NANS": "True",
        "JAX_DISABLE_JIT": "1",
        "JAX_DEFAULT_PRNG_IMPL": "rbg",
        "JAX_NUM_CPU_DEVICES": "4",
        "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
    }
    assert variables_not_used(kept) == {}
    assert variables_not_used(kept | dropped) == dict.fromkeys(dropped)
    flags = "--xla_dump_to=d --xla_force_host_platform_device_count=4"
    environ = kept | dropped | {"XLA_FLAGS": flags}
    drop_unused_variables(environ)
    assert environ == kept | {"XLA_FLAGS": "--xla_dump_to=d"}
    assert variables_not_used({"XLA_FLAGS": "--xla_dump_to=d"}) == {}


@pytest.mark.parametrize("named", ["cuda", "cuda,cpu"])
def test_auto_takes_the_cpu_where_cuda_is_named_and_there_is_none(monkeypatch, named):
    monkeypatch.setenv("JAX_PLATFORMS", named)
    with use_device("auto") as taken:
        assert taken == "cpu" and os.environ["JAX_PLATFORMS"] == "cpu"
