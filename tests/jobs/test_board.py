"""What the terminal shows of a run: names, shares, rates, and the time that is left."""

import io
import json
import logging

import pytest
from tqdm import tqdm

from rtc.jobs import progress
from rtc.jobs.board import Board, Job, clock, job_name
from rtc.jobs.job import job
from rtc.jobs.progress import Progress, progress_file, progress_to_file, read_progress


def running(rule, name, begun):
    return Job(rule, name, None, begun)


def silent(_):
    return None


def test_a_line_a_job_and_one_for_the_whole(tmp_path):
    board = Board(benchmarks=tmp_path, cores=2)
    board.plan({"level": 2, "expert": 2, "all": 1, "total": 5}, now=100.0)
    board.start(1, running("expert", "experts/h17_unicycle/seed_0", 100.0))
    board.start(2, running("level", "levels/catapult", 130.0))
    at = {
        "experts/h17_unicycle/seed_0": Progress(500_000, 2_000_000, "step", 15_640.0, ""),
        "levels/catapult": None,
    }
    first, second, whole = board.lines(160.0, lambda job: at[job.name])
    assert first == [
        *("experts", "h17_unicycle seed_0", "━" * 4 + "─" * 12, "25 %", "15.6k steps/s", "1:00"),
    ]
    assert second == ["levels", "catapult", "", "", "", "0:30"]
    # The longest running job needs 180 s; all of it 180 + 145 + 1 + 15 (a level that is late) / 2.
    assert whole == ["all", "0 of 4 jobs", "─" * 16, "0 %", "", "about 3:00 left"]
    assert board.end(2, 161.0).name == "levels/catapult"
    assert board.end(7, 161.0) is None
    board.start(3, running("all", "", 161.0))
    board.end(3, 162.0)
    assert board.lines(162.0, lambda job: at[job.name])[-1][1] == "1 of 4 jobs"


def test_the_time_left_comes_from_this_run_then_earlier_ones_then_the_table(tmp_path):
    board = Board(benchmarks=tmp_path, cores=2)
    assert board.seconds_of("expert") == 145
    assert board.seconds_of("policy_flow_ttrtc") == 225
    assert board.seconds_of("a_rule_of_one_s_own") == 10
    (tmp_path / "datasets").mkdir()
    for name, seconds in (("a", 20), ("b", 40)):
        text = f"s\th:m:s\n{seconds}.0\t0:00:{seconds}\n"
        (tmp_path / f"datasets/{name}.tsv").write_text(text)
    (tmp_path / "datasets/c.tsv").write_text("cut off")
    assert board.seconds_of("dataset") == 30
    board.plan({"dataset": 3, "expert": 1}, now=0.0)
    board.start(1, running("dataset", "datasets/d", 0.0))
    board.end(1, 10.0)
    assert board.seconds_of("dataset") == 10
    assert board.seconds_left(10.0, silent) == pytest.approx((2 * 10 + 145) / 2)
    board.start(2, running("expert", "experts/d/seed_0", 10.0))
    assert board.seconds_left(60.0, silent) == pytest.approx(95)  # the expert alone takes that


def test_a_failed_job_is_neither_done_nor_measured(tmp_path):
    board = Board(benchmarks=tmp_path)
    board.plan({"expert": 2}, now=0.0)
    board.start(1, running("expert", "experts/a/seed_0", 0.0))
    assert board.end(1, 5.0, failed=True).name == "experts/a/seed_0"
    assert (board.done, board.seconds_of("expert")) == (0, 145)


def test_names_and_times_are_written_for_people(tmp_path):
    board = Board(benchmarks=tmp_path, cores=1)
    board.start(1, running("policy_flow", "policies/catapult/flow_seed_0", 0.0))
    at = Progress(1, 4, "batch", 48.1, "")
    assert board.lines(1.0, lambda job: at)[0][4] == "48.1 batches/s"
    assert job_name("results/logs/experts/a/seed_0.log") == "experts/a/seed_0"
    assert job_name("/elsewhere/one.log") == "one"
    assert [clock(s) for s in (7.4, 750.0, 7500.0)] == ["0:07", "12:30", "2:05:00"]


def test_bars_go_to_the_file_and_leave_the_terminal_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    terminal, file = io.StringIO(), tmp_path / "seed_0.progress"
    before = tqdm.display, tqdm.close
    with progress_to_file(file):
        with tqdm(total=10, initial=2, unit="step", file=terminal, mininterval=0) as bar:
            bar.set_postfix_str("d=1")
            bar.update(3)
            at = read_progress(file)
        assert (at.done, at.total, at.unit, at.text) == (5, 10, "step", "d=1")
        assert at.rate > 0
    assert terminal.getvalue() == "" and not file.exists()
    assert (tqdm.display, tqdm.close) == before
    file.write_text(json.dumps([1, 2])[:3])
    assert read_progress(file) is None


def test_a_job_of_a_run_that_is_drawn_keeps_to_its_log(tmp_path, monkeypatch, capsys):
    log = tmp_path / "logs/experts/a/seed_0.log"
    logger = logging.getLogger("rtc")
    for live in ("1", ""):
        monkeypatch.setenv(progress.LIVE, live)
        with job(log=log, threads=1, device="cpu", cache=tmp_path):
            logger.info("a word (%s)", live)
            if live:
                tqdm(total=4, file=io.StringIO(), mininterval=0).update(1)
                assert read_progress(progress_file(log)).total == 4
        said = capsys.readouterr().err
        assert ("a word" in said) == (not live)
        assert f"a word ({live})" in log.read_text()
    assert not progress_file(log).exists()
