"""Axis letters and conventions, declared once.

Axes of arrays, in shape strings such as `Float[Array, "b h a"]`:
  b  batch: environments or samples           h  action chunk (H = 8 steps)
  o  observation entries that vary            a  action dimension (6)
  f  full Kinetix observation (679)           n  flow steps of the sampler
  t  environment steps                        k  candidate samples of a method (BID)

Flow time runs from 0 (noise) to 1 (action): x_t = (1 - t) noise + t action, and the
velocity network estimates action - noise.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jaxtyping
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["Array", "Bool", "Float", "Int", "Key", "Keys", "LogSink", "PRNGKeyArray", "PyTree"]

Key = PRNGKeyArray
# One typed key for each row of a batch.
Keys = jaxtyping.Key[Array, "b"]
PyTree = Any
# A sink takes one flat record of numbers (a row of progress.csv); trackers are sinks too.
LogSink = Callable[[Mapping[str, Any]], None]
