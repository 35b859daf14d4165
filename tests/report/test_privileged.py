"""What is told the future is marked wherever it is shown."""

from rtc.report.comparison import comparison_text
from rtc.report.figures.lines import CEILING, paper_figure_5
from rtc.report.figures.style import THIN
from rtc.report.privileged import MARK, NOTE, mark_privileged, privileged_note
from rtc.report.summary import summary_sentences
from tests.synthetic_tables import make_evaluations, make_rollouts

ORACLE = {"requery": {"method": "requery", "forecast": "oracle"}}


def tables(methods=("naive", "requery")):
    rollouts = make_rollouts(methods=methods, cells="paper", rollouts=16)
    return make_evaluations(rollouts, ORACLE), rollouts


def test_names_are_marked_and_a_sentence_says_why():
    evaluations, rollouts = mark_privileged(*tables())
    assert {*evaluations.method} == {*rollouts.method} == {"naive", "requery" + MARK}
    assert privileged_note(evaluations.method) == [NOTE]
    plain, _ = mark_privileged(*tables(("naive", "te")))
    assert {*plain.method} == {"naive", "te"} and privileged_note(plain.method) == []


def test_the_comparison_and_the_answer():
    text = comparison_text(*tables(), "requery")
    assert f"requery{MARK} against each other method" in text and text.endswith(NOTE + "\n")
    evaluations, _ = mark_privileged(*tables())
    assert "requery" not in " ".join(summary_sentences(evaluations))


def test_figure_5_draws_ceilings_as_thin_lines():
    evaluations, _ = mark_privileged(*tables())
    figure = paper_figure_5(evaluations)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["naive", "requery (oracle)", "naive at every step, no delay"]
    cells = evaluations[(evaluations.method == "naive") & (evaluations.delay == 0)]
    for axes, level in zip(figure.axes, sorted(cells.level.unique())):
        thin = [line for line in axes.get_lines() if line.get_linewidth() == THIN]
        dotted = next(line for line in thin if line.get_color() == CEILING)
        rate = cells[cells.level == level].solve_rate.item()
        assert len(thin) == 2 and list(dotted.get_ydata()) == [rate, rate]
    late = paper_figure_5(evaluations[evaluations.delay > 0])
    assert len(late.legends[0].get_texts()) == 2
