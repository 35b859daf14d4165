"""A table of how far the engine is from the stock one, printed after the tests that compare."""

import pytest

ROWS: list[tuple] = []


@pytest.fixture
def ledger() -> list[tuple]:
    """Append (level, states, median, 99.9 %, worst, states beyond tolerance, misjudged)."""
    return ROWS


def pytest_terminal_summary(terminalreporter):
    if not ROWS:
        return
    terminalreporter.section("difference from the stock engine after one step")
    heads = ("level", "states", "median", "99.9 %", "worst", "beyond", "misjudged")
    terminalreporter.line("{:24} {:>7} {:>9} {:>9} {:>9} {:>7} {:>9}".format(*heads))
    for name, states, median, rare, worst, beyond, misjudged in ROWS:
        terminalreporter.line(
            f"{name:24} {states:7} {median:9.1e} {rare:9.1e} {worst:9.1e} {beyond:7} {misjudged:9}"
        )
