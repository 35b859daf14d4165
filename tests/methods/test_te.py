"""Temporal ensembling against a plain list of chunks with the steps at which they were made."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.errors import ConfigError
from rtc.methods.contract import ACTIONS, BATCH, CHUNK, FLOW_STEPS, example_context, small_policy
from rtc.methods.te import TemporalEnsemble

CALLS = 9


def weighted_average(predictions, m):
    """ACT's rule: oldest first, weights exp(-m i)."""
    weights = np.exp(-m * np.arange(len(predictions)))
    return np.tensordot(weights / weights.sum(), np.stack(predictions), axes=1)


def expected_chunks(raw, horizon, m):
    """For each call, the average over all chunks so far that predict each of the next steps."""
    chunks = []
    for call in range(len(raw)):
        now = call * horizon
        steps = []
        for step in range(now, now + CHUNK):
            made = [c for c in range(call + 1) if step - c * horizon < CHUNK]
            steps.append(weighted_average([raw[c][:, step - c * horizon] for c in made], m))
        chunks.append(np.stack(steps, axis=1))
    return chunks


@pytest.fixture(scope="module")
def compiled():
    """m -> the compiled method; delay and horizon traced."""
    policy = small_policy(0)

    def make(m):
        method = TemporalEnsemble(m=m)
        return jax.jit(lambda context, carry: method(policy, None, context, carry, FLOW_STEPS))

    return {m: make(m) for m in (0.01, -0.3, 1.0)}


@pytest.mark.parametrize("m", [0.01, -0.3, 1.0])
@pytest.mark.parametrize("horizon", [1, 3, 4, 8])
def test_it_averages_all_chunks_that_cover_a_step(compiled, horizon, m):
    carry = TemporalEnsemble(m=m).init(BATCH, CHUNK, ACTIONS)
    raw, chunks = [], []
    for call in range(CALLS):
        context = example_context(TemporalEnsemble(m=m), seed=call)
        context = context._replace(horizon=jnp.int32(horizon))
        chunk, carry = compiled[m](context, carry)
        chunks.append(np.asarray(chunk))
        raw.append(
            np.asarray(
                small_policy(0).action(None, context.obs, FLOW_STEPS, noise=context.noise[0])
            )
        )
    for actual, expected in zip(chunks, expected_chunks(raw, horizon, m)):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
    assert compiled[m]._cache_size() == 1


def test_a_horizon_of_a_whole_chunk_is_naive(compiled):
    carry = TemporalEnsemble(m=0.01).init(BATCH, CHUNK, ACTIONS)
    for seed in range(3):
        context = example_context(TemporalEnsemble(m=0.01), seed=seed)
        context = context._replace(horizon=jnp.int32(CHUNK))
        chunk, carry = compiled[0.01](context, carry)
        naive = small_policy(0).action(None, context.obs, FLOW_STEPS, noise=context.noise[0])
        np.testing.assert_allclose(chunk, naive, rtol=0, atol=1e-5)


def test_an_infinite_decay_is_refused():
    with pytest.raises(ConfigError, match="m: expected a finite number"):
        TemporalEnsemble(m=float("inf"))


@pytest.mark.parametrize("horizon", [1, 3, 8])
def test_the_median_of_all_chunks_that_cover_a_step(horizon):
    method, policy = TemporalEnsemble(m=0.0, average="median"), small_policy(0)
    call = jax.jit(lambda context, carry: method(policy, None, context, carry, FLOW_STEPS))
    carry, raw = method.init(BATCH, CHUNK, ACTIONS), []
    for made in range(CALLS):
        context = example_context(method, seed=made)._replace(horizon=jnp.int32(horizon))
        chunk, carry = call(context, carry)
        fresh = policy.action(None, context.obs, FLOW_STEPS, noise=context.noise[0])
        raw.append(np.asarray(fresh))
        for j in range(CHUNK):
            ages = [age for age in range(made + 1) if j + age * horizon < CHUNK]
            known = [raw[made - age][:, j + age * horizon] for age in ages]
            np.testing.assert_allclose(chunk[:, j], np.median(known, axis=0), rtol=0, atol=1e-5)


def test_a_median_has_no_decay():
    with pytest.raises(ConfigError, match=r"m: expected 0 with average: median, got 0\.01"):
        TemporalEnsemble(m=0.01, average="median")
