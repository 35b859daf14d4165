"""The three sentences say what the numbers say."""

from rtc.report.stats import paired_table
from rtc.report.summary import format_p, summary_sentences
from tests.synthetic_tables import make_evaluations, make_rollouts


def test_three_sentences_from_the_numbers():
    rollouts = make_rollouts(rollouts=128)
    evaluations = make_evaluations(rollouts)
    first, second, third = summary_sentences(evaluations, paired_table(rollouts, draws=300))
    late = rollouts[(rollouts.horizon == rollouts.delay) & (rollouts.delay >= 2)]
    rate = 100 * late[late.method == "realtime"].solved.mean()
    assert f"realtime solved {rate:.1f} % of 768 episodes" in first
    assert "naive solved" in first and first.endswith("the intervals are apart.")
    assert "percentage points more than naive" in second and "p < 1e-6" in second
    assert "4 steps, ttrtc was the best of 6 methods" in third


def test_one_method_or_no_line_still_reads():
    alone = make_evaluations(make_rollouts(methods=("te",), cells="paper"))
    assert len(summary_sentences(alone)) == 1
    assert summary_sentences(alone)[0].startswith("At inference delays of two steps and more, te")
    other = make_rollouts(methods=("naive", "bid"), cells=[{"delay": 2, "horizon": 5}])
    told = summary_sentences(make_evaluations(other), paired_table(other))
    assert len(told) == 1 and told[0].startswith("Over all cells, bid solved")


def test_the_best_may_be_several():
    cells = [{"delay": 4, "horizon": 4}]
    table = make_evaluations(make_rollouts(methods=("ttrtc", "bid", "naive"), cells=cells))
    table["solve_rate"], table["rollouts"] = 0.5, 64
    for solved, said in (
        ({"naive": 10, "bid": 32, "ttrtc": 32}, "bid and ttrtc were the best of 3 methods with 50"),
        ({"naive": 32, "bid": 32, "ttrtc": 32}, "all 3 methods were equal with 50.0 %"),
    ):
        table["solved"] = table["method"].map(solved)
        assert said in summary_sentences(table)[-1]


def test_numbers_are_written_for_people():
    assert format_p(1e-9) == "p < 1e-6"
    assert format_p(0.01234) == "p = 0.012"
