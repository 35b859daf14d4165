"""Tracked runs of a made-up flow, in plain numpy: straight lines towards a known chunk."""

import numpy as np

from rtc.visualize import ChunkTimeline

STEPS, BATCH, HORIZON, DIMS = 10, 2, 8, 6


def made_up_run(guided, *, seed=0, steps=STEPS, batch=BATCH, horizon=HORIZON, dims=DIMS, delay=3):
    """Euler steps of v = (goal - x) / (1 - t), pulled to a previous chunk if `guided`."""
    random = np.random.default_rng(seed)
    shape = (batch, horizon, dims)
    noise = random.standard_normal(shape)
    ramp = np.linspace(0, 1, horizon)[None, :, None]
    goal = np.sin(3 * ramp + np.arange(dims)[None, None] + np.arange(batch)[:, None, None])
    previous = np.where(ramp < 0.7, 0.6 * np.cos(4 * ramp) + 0 * goal, 0)
    attended = np.clip((5 - np.arange(horizon)) / (5 - delay + 1), 0, 1)
    weights = np.where(np.arange(horizon) < delay, 1.0, attended)
    x, rows = noise, []
    for time in np.arange(steps) / steps:
        velocity = (goal - x) / (1 - time) * (0.6 + 0.4 * time)
        predicted = x + (1 - time) * velocity
        error = (previous - predicted) * weights[None, :, None]
        weight = min(5.0, (time**2 + (1 - time) ** 2) / (time * (1 - time)) if time else 5.0)
        correction = weight * error if guided else np.zeros_like(error)
        rows.append((x, velocity, correction, error, predicted, time, weight))
        x = x + (velocity + correction) / steps
    names = ("x_t", "v_t", "correction", "error", "x_1_pred", "time", "guidance_weight")
    tracked = {name: np.stack(column) for name, column in zip(names, zip(*rows))}
    tracked |= {"noise": noise, "x_1": x, "weights": weights, "prev_action_chunk": previous}
    if not guided:
        for name in ("correction", "error", "guidance_weight", "weights", "prev_action_chunk"):
            del tracked[name]
    return tracked


def made_up_episode(*, seed=0, steps=40, delay=3, horizon=5, smooth=False, dims=DIMS):
    """An episode of random chunks around a sine, smooth at the switches if asked for."""
    random = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.arange(0, steps, horizon)])
    chunks = []
    for start in starts:
        shift = 0.0 if smooth else random.normal(0, 0.3, dims)
        chunks.append(np.sin((start + np.arange(HORIZON)[:, None]) / 6 + np.arange(dims)) + shift)
    source = np.array([max(0, (t - delay) // horizon + 1) for t in range(steps)])
    chunks = np.stack(chunks)
    actions = np.stack([chunks[c, t - starts[c]] for t, c in enumerate(source)])
    return ChunkTimeline(actions, source, starts, chunks, solved=smooth)
