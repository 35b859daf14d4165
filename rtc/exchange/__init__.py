"""Exchange with the reference code, both ways; and what was learned, shipped.

Names below are loaded on first use: a job that imports a policy needs nothing of the others.
"""

import importlib
from typing import Any

_PUBLIC = {
    "export_reference": "rtc.exchange.reference",
    "import_policy": "rtc.exchange.policies",
    "import_reference": "rtc.exchange.reference",
    "ship_pretrained": "rtc.exchange.pretrained",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rtc.exchange' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
