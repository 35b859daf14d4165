"""One look for all pictures."""

from rtc.report.figures.style import KNOWN
from rtc.visualize.style import METHOD_COLORS, gradient, method_color


def test_methods_have_the_colours_of_the_report():
    for name, color in METHOD_COLORS.items():
        assert color == KNOWN[name].color


def test_a_method_of_ones_own_keeps_its_colour():
    assert method_color("mine") == method_color("mine") != method_color("naive")


def test_a_gradient_goes_from_dark_to_light():
    brightness = [sum(shade[:3]) for shade in gradient("#0072b2", 8)]
    assert brightness == sorted(brightness)
    assert len(set(brightness)) == 8
