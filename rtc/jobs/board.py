"""What a terminal shows of a run: a line for each running job, and one for the whole.

Knows nothing of Snakemake and draws nothing: events and the clock come in, lines go out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from statistics import mean

from rtc.jobs.progress import Progress

# Rules -> where earlier runs measured them (below results/benchmarks), and seconds for a machine
# that has no earlier run (docs/performance.md, the slower of the two).
STAGES: Mapping[str, tuple[str, float]] = {
    "level": ("levels/*[!e].tsv", 1),
    "level_picture": ("levels/*_picture.tsv", 10),
    "demonstrations": ("demonstrations/*.tsv", 60),
    "expert_videos": ("experts/*/videos.tsv", 35),
    "expert*": ("experts/*/seed*.tsv", 145),
    "dataset_card": ("datasets/card.tsv", 3),
    "dataset": ("datasets/*.tsv", 22),
    "policy_pretrained*": ("policies/*/pretrained*.tsv", 3),
    "policy*": ("policies/*/*.tsv", 225),
    "evaluations": ("evaluations/join.tsv", 2),
    "evaluation_of_samples": ("evaluations/*/*/*/*.tsv", 250),
    "evaluation*": ("evaluations/*/*/*/*.tsv", 70),
    "trace": ("traces/*.tsv", 65),
    "video": ("videos/*.tsv", 65),
    "figures": ("figures.tsv", 20),
    "summary": ("summary.tsv", 8),
}
BAR = 16


@dataclass(frozen=True)
class Job:
    """A running job. name: stage, level and so on, as its log is called. log: its log file."""

    rule: str
    name: str
    log: Path | None
    begun: float


@dataclass
class Board:
    """The state of a run. cores: that it may use. benchmarks: folder of earlier measurements."""

    benchmarks: Path = Path("results/benchmarks")
    cores: int = 1
    left: dict[str, int] = field(default_factory=dict)
    total: int = 0
    done: int = 0
    running: dict[int, Job] = field(default_factory=dict)
    begun: float | None = None
    measured: dict[str, list[float]] = field(default_factory=dict)
    expected: dict[str, float] = field(default_factory=dict)

    def plan(self, jobs: Mapping[str, int], now: float) -> None:
        """jobs: how many of each rule are to be run."""
        self.left = {rule: count for rule, count in jobs.items() if rule not in ("all", "total")}
        self.total, self.begun = sum(self.left.values()), now

    def start(self, number: int, job: Job) -> None:
        """A job that begins."""
        if job.rule in self.left:
            self.left[job.rule] -= 1
        self.running[number] = job

    def end(self, number: int, now: float, failed: bool = False) -> Job | None:
        """A job that has ended; returns it, or None if it was not known to run."""
        job = self.running.pop(number, None)
        if job is not None and not failed:
            self.done += job.rule in self.left  # `all` runs as well, and is no job of ours.
            self.measured.setdefault(job.rule, []).append(now - job.begun)
        return job

    def seconds_of(self, rule: str) -> float:
        """What a job of this rule takes: as measured in this run, in earlier ones, or anywhere."""
        if rule not in self.expected:
            place, guess = next((s for r, s in STAGES.items() if fnmatch(rule, r)), ("", 10.0))
            earlier = [_benchmark(file) for file in self.benchmarks.glob(place)] if place else []
            self.expected[rule] = float(mean([s for s in earlier if s is not None] or [guess]))
        return float(mean(self.measured.get(rule) or [self.expected[rule]]))

    def seconds_left(self, now: float, progress: Callable[[Job], Progress | None]) -> float:
        """What is left to do, shared by the cores; at least what the longest running job needs."""
        running = [_rest(job, self.seconds_of(job.rule), now, progress(job)) for job in self.jobs()]
        waiting = sum(count * self.seconds_of(rule) for rule, count in self.left.items())
        return max([(sum(running) + waiting) / max(1, self.cores), *running])

    def jobs(self) -> list[Job]:
        """The running jobs, the longest running first."""
        return sorted(self.running.values(), key=lambda job: job.begun)

    def lines(self, now: float, progress: Callable[[Job], Progress | None]) -> list[list[str]]:
        """Rows of [stage, what, bar, share, rate, time]: a job each, and last the whole.

        progress: how far a job is, or None where it does not say.
        """
        rows = []
        for job in self.jobs():
            stage, _, what = job.name.partition("/")
            row = [stage, what.replace("/", " ")]
            at = progress(job)
            if at is None or not at.total:
                row += ["", "", ""]
            else:
                share = min(1.0, at.done / at.total)
                row += [_bar(share), f"{100 * share:.0f} %", _speed(at)]
            rows.append([*row, clock(now - job.begun)])
        if self.total:
            share = self.done / self.total
            left = clock(self.seconds_left(now, progress))
            told = f"{self.done} of {self.total} jobs"
            rows.append(
                ["all", told, _bar(share), f"{100 * share:.0f} %", "", f"about {left} left"]
            )
        return rows


def job_name(log: str | Path) -> str:
    """What a job is called, from its log: "experts/h17_unicycle/seed_0"."""
    parts = Path(log).with_suffix("").parts
    return "/".join(parts[parts.index("logs") + 1 :] if "logs" in parts else parts[-1:])


def clock(seconds: float) -> str:
    """0:07, 12:30 or 2:05:00."""
    minutes, seconds = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _rest(job: Job, expected: float, now: float, at: Progress | None) -> float:
    taken = now - job.begun
    share = at.done / at.total if at is not None and at.total else 0.0
    if share > 0.1:
        return taken * (1 - share) / share
    # At first a job imports and compiles, and its pace says nothing yet; one that is late is
    # half-way at most.
    return max(expected - taken, taken / 2)


def _bar(share: float) -> str:
    full = round(BAR * share)
    return "━" * full + "─" * (BAR - full)


def _speed(at: Progress) -> str:
    if not at.rate:
        return at.text
    for factor, letter in ((1e6, "M"), (1e3, "k"), (1, "")):
        if at.rate >= factor or factor == 1:
            rate = at.rate / factor
            units = at.unit + ("es" if at.unit.endswith("ch") else "s")
            return f"{rate:.3g}{letter} {units}/s {at.text}".rstrip()
    return ""


def _benchmark(file: Path) -> float | None:
    """Seconds of a Snakemake benchmark; None if it is none."""
    try:
        return float(file.read_text(encoding="utf-8").splitlines()[1].split("\t")[0])
    except (OSError, ValueError, IndexError):
        return None
