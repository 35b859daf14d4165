"""One order of methods, for legends, panels and tables alike. Reads nothing."""

from collections.abc import Iterable

from rtc.report.privileged import MARK

# The baseline; ways to mix chunks or to choose among samples; ways to hold on to the chunk in
# execution, from the crudest to guidance; those with a training of their own, or that see more.
ORDER = (
    "naive",
    *("te", "blend", "bid_rejection", "bid"),
    *("diffuser_overwrite", "paint", "hard_masking", "realtime"),
    *("ttrtc", "soft"),
    *("vlash", "dream_chunk", "a2c2", "requery"),
)


def in_order(methods: Iterable[str]) -> list[str]:
    """Each method once. A variant (realtime_beta_2) follows the method that its name begins
    with; methods that are not known come last, by the alphabet."""
    return sorted(set(methods), key=lambda name: (_place(name), name))


def _place(name: str) -> int:
    name = name.removesuffix(MARK)
    near = [known for known in ORDER if name == known or name.startswith(f"{known}_")]
    return ORDER.index(max(near, key=len)) if near else len(ORDER)
