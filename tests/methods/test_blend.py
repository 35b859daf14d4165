"""LeRobot's aggregators against their definition, action by action."""

import jax.numpy as jnp
import numpy as np
import pytest

from rtc.errors import ConfigError
from rtc.methods.blend import Blend
from rtc.methods.contract import CELLS, CHUNK, FLOW_STEPS, at_cell, example_context, small_policy


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("cell", [CELLS[0], (2, 3), (4, 4), (0, CHUNK)])
def test_each_action(cell, share):
    context, policy = at_cell(example_context(Blend(share)), cell), small_policy(0)
    chunk, _ = Blend(share)(policy, None, context, (), FLOW_STEPS)
    fresh = np.asarray(policy.action(None, context.obs, FLOW_STEPS, noise=context.noise[0]))
    for j in range(CHUNK):
        old = np.asarray(context.previous[:, j])
        given = j < CHUNK - cell[1]
        expected = share * old + (1 - share) * fresh[:, j] if given else fresh[:, j]
        np.testing.assert_allclose(chunk[:, j], expected, rtol=0, atol=1e-6)


def test_no_share_is_naive_bit_for_bit():
    context, policy = example_context(Blend(0.0)), small_policy(0)
    chunk, _ = Blend(0.0)(policy, None, context, (), FLOW_STEPS)
    naive = policy.action(None, context.obs, FLOW_STEPS, noise=context.noise[0])
    assert jnp.array_equal(chunk, naive)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ConfigError, match="old_share: expected a number from 0 to 1"):
        Blend(share)
