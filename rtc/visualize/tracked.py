"""Reading `tracked_steps`: the keys that are there, their ranks, and one's way into them.

Arrays may be numpy or anything `numpy.asarray` takes (jax arrays included).
"""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rtc.errors import ArgumentError, did_you_mean, shown

PER_STEP = ("x_t", "v_t", "correction", "error", "x_1_pred")
AXES = ("step", "batch", "horizon", "action dimension")
# Name -> axes of everything that may stand in `tracked_steps`.
LAYOUT: dict[str, tuple[str, ...]] = dict.fromkeys(PER_STEP, AXES) | {
    "time": ("step",),
    "guidance_weight": ("step",),
    "weights": ("horizon",),
    "noise": AXES[1:],
    "prev_action_chunk": AXES[1:],
    "x_1": AXES[1:],
}


class TrackingError(ArgumentError):
    """Tracked steps lack a key, have a wrong shape, or an index points outside of them."""


def read_tracked(
    tracked_steps: Mapping[str, Any], needed: Sequence[str] = (), name: str = "tracked_steps"
) -> dict[str, np.ndarray]:
    """The arrays of `tracked_steps` as numpy, checked; `x_1` is added where it is missing.

    needed: keys that a picture cannot do without, besides `x_t`, `v_t` and `time`.
    name: how messages call the dict.
    Raises TrackingError (a ValueError) that names the missing key, or the key whose rank or
    shape is wrong, or that holds something else than finite numbers.
    """
    if not isinstance(tracked_steps, Mapping):
        kind = type(tracked_steps).__name__
        raise TrackingError(f"{name}: expected the dict of a tracked run, got {kind}")
    for key in ("x_t", "v_t", "time", *needed):
        if key not in tracked_steps:
            hint = ""
            if key in ("correction", "error"):
                hint = "; only guided runs have it (realtime_action(..., return_tracking=True))"
            raise TrackingError(
                f"{name}: no key {key!r}{hint or did_you_mean(key, map(str, tracked_steps))}"
            )
    arrays = {key: np.asarray(tracked_steps[key]) for key in LAYOUT if key in tracked_steps}
    _check_shapes(arrays, name)
    for key, array in arrays.items():
        check_finite(array, f"{name}[{key!r}]")
    if "x_1" not in arrays:
        arrays["x_1"] = _end_of_flow(arrays)
    return arrays


def check_finite(array: np.ndarray, name: str) -> None:
    """Raises TrackingError unless `array` holds finite numbers; where the first other one is."""
    if array.dtype.kind in "OSUMmc":
        raise TrackingError(f"{name}: expected numbers, got {array.dtype}")
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        raise TrackingError(
            f"{name}: expected finite numbers, got nan or inf at {wrong[0].tolist()}"
        )


def _check_shapes(arrays: Mapping[str, np.ndarray], name: str) -> None:
    for key, array in arrays.items():
        axes = LAYOUT[key]
        if array.ndim != len(axes):
            raise TrackingError(
                f"{name}[{key!r}]: expected rank {len(axes)} [{', '.join(axes)}], "
                f"got rank {array.ndim} with shape {list(array.shape)}"
            )
    sizes = dict(zip(AXES, arrays["x_t"].shape))
    for axis, size in sizes.items():
        if size == 0:
            raise TrackingError(f"{name}['x_t']: the {axis} axis is empty")
    for key, array in arrays.items():
        expected = [sizes[axis] for axis in LAYOUT[key]]
        if list(array.shape) != expected:
            raise TrackingError(
                f"{name}[{key!r}]: expected shape {expected} like x_t, got {list(array.shape)}"
            )


def _end_of_flow(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """x_1 [batch, horizon, action dimension] from the last Euler step."""
    velocity = arrays["v_t"][-1]
    if "correction" in arrays:
        velocity = velocity + arrays["correction"][-1]
    return arrays["x_t"][-1] + (1 - arrays["time"][-1]) * velocity


def read_pair(
    rtc_tracked: Mapping[str, Any], no_rtc_tracked: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Both runs of a comparison, checked: same shape, same noise.

    From different noise the two differ even without guidance, so such a pair is refused.
    Raises TrackingError.
    """
    rtc = read_tracked(rtc_tracked, name="rtc_tracked")
    plain = read_tracked(no_rtc_tracked, name="no_rtc_tracked")
    if rtc["x_t"].shape != plain["x_t"].shape:
        raise TrackingError(
            f"no_rtc_tracked['x_t']: expected shape {list(rtc['x_t'].shape)} like rtc_tracked, "
            f"got {list(plain['x_t'].shape)}"
        )
    apart = float(np.max(np.abs(rtc["x_t"][0] - plain["x_t"][0])))
    if apart > 1e-6:
        raise TrackingError(
            f"no_rtc_tracked['x_t']: the two runs began from different noise (up to {apart:.3g} "
            f"apart), so their difference says nothing about guidance; pass the same noise= to both"
        )
    return rtc, plain


def check_index(value: int, size: int, name: str) -> int:
    """`value` as an index from 0; negative ones count from the end. Raises TrackingError."""
    try:
        index = operator.index(value)
    except TypeError:
        raise TrackingError(f"{name}: expected a whole number, got {shown(value)}") from None
    if not -size <= index < size:
        raise TrackingError(f"{name}: {index} is out of range, expected 0 to {size - 1}")
    return index % size


def check_indices(values: Sequence[int] | None, size: int, name: str) -> list[int]:
    """`values` as indices from 0; None means all of them. Raises TrackingError."""
    if values is None:
        return list(range(size))
    if isinstance(values, int):
        raise TrackingError(f"{name}: expected several indices, as in [{values}], got {values}")
    indices = [check_index(value, size, name) for value in values]
    if not indices:
        raise TrackingError(f"{name}: empty, expected at least one of 0 to {size - 1}")
    return indices


def with_end(arrays: Mapping[str, np.ndarray], key: str = "x_t") -> np.ndarray:
    """`key` with where it ends (t = 1) appended: [steps + 1, batch, horizon, action dimension].

    x_t ends at x_1, and so does its prediction x_1_pred.
    """
    return np.concatenate([arrays[key], arrays["x_1"][None]])


def prefix_weights(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """How firmly each action is held to the previous chunk, [horizon]; zeros if not guided."""
    if "weights" in arrays:
        return arrays["weights"]
    horizon = arrays["x_t"].shape[2]
    if "prev_action_chunk" not in arrays:
        return np.zeros(horizon)
    # Older records carry no weights; whatever was ever pulled was attended to.
    pulled = np.abs(arrays.get("error", np.zeros_like(arrays["x_t"])))
    return (pulled.max(axis=(0, 1, 3)) > 0).astype(float)
