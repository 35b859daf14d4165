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
from rtc.methods.paint_warm import PaintWarm
from tests.golden_policy import golden_context, golden_inputs, golden_policy

PATH = Path(__file__).parents[1] / "golden" / "paint.npz"


@cache
def golden():
    with np.load(PATH) as file:
        return dict(file)


CHUNKS = [name for name in golden() if re.fullmatch(r"paint_[a-z]+_d\d_s\d_n\d+", name)]
INVERSES = [name for name in golden() if name.startswith("paint_inverse_")]


@pytest.mark.parametrize("name", CHUNKS)
def test_chunks(name):
    inversion, d, s, n = re.fullmatch(r"paint_([a-z]+)_d(\d)_s(\d)_n(\d+)", name).groups()
    chunk, _ = Paint(inversion)(golden_policy(), None, golden_context(int(d), int(s)), (), int(n))
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


@pytest.mark.parametrize("cell", ["d1_s3_n5", "d2_s4_n5", "d4_s4_n5"])
def test_warm_starts(cell):
    """Three calls in a row; another episode that begins with the second is painted then."""
    d, s, n = map(int, re.findall(r"\d+", cell))
    method, arrays = PaintWarm("euler"), jax.tree.map(jnp.asarray, golden())
    carry = method.init(4, 8, 6)
    for call in range(3):
        given = Context(
            obs=arrays["snw_obs"][call],
            previous=arrays[f"snw_prev_{cell}"][call],
            delay=jnp.int32(d),
            horizon=jnp.int32(s),
            key=jax.random.key(0),
            noise=arrays["snw_noise"][call][None],
        )
        chunk, carry = method(golden_policy(), None, given, carry, n)
        np.testing.assert_allclose(chunk, arrays[f"snw_{cell}"][call], rtol=0, atol=1e-5)
        stored = arrays[f"snw_stored_{cell}"][call]
        np.testing.assert_allclose(carry.noise, stored, rtol=0, atol=1e-5)
    begun = jnp.array([True, False, True, True])
    mixed, _ = method(golden_policy(), None, given, carry._replace(begun=begun), n)
    painted, _ = Paint("euler")(golden_policy(), None, given, (), n)
    np.testing.assert_allclose(mixed[1], painted[1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(mixed[0], arrays[f"snw_{cell}"][2][0], rtol=0, atol=1e-5)


def test_without_delay_it_is_naive():
    inputs = golden_inputs()
    chunk, _ = Paint("euler")(golden_policy(), None, golden_context(0, 1), (), 5)
    naive = golden_policy().action(None, inputs["obs"], 5, noise=inputs["noise"])
    np.testing.assert_allclose(chunk, naive, rtol=0, atol=1e-6)


def test_cost():
    costs = {name: Paint(name).network_evaluations(5) for name in ("euler", "onestep", "midpoint")}
    assert costs == {"euler": 15, "onestep": 11, "midpoint": 20}
