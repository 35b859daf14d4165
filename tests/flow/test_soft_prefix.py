"""Soft RTC against outputs of the authors' code, and against training-time RTC at its ends."""

import re
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rtc.flow import delayed_flow_matching_loss, get_prefix_weights
from rtc.flow.soft_prefix import soft_flow_matching_loss, soft_sample, soft_weights, window_end
from tests.golden_policy import golden_inputs, golden_policy, stored_arrays

PATH = Path(__file__).parents[1] / "golden" / "soft_rtc.npz"
# Setting of the golden file -> schedule, window, reach, longest.
SETTINGS = {
    "scaled_m2_E5": ("linear", "scaled", 2.0, 5),
    "scaled_m2_E8": ("linear", "scaled", 2.0, 8),
    "scaled_m1.5_E8": ("linear", "scaled", 1.5, 8),
    "scaled_m2_E3": ("linear", "scaled", 2.0, 3),
    # The authors' "none" samples with the delay alone, and trains with the longest delay drawn
    # (4) as the longest window.
    "scaled_m2_Enone": ("linear", "scaled", 1.0, 8),
    "offset_o2_E8": ("linear", "offset", 2.0, 8),
    "offset_o4_E5": ("linear", "offset", 4.0, 5),
    "hard_m2_E5": ("zeros", "scaled", 2.0, 5),
    "exp_m2_E5": ("exp", "scaled", 2.0, 5),
}


@cache
def golden():
    with np.load(PATH) as file:
        return {name: value for name, value in file.items() if "fixed" not in name}


def names(pattern):
    return [name for name in golden() if re.fullmatch(pattern, name)]


def loss_inputs():
    stored = stored_arrays()
    action, noise, time = (jnp.asarray(stored[f"loss_{n}"]) for n in ("action", "noise", "time"))
    return golden_inputs()["obs"], action, noise, time


@pytest.mark.parametrize("setting", SETTINGS)
def test_windows_and_weights(setting):
    schedule, *window = SETTINGS[setting]
    delays = jnp.arange(9, dtype=jnp.int32)
    ends = jax.vmap(lambda delay: window_end(delay, *window))(delays)
    np.testing.assert_array_equal(ends, golden()[f"end_{setting}"])
    weights = soft_weights(delays, 8, schedule, *window)
    np.testing.assert_allclose(weights, golden()[f"weights_{setting}"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", names(r"soft_.*_n\d+"))
def test_chunks(name):
    setting, d, n = re.fullmatch(r"soft_(.*)_d(\d)_n(\d+)", name).groups()
    schedule, *window = SETTINGS[setting]
    inputs = golden_inputs()
    weights = get_prefix_weights(int(d), window_end(int(d), *window), 8, schedule)
    chunk, tracked = soft_sample(
        golden_policy(),
        inputs["obs"],
        inputs["noise"],
        int(n),
        inputs["prev_action_chunk"],
        weights,
        return_tracking=True,
    )
    np.testing.assert_allclose(chunk, golden()[name], rtol=0, atol=1e-5)
    moved = jnp.sum(tracked["v_t"] + tracked["correction"], axis=0) / int(n)
    np.testing.assert_allclose(tracked["noise"] + moved, chunk, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", names(r"loss_(?!grad|delay).*"))
def test_losses(name):
    setting, d = re.fullmatch(r"loss_(.*?)(?:_d(\d))?", name).groups()
    delay = golden()["loss_delay"] if d is None else np.full(4, int(d), np.int32)
    options = ("linear", "scaled", 2.0, 4) if "none" in setting else SETTINGS[setting]
    weights = soft_weights(jnp.asarray(delay), 8, *options)
    loss = soft_flow_matching_loss(golden_policy(), *loss_inputs(), weights)
    np.testing.assert_allclose(loss, golden()[name], rtol=1e-5)


def test_the_gradient():
    schedule, *window = SETTINGS["scaled_m2_E5"]
    weights = soft_weights(jnp.asarray(golden()["loss_delay"]), 8, schedule, *window)
    graph, params = nnx.split(golden_policy(), nnx.Param)

    def loss(params):
        return soft_flow_matching_loss(nnx.merge(graph, params), *loss_inputs(), weights)

    grads = nnx.to_pure_dict(jax.grad(loss)(params))
    bias, kernel = grads["out_proj"]["bias"], grads["time_mlp"]["layers"][2]["kernel"]
    prefix = "loss_grad_scaled_m2_E5/"
    for actual, name in ((bias, "out_proj/bias"), (kernel, "time_mlp/layers/2/kernel")):
        expected = golden()[prefix + name]
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_weights_of_0_and_1_are_the_loss_of_training_time_rtc():
    obs, action, noise, time = loss_inputs()
    delay = jnp.asarray([0, 2, 1, 4], jnp.int32)
    weights = soft_weights(delay, 8, "zeros", "scaled", 1.0, 8)
    soft = soft_flow_matching_loss(golden_policy(), obs, action, noise, time, weights)
    hard = delayed_flow_matching_loss(golden_policy(), obs, action, noise, time, delay)
    np.testing.assert_allclose(soft, hard * action.shape[-1], rtol=1e-6)
