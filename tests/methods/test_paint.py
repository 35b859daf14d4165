"""PAINT against outputs of the authors' code, and its definition at the ends."""

import re
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.methods import Context
from rtc.methods.paint import Paint, invert
from tests.golden_policy import golden_inputs, golden_policy

PATH = Path(__file__).parents[1] / "golden" / "paint.npz"


@cache
def golden():
    with np.load(PATH) as file:
        return dict(file)


def context(delay: int, horizon: int) -> Context:
    inputs = golden_inputs()
    return Context(
        obs=inputs["obs"],
        previous=inputs["prev_action_chunk"],
        delay=jnp.int32(delay),
        horizon=jnp.int32(horizon),
        key=jax.random.key(0),
        noise=inputs["noise"][None],
    )


CHUNKS = [name for name in golden() if re.fullmatch(r"paint_[a-z]+_d\d_s\d_n\d+", name)]
INVERSES = [name for name in golden() if name.startswith("paint_inverse_")]


@pytest.mark.parametrize("name", CHUNKS)
def test_chunks(name):
    inversion, d, s, n = re.fullmatch(r"paint_([a-z]+)_d(\d)_s(\d)_n(\d+)", name).groups()
    chunk, _ = Paint(inversion)(golden_policy(), None, context(int(d), int(s)), (), int(n))
    np.testing.assert_allclose(chunk, golden()[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", INVERSES)
def test_inverses(name):
    inversion, d, n = re.fullmatch(r"paint_inverse_([a-z]+)_d(\d)_n(\d+)", name).groups()
    policy, inputs = golden_policy(), golden_inputs()
    fresh = policy.action(None, inputs["obs"], int(n), noise=inputs["noise"])
    prefix = (jnp.arange(8) < int(d))[None, :, None]
    target = jnp.where(prefix, inputs["prev_action_chunk"], fresh)
    projection = policy.project_observation(inputs["obs"])
    found = invert(policy, projection, target, int(n), inversion)
    np.testing.assert_allclose(found, golden()[name], rtol=0, atol=1e-5)


def test_without_delay_it_is_naive():
    inputs = golden_inputs()
    chunk, _ = Paint("euler")(golden_policy(), None, context(0, 1), (), 5)
    naive = golden_policy().action(None, inputs["obs"], 5, noise=inputs["noise"])
    np.testing.assert_allclose(chunk, naive, rtol=0, atol=1e-6)


def test_cost():
    costs = {name: Paint(name).network_evaluations(5) for name in ("euler", "onestep", "midpoint")}
    assert costs == {"euler": 15, "onestep": 11, "midpoint": 20}
