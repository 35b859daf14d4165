"""Snakemake's log as a live display on a terminal: `snakemake --logger rtc`.

`rtc run` puts this folder on the path and asks for it where it writes to a terminal; what the
lines say is worked out in rtc/jobs/board.py. Snakemake's own log file has everything as ever.
"""

import atexit
import logging
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from rtc.jobs.board import Board, Job, clock, job_name
from rtc.jobs.progress import progress_file, read_progress

# Of what Snakemake says without an event, this is for the person who waits, and this is not.
TOLD = ("Writing ", "Nothing to be done", "Finished writing", "Will exit")
UNTOLD = ("RuleException:\nCalledProcessError", "Config file ", "Exiting because a job")


class LogHandler(LogHandlerBase):
    """A line for each running job and one for the whole; a line for each job that has ended."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.board = Board()
        self.live = Live(
            console=self.console, get_renderable=self._table, refresh_per_second=2, transient=True
        )
        atexit.register(self.live.stop)

    def emit(self, record: logging.LogRecord) -> None:
        """Takes one of Snakemake's messages, in the order in which they come."""
        event, now = getattr(record, "event", None), time.monotonic()
        if event == LogEvent.RUN_INFO:
            self.board.plan(record.stats, now)
            self.live.start()
        elif event == LogEvent.RESOURCES_INFO and getattr(record, "cores", None):
            self.board.cores = int(record.cores)
        elif event == LogEvent.JOB_INFO:
            self.board.start(record.jobid, _job(record, now))
        elif event == LogEvent.JOB_FINISHED:
            job = self.board.end(record.job_id, now)
            if job is not None:
                self._say("done", "green", job.name, clock(now - job.begun))
        elif event == LogEvent.JOB_ERROR:
            job = self.board.end(record.jobid, now, failed=True) or _job(record, now)
            self._say("failed", "bold red", job.name, _last_error(job.log))
        elif _matters(record):
            style = "red" if record.levelno >= logging.ERROR else "yellow"
            self.console.print(Text(record.getMessage(), style if record.levelno > 20 else ""))

    def close(self) -> None:
        """Takes the live lines away."""
        self.live.stop()
        super().close()

    def _say(self, what: str, style: str, *told: str) -> None:
        self.console.print(Text.assemble((f"{what:7}", style), "  ".join(told)), soft_wrap=True)

    def _table(self) -> Table:
        def progress(job: Job):
            return None if job.log is None else read_progress(progress_file(job.log))

        rows = self.board.lines(time.monotonic(), progress)
        table = Table.grid(padding=(0, 2))
        # Where it is narrow, names are cut, then rates; never shares and times.
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(6)]
        spare = self.console.width - sum(widths) - 2 * len(widths)
        widths[1] = max(20, widths[1] + min(0, spare))
        widths[4] += min(0, self.console.width - sum(widths) - 2 * len(widths))
        if widths[4] < 10:
            widths[4], rows = 0, [[*row[:4], "", row[5]] for row in rows]
        for width, justify in zip(widths, ("left", "left", "left", "right", "left", "right")):
            table.add_column(
                no_wrap=True, overflow="ellipsis", justify=justify, width=max(width, 1)
            )
        for row in rows:
            style = "bold" if row[0] == "all" else ""
            cells = [Text(cell, style) for cell in row]
            cells[2].stylize("cyan")
            table.add_row(*cells)
        return table


def _matters(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    if record.levelno < logging.WARNING:
        return text.startswith(TOLD)
    return not text.startswith(UNTOLD)


def _job(record: logging.LogRecord, now: float) -> Job:
    log = Path(record.log[0]) if record.log else None
    return Job(record.rule_name, job_name(log) if log else record.rule_name, log, now)


def _last_error(log: Path | None) -> str:
    """What a job said last of an error, and where its log lies."""
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except (OSError, AttributeError):
        return f"see {log}" if log else ""
    if lines and lines[-1].endswith((" interrupted", " terminated")):
        return lines[-1].rpartition(" ")[2]
    errors = [line.partition(" ERROR ")[2] for line in lines if " ERROR " in line] or ["see"]
    return errors[-1] if str(log) in errors[-1] else f"{errors[-1]} {log}"
