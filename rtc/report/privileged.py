"""Methods that are told what no robot can know are marked wherever they are shown."""

from collections.abc import Iterable

import pandas as pd

MARK = " (oracle)"
NOTE = (
    "(oracle): told the true observation at the end of the delay, which no robot has; a ceiling, "
    "not a method to choose."
)


def mark_privileged(evaluations: pd.DataFrame, *tables: pd.DataFrame) -> tuple[pd.DataFrame, ...]:
    """Returns the tables, `evaluations` first, with the mark behind the names of methods whose
    rows there say `privileged`."""
    names = set(evaluations.loc[evaluations["privileged"].astype(bool), "method"])
    marked = {name: name + MARK for name in names}
    return tuple(
        table.assign(method=table["method"].map(lambda name: marked.get(name, name)))
        for table in (evaluations, *tables)
    )


def is_privileged(method: str) -> bool:
    """Whether a name carries the mark."""
    return method.endswith(MARK)


def privileged_note(methods: Iterable[str]) -> list[str]:
    """Returns the sentence to show beside these methods; none if no name carries the mark."""
    return [NOTE] if any(map(is_privileged, methods)) else []
