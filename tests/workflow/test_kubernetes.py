"""The Kubernetes profile, planned against a bucket that is empty: nothing is sent anywhere else."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

EMPTY = b"""<?xml version="1.0"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<Name>my-bucket</Name><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>
</ListBucketResult>"""
PREFIX = "s3://my-bucket/rtc/"
REASON = "needs: pip install -e .[kubernetes]"


class EmptyBucket(BaseHTTPRequestHandler):
    """What S3 answers for a bucket in which nothing lies."""

    def do_HEAD(self):
        is_bucket = self.path.partition("?")[0].strip("/") == "my-bucket"
        self.answer(200 if is_bucket else 404, b"")

    def do_GET(self):
        self.answer(200, EMPTY)

    def answer(self, code: int, body: bytes):
        self.send_response(code)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def storage() -> Iterator[dict[str, str]]:
    """Environment variables that lead the S3 plugin to the empty bucket."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), EmptyBucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {
        "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "somebody",
        "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "secret",
    }
    server.shutdown()
    server.server_close()


def jobs_of(plan: str) -> dict[str, str]:
    """The last description of each rule's job in a dry run."""
    return dict(re.findall(r"^rule (\w+):\n((?: {4}.*\n)+)", plan, re.MULTILINE))


def test_device_jobs_ask_for_one_gpu_and_results_go_to_storage(workspace, storage):
    pytest.importorskip("snakemake_executor_plugin_kubernetes", reason=REASON)
    pytest.importorskip("snakemake_storage_plugin_s3", reason=REASON)
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/kubernetes", "-n"]
    result = subprocess.run(
        [*command, "--quiet", "host"],
        cwd=workspace.folder,
        env=os.environ | storage | {"PYTHONPATH": str(workspace.folder), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    plan = result.stdout + result.stderr
    assert result.returncode == 0, plan[-3000:]
    jobs = jobs_of(plan)
    stages = ("expert", "dataset", "policy_flow", "policy_flow_ttrtc", "evaluation")
    on_device = {*stages, "evaluation_of_samples"}
    assert {rule for rule, job in jobs.items() if "gpu=1" in job} == on_device
    assert {rule for rule, job in jobs.items() if "gpu=0" in job} == set()
    assert all("gpu_manufacturer=nvidia" in jobs[rule] for rule in on_device)
    for rule, job in jobs.items():
        for _, names in re.findall(r"^ {4}(input|output): (.*)$", job, re.MULTILINE):
            inside = [name.strip().startswith(PREFIX) for name in names.split(",")]
            # The file of a level is a source: it travels with the code.
            assert all(inside) or (rule == "level" and "config/levels" in names), names
