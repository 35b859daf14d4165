"""Chunks that begin when they take over: requery and vlash against naive."""

import jax.numpy as jnp
import numpy as np
import pytest

from rtc.methods.naive import Naive
from rtc.methods.requery import Requery
from rtc.methods.vlash import Vlash
from tests.golden_policy import golden_context, golden_inputs, golden_policy

OWN = np.arange(21) < 9


def context_at(delay):
    obs = golden_inputs()["obs"]
    return golden_context(delay, forecast=obs[::-1] + 0.5, own=OWN)


@pytest.mark.parametrize("delay", [0, 1, 4])
@pytest.mark.parametrize("method", [Requery(), Vlash()], ids=["requery", "vlash"])
def test_the_chunk_of_the_forecast_begins_after_the_delay(method, delay):
    policy, context = golden_policy(), context_at(delay)
    seen = np.array(context.forecast)
    if isinstance(method, Vlash):
        seen[:, ~OWN] = np.asarray(context.obs)[:, ~OWN]
    fresh, _ = Naive()(policy, None, context._replace(obs=jnp.asarray(seen)), (), 5)
    chunk, _ = method(policy, None, context, (), 5)
    np.testing.assert_array_equal(chunk[:, :delay], context.previous[:, :delay])
    np.testing.assert_allclose(chunk[:, delay:], fresh[:, : 8 - delay], atol=1e-6)
