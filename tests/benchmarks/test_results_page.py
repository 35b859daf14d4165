"""docs/results.md says what docs/results has counted."""

import re

import pandas as pd
import pytest

from benchmarks.results_page import DOCS, computed, main, take
from rtc.storage.tables import EVALUATION_COLUMNS

PAGE = (DOCS / "results.md").read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_counts():
    assert computed(PAGE) == PAGE


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("| level | method | 0, 1 | 1, 1", "| catapult | realtime |"),
        ("| mean of 12 levels", "| naive | 1, 1 |"),
        ("| level | d | realtime - naive", "| catapult | 4 |"),
        ("| method | d | s = 1", "| realtime | 0 |"),
        ("| method | d | s = 1", "|  | 4 |"),
        ("| method | ours", "| hard_masking |"),
        ("### A second policy seed", "|  | realtime |"),
        ("| method | seed", "|  | 1 |"),
        ("| method | experts", "|  | others |"),
        ("### Which experts were drawn", "|  | realtime |"),
        ("| level | network | method", "| mjc_walker | the paper's | naive |"),
        ("## Every method, side by side", "| requery (oracle) |"),
        ("### The paper's methods on twelve levels", "| bid |"),
        ("### The paper's methods on twelve levels", "|  | ttrtc |"),
    ],
)
def test_a_wrong_entry_is_computed_anew(header, row):
    """One table of each kind."""
    start = PAGE.index(f"\n{row}", PAGE.index(f"\n{header}")) + 1 + len(row)
    wrong = PAGE[:start] + re.sub(r"\d+", "1", PAGE[start:], count=1)
    assert wrong != PAGE
    assert computed(wrong) == PAGE


def test_a_run_adds_what_has_not_been_counted(tmp_path):
    run = dict.fromkeys(EVALUATION_COLUMNS, 0) | {"level": "a", "method": "naive", "rollouts": 8}
    pd.DataFrame([run | {"delay": d, "solved": 5} for d in (0, 1)]).to_csv(tmp_path / "run.csv")
    counts = tmp_path / "counts.csv"
    counts.write_text("level,method,delay,horizon,solved,rollouts\na,naive,1,0,7,8\n")
    take(counts, [str(tmp_path / "run.csv")])
    assert pd.read_csv(counts)["solved"].tolist() == [5, 7]
    counts.write_text("level,network,method,delay,horizon,solved,rollouts\na,paper,naive,1,0,7,8\n")
    take(counts, [str(tmp_path / "run.csv")])
    assert pd.read_csv(counts)["network"].tolist() == ["laptop", "laptop", "paper"]
    pd.DataFrame([run | {"seed": seed} for seed in (0, 1)]).to_csv(tmp_path / "run.csv")
    with pytest.raises(SystemExit, match="several policy seeds"):
        take(counts, [str(tmp_path / "run.csv")])


def test_a_table_that_is_not_there_is_one_line(capsys):
    with pytest.raises(SystemExit):
        main(["--take", "second_seed", "nowhere.csv"])
    assert "error: nowhere.csv: cannot be read" in capsys.readouterr().err
