"""The live display: when it is asked for, and what Snakemake's events become."""

import io
import logging
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console
from snakemake_interface_logger_plugins.common import LogEvent

from rtc.jobs import run as command
from rtc.jobs.progress import LIVE

ROOT = Path(__file__).parents[2]


class Started(Exception):
    """In place of becoming Snakemake, which does not come back."""


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Starts `rtc run` without running it; returns Snakemake's arguments."""

    def start(*arguments, terminal=True):
        def execv(program, words):
            raise Started(words)

        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("PYTHONPATH", "/somewhere")
        monkeypatch.setenv(LIVE, "")
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
        monkeypatch.setattr(os, "execv", execv)
        for wait in ("own", "wait_for_others", "stop_orphans"):
            monkeypatch.setattr(command, wait, lambda *_: None)
        with pytest.raises(Started) as stopped:
            command.run(arguments)
        return stopped.value.args[0], os.environ[LIVE], os.environ["PYTHONPATH"]

    return start


def test_a_terminal_gets_the_display_and_a_pipe_plain_lines(started):
    for arguments in (("--cores", "2"), ("--cores", "2", "--", "a.csv"), ("a.csv", "--cores", "2")):
        words, live, path = started(*arguments)
        # Before any file to make, and no file right behind it: it would count as a second logger.
        assert words[3:5] == ["--logger", "rtc"] and words[5].startswith("--") and live == "1"
    assert path.split(os.pathsep) == [str(ROOT / "workflow/terminal"), "/somewhere"]
    for arguments, terminal in (((), False), (("--quiet", "all"), True), (("-n",), True)):
        words, live, path = started(*arguments, terminal=terminal)
        assert "--logger" not in words
        assert (live, path) == ("", "/somewhere")


@pytest.fixture
def handler(monkeypatch):
    """The plugin, writing to a text."""
    monkeypatch.syspath_prepend(str(ROOT / "workflow/terminal"))
    plugin = pytest.importorskip("snakemake_logger_plugin_rtc")
    handler = plugin.LogHandler(None, None)
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    handler.console = handler.live.console = console
    yield handler
    handler.close()


def tell(handler, event=None, text="", level=logging.INFO, **fields):
    record = logging.LogRecord("snakemake", level, __file__, 0, text, (), None)
    record.__dict__.update(fields | ({} if event is None else {"event": event}))
    handler.emit(record)


def test_events_become_lines(handler, tmp_path):
    log = tmp_path / "logs/experts/a/seed_0.log"
    log.parent.mkdir(parents=True)
    log.write_text("1 INFO process 7\n2 ERROR Traceback\n  more\n3 ERROR out of memory; lower it\n")
    tell(handler, LogEvent.RESOURCES_INFO, cores=2)
    tell(handler, LogEvent.RUN_INFO, stats={"expert": 2, "total": 2})
    expert = {"rule_name": "expert", "log": [str(log)]}
    other = {"rule_name": "expert", "log": [str(log.with_name("seed_1.log"))]}
    tell(handler, LogEvent.JOB_INFO, jobid=1, **expert)
    tell(handler, LogEvent.JOB_INFO, jobid=2, **other)
    assert (handler.board.cores, len(handler.board.running)) == (2, 2)
    assert handler._table().row_count == 3
    tell(handler, LogEvent.JOB_FINISHED, job_id=2)
    tell(handler, LogEvent.JOB_ERROR, jobid=1, level=logging.ERROR, **expert)
    tell(handler, text="Select jobs to execute...")
    tell(handler, text="h17: not in pretrained/, so left out", level=logging.WARNING)
    tell(handler, text="RuleException:\nCalledProcessError in file ...", level=logging.ERROR)
    log.write_text("1 WARNING interrupted\n")
    tell(handler, LogEvent.JOB_ERROR, jobid=3, level=logging.ERROR, **expert)
    said = handler.console.file.getvalue()
    assert "done   experts/a/seed_1  0:00" in said
    assert f"failed experts/a/seed_0  out of memory; lower it {log}" in said
    assert "failed experts/a/seed_0  interrupted" in said and "RuleException" not in said
    assert "so left out" in said and "Select jobs" not in said and "Traceback" not in said
