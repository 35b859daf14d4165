"""ttrtc and diffuser_overwrite against their formulas, written as loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.methods.diffuser_overwrite import DiffuserOverwrite
from rtc.methods.ttrtc import TrainingTimeRealtime
from tests.golden_policy import golden_context, golden_policy

STEPS = 5


def pinned(policy, context):
    """arXiv 2512.05964: the prefix is clean and at time 1, the rest flows."""
    given = (jnp.arange(8) < context.delay)[None, :, None]
    x = context.noise[0]
    for i in range(STEPS):
        x = jnp.where(given, context.previous, x)
        times = jnp.broadcast_to(jnp.where(given[..., 0], 1.0, i / STEPS), (4, 8))
        x = x + policy.velocity(context.obs, x, times) / STEPS
    return jnp.where(given, context.previous, x)


def overwritten(policy, context):
    """The prefix is overwritten by (1 - t) noise + t previous before every step."""
    given = (jnp.arange(8) < context.delay)[None, :, None]
    x = context.noise[0]
    for i in range(STEPS):
        t = i / STEPS
        x = jnp.where(given, (1 - t) * context.noise[0] + t * context.previous, x)
        x = x + policy.velocity(context.obs, x, t) / STEPS
    return jnp.where(given, context.previous, x)


@pytest.mark.parametrize(
    ("method", "formula"), [(TrainingTimeRealtime(), pinned), (DiffuserOverwrite(), overwritten)]
)
def test_formula(method, formula):
    compiled = jax.jit(lambda context: method(golden_policy(), None, context, (), STEPS)[0])
    expected = jax.jit(lambda context: formula(golden_policy(), context))
    for delay in (0, 1, 4):
        context = golden_context(delay)
        chunk = compiled(context)
        np.testing.assert_allclose(chunk, expected(context), rtol=0, atol=1e-5)
        np.testing.assert_array_equal(chunk[:, :delay], context.previous[:, :delay])


@pytest.mark.parametrize("method", [TrainingTimeRealtime(), DiffuserOverwrite()])
def test_without_delay_it_is_naive(method):
    context = golden_context(0)
    chunk, _ = method(golden_policy(), None, context, (), STEPS)
    naive = golden_policy().action(None, context.obs, STEPS, noise=context.noise[0])
    np.testing.assert_allclose(chunk, naive, rtol=0, atol=1e-6)
