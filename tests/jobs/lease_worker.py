"""One job among many: takes a device through `rtc.jobs.job`, writes when it came and went."""

import os
import sys
import time

from rtc.jobs.job import job

journal, log, jobs_per_gpu, seconds = sys.argv[1:]


def note(event: str) -> None:
    device = os.environ["CUDA_VISIBLE_DEVICES"]
    line = f"{time.monotonic_ns()} {event} {device} {os.getpid()}\n"
    # One short write to a file opened for appending is atomic.
    descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)


with job(log=log, threads=1, device="gpu", jobs_per_gpu=int(jobs_per_gpu)):
    note("came")
    time.sleep(float(seconds))
    note("went")
