"""What a run asks of a policy that it was not trained for stands on its figures."""

from matplotlib.figure import Figure

from rtc.report.figures.style import note_on_top

NOTE = (
    "ttrtc at delays 3, 4: its policy flow_ttrtc was trained for delays of at most 2 "
    "(simulated_delay 3)"
)


def test_a_note_stands_on_top_in_lines_that_fit():
    figure = Figure(figsize=(5.4, 4.0))
    figure.subplots()
    note_on_top(figure, [NOTE])
    assert figure.get_suptitle().replace("\n", " ") == NOTE
    figure.draw_without_rendering()
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
    assert box.y1 <= figure.bbox.y1


def test_no_note_changes_nothing():
    figure = Figure()
    note_on_top(figure, [])
    assert figure.get_suptitle() == ""
