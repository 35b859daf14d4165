"""DREAM-Chunk beside the same written as a loop over the steps of one robot; its world model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rtc.flow.heads import HeadRows, Sizes, make_head
from rtc.methods.contract import (
    ACTIONS,
    CHUNK,
    FLOW_STEPS,
    OBSERVATIONS,
    example_context,
    small_policy,
)
from rtc.methods.dream_chunk import DreamChunk

SAMPLES, DECISIONS = 3, 5
PUSH = np.random.default_rng(0).normal(size=(ACTIONS, OBSERVATIONS)).astype(np.float32)


def world(obs, action):
    """What the world model believes."""
    return 0.9 * obs + 0.3 * action @ PUSH


@pytest.fixture(scope="module")
def method():
    """(the method, its compiled call, its compiled act); delay and horizon traced."""
    policy, dream = small_policy(0), DreamChunk(samples=SAMPLES)

    def call(context, carry):
        return dream(policy, None, context, carry, FLOW_STEPS)

    def act(*arguments):
        return dream.act(policy, (world,), *arguments)

    return dream, jax.jit(call), jax.jit(act)


def played(method, delay, horizon):
    """One robot in a world that is gustier than believed. For each step: observation, action that
    the chunk held, action that was executed; for each decision: candidates [k, h, a]."""
    dream, call, act = method
    context = example_context(dream)._replace(key=None)
    obs, previous = context.obs[:1], context.previous[:1]
    carry = dream.init(1, CHUNK, ACTIONS, OBSERVATIONS)
    steps, candidates, key = [], [], jax.random.key(3)
    for number in range(DECISIONS):
        noise = jax.random.normal(jax.random.fold_in(key, number), (SAMPLES, 1, CHUNK, ACTIONS))
        now = context._replace(
            obs=obs, previous=previous, delay=delay, horizon=horizon, noise=noise
        )
        chunk, carry = call(now, carry)
        candidates.append(np.asarray(carry.chunks[0, 1]))
        for step in range(horizon):
            held, place = (previous, step + horizon) if step < delay else (chunk, step)
            action, carry = act(obs, held[:, step], jnp.full(1, place, jnp.int32), carry)
            steps.append([np.asarray(row[0]) for row in (obs, held[:, step], action)])
            gust = jax.random.normal(jax.random.fold_in(key, 100 + len(steps)), obs.shape)
            obs = world(obs, action) + gust
        previous = jnp.pad(chunk[:, horizon:], ((0, 0), (0, horizon), (0, 0)))
    return steps, candidates


@pytest.mark.parametrize(("delay", "horizon"), [(0, 1), (0, 4), (1, 1), (2, 3), (4, 4)])
def test_the_chunk_of_the_nearest_dream_is_executed(method, delay, horizon):
    steps, candidates = played(method, delay, horizon)
    nearest = set()
    for time, (obs, held, executed) in enumerate(steps):
        number, place = divmod(time, horizon)
        if place < delay:
            number, place = number - 1, place + horizon
        if number < 0:
            np.testing.assert_array_equal(executed, held)
            continue
        made, distances = steps[number * horizon][0], []
        for chunk in candidates[number]:
            dreamt = made
            for action in chunk[:place]:
                dreamt = world(dreamt, action)
            distances.append(np.sum((dreamt - obs) ** 2))
        best = int(np.argmin(distances))
        nearest.add(best)
        np.testing.assert_allclose(executed, candidates[number][best, place], atol=1e-6)
    # At no delay and a new chunk for every step no dream ever differs from what is seen.
    assert len(nearest) > 1 or (delay, horizon) == (0, 1)


def rows(count):
    keys = jax.random.split(jax.random.key(0), 3)
    history = jax.random.normal(keys[0], (count, 2, OBSERVATIONS))
    last = jax.random.normal(keys[1], (count, ACTIONS))
    history = history.at[:, 1].set(world(history[:, 0], last))
    return HeadRows(history, last, last, jnp.zeros(count, jnp.int32), last)


def test_the_world_model_learns_what_follows_and_passes_over_first_moments():
    kind = make_head("world_model", {"hidden_sizes": [64]})
    network = kind.network(Sizes(OBSERVATIONS, ACTIONS, CHUNK), nnx.Rngs(0))
    data = rows(256)
    np.testing.assert_array_equal(
        network(data.obs_history[:, 0], data.last_action), data.obs_history[:, 0]
    )
    graph, params = nnx.split(network)
    step = jax.jit(jax.value_and_grad(lambda p, rows: kind.loss(nnx.merge(graph, p), rows)))
    losses = []
    for _ in range(200):
        loss, grads = step(params, data)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
        losses.append(float(loss))
    assert losses[-1] < 0.2 * losses[0]
    first = data._replace(
        obs_history=data.obs_history.at[:128].add(5.0),
        last_action=data.last_action.at[:128].set(0.0),
    )
    rest = jax.tree.map(lambda leaf: leaf[128:], data)
    assert float(step(params, first)[0]) == pytest.approx(float(step(params, rest)[0]), rel=1e-5)
    alone = jax.tree.map(lambda leaf: leaf[:128], first)
    assert float(step(params, alone)[0]) == 0.0
