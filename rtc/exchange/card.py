"""The card of `pretrained/`, in the form of the Hugging Face hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtc.storage.io import write_text

HEAD = """\
---
license: mit
pretty_name: Flow policies and experts for Real-Time Chunking on Kinetix
pipeline_tag: robotics
library_name: rtc-pipeline
tags:
- robotics
- flow-matching
- action-chunking
- imitation-learning
- reinforcement-learning
- kinetix
- real-time-chunking
---

# Flow policies and experts for Real-Time Chunking on Kinetix

Policies that predict chunks of 8 actions on levels of [Kinetix](https://kinetix-env.github.io),
cloned by flow matching from RPO experts, as in
[Real-Time Execution of Action Chunking Flow Policies](https://arxiv.org/abs/2506.07339); and the
best expert of each level. {count}

```python
import rtc

policy = rtc.load_policy("{example}")  # or "{example}/flow_ttrtc"
expert = rtc.load_expert("{example}")
```

`config/pretrained.yaml` evaluates them: `make first` draws the paper's figure 5. `python -m rtc
compare` sets a method of your own beside them.

## Scores

Episodes solved (%) at inference delay d and execution horizon s = max(d, 1), as the run of the
commit measured it, before rounding to float16 if it trained the policies itself; the expert's is
that of its last training interval.

{scores}

## Files

{files}

Weights are float16 `safetensors`; they are computed with in float32. A level that has changed
since is refused. Of the trainings of a policy the first is shipped, however the others came out; of
the experts the one that solved most.

Made from a finished run by `snakemake pretrained`, which replaces the levels of that run and keeps
the others.
"""
MISSING = "-"


def write_card(folder: str | Path, manifest: Mapping[str, Any]) -> None:
    """Writes `README.md` beside the manifest of `folder`."""
    levels = manifest["levels"]
    size = sum(value["bytes"] for value in manifest["files"].values())
    counted = "One level" if len(levels) == 1 else f"{len(levels)} levels"
    text = HEAD.format(
        count=f"{counted}, {len(manifest['files'])} files, {size / 1e6:.1f} MB.",
        example=next(iter(levels), "h17_unicycle"),
        scores=_table(*_scores(levels)) if _scores(levels)[1] else "Nothing was evaluated.",
        files=_table(*_files(manifest)),
    )
    write_text(Path(folder) / "README.md", text)


def _scores(levels: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    rows, delays = [], set()
    for level, entry in levels.items():
        best = max((e["solve_rate"] for e in entry["experts"].values()), default=None)
        expert = MISSING if best is None else _percent(best)
        for policy, said in entry["policies"].items():
            for method, score in said["scores"].items():
                delays |= set(score["solve_rate"])
                rows.append((level, expert, method, policy, score))
    shown = sorted(delays, key=int)
    head = ["level", "expert", "method", "policy", "episodes", *(f"d = {d}" for d in shown)]
    body = [
        [level, expert, method, policy, f"{score['rollouts']:,}"]
        + [_percent(score["solve_rate"].get(delay)) for delay in shown]
        for level, expert, method, policy, score in rows
    ]
    return head, body


def _files(manifest: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for level, entry in manifest["levels"].items():
        places = [f"{kind}/{level}/" for kind in ("policies", "experts")]
        files = {n: v for n, v in manifest["files"].items() if n.startswith(tuple(places))}
        size = sum(value["bytes"] for value in files.values())
        policies = [
            f"{n} ({', '.join(map(str, p['epochs']))})" for n, p in entry["policies"].items()
        ]
        made = [level, "; ".join(policies), ", ".join(entry["experts"]) or MISSING]
        rows.append([*made, f"{size / 1e6:.2f}", entry["digest"][:12], entry["commit"]])
    return ["level", "policies (epochs)", "expert", "MB", "digest of the level", "commit"], rows


def _percent(rate: float | None) -> str:
    return MISSING if rate is None else f"{100 * rate:.1f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
