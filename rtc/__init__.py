"""Real-Time Chunking on Kinetix: levels, experts, data sets, flow policies, methods, figures.

Names below are loaded on first use, so `import rtc` costs nothing and pulls in no jax.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Level": "rtc.levels",
    "load_level": "rtc.levels",
    "make_env": "rtc.env",
    "FlowPolicy": "rtc.flow",
    "ModelConfig": "rtc.flow",
    "get_prefix_weights": "rtc.flow",
    "load_policy": "rtc.flow.loading",
    "load_expert": "rtc.experts",
    "load_head": "rtc.flow.heads",
    "METHODS": "rtc.methods",
    "make_method": "rtc.methods",
    "visualize": "rtc.visualize",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rtc' has no attribute {name!r}")
    module = importlib.import_module(_PUBLIC[name])
    value = module if _PUBLIC[name] == f"rtc.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
