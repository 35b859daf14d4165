"""Tracking: what it holds, that it changes nothing, and that it costs nothing when off."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.flow import flow_steps, get_prefix_weights, guidance_weight

STEPS, DELAY, END, BETA = 4, 2, 5, 5.0
FLOW = {"x_t", "v_t", "x_1_pred", "time", "noise", "x_1"}
GUIDANCE = {"correction", "error", "guidance_weight", "weights", "prev_action_chunk"}


def action(policy, inputs, **options):
    return policy.action(None, inputs["obs"], STEPS, noise=inputs["noise"], **options)


def realtime(policy, inputs, **options):
    return policy.realtime_action(
        rng=None,
        obs=inputs["obs"],
        num_steps=STEPS,
        prev_action_chunk=inputs["prev_action_chunk"],
        inference_delay=DELAY,
        prefix_attention_horizon=END,
        prefix_attention_schedule="exp",
        max_guidance_weight=BETA,
        noise=inputs["noise"],
        **options,
    )


def wide(inputs, copies=4):
    """The same inputs in a batch that a CPU takes in blocks."""
    return {name: jnp.tile(x, (copies,) + (1,) * (x.ndim - 1)) for name, x in inputs.items()}


@pytest.mark.parametrize(("call", "keys"), [(action, FLOW), (realtime, FLOW | GUIDANCE)])
def test_entries_and_shapes(policy, inputs, call, keys):
    _, tracked = call(policy, inputs, return_tracking=True)
    batch, chunk, dim = inputs["noise"].shape
    shapes = dict.fromkeys(("x_t", "v_t", "x_1_pred", "correction", "error"))
    shapes = dict.fromkeys(shapes, (STEPS, batch, chunk, dim))
    shapes |= dict.fromkeys(("noise", "prev_action_chunk", "x_1"), (batch, chunk, dim))
    shapes |= {"time": (STEPS,), "guidance_weight": (STEPS,), "weights": (chunk,)}
    assert {name: value.shape for name, value in tracked.items()} == {k: shapes[k] for k in keys}


@pytest.mark.parametrize("call", [action, realtime])
@pytest.mark.parametrize("copies", [1, 10])
def test_the_chunk_is_the_same_to_the_bit(policy, inputs, call, copies):
    inputs = wide(inputs, copies)
    plain = jax.jit(lambda inputs: call(policy, inputs))(inputs)
    chunk, tracked = jax.jit(lambda inputs: call(policy, inputs, return_tracking=True))(inputs)
    np.testing.assert_array_equal(chunk, plain)
    np.testing.assert_array_equal(tracked["x_1"], plain)


@pytest.mark.parametrize("call", [action, realtime])
def test_the_steps_lead_from_noise_to_x_1(policy, inputs, call):
    _, tracked = call(policy, inputs, return_tracking=True)
    change = tracked["v_t"] + tracked.get("correction", 0.0)
    points = jnp.concatenate([tracked["x_t"], tracked["x_1"][None]])
    np.testing.assert_array_equal(points[0], inputs["noise"])
    np.testing.assert_allclose(points[1:], points[:-1] + change / STEPS, rtol=0, atol=1e-5)
    np.testing.assert_allclose(tracked["time"], np.arange(STEPS) / STEPS)


def test_guidance_entries_are_what_the_formula_says(policy, inputs):
    _, tracked = realtime(policy, inputs, return_tracking=True)
    weights = get_prefix_weights(DELAY, END, policy.action_chunk_size, "exp")
    remaining = (1 - tracked["time"])[:, None, None, None]
    predicted = tracked["x_t"] + remaining * tracked["v_t"]
    error = (inputs["prev_action_chunk"][None] - predicted) * weights[None, None, :, None]
    close = lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-5)  # noqa: E731
    close(tracked["x_1_pred"], predicted)
    close(tracked["error"], error)
    close(tracked["weights"], weights)
    close(tracked["guidance_weight"], guidance_weight(tracked["time"], BETA))
    identity = realtime(policy, inputs, return_tracking=True, jacobian="identity")[1]
    weight = identity["guidance_weight"][:, None, None, None]
    close(identity["correction"], weight * identity["error"])


def untracked_action(policy, inputs):
    """`action` written out as if tracking did not exist."""
    projection = policy.project_observation(inputs["obs"])
    steps = flow_steps(policy, STEPS)

    def step(x_t, inputs):
        return x_t + 1 / STEPS * policy.velocity_from(projection, x_t, inputs.modulations), None

    return jax.lax.scan(step, inputs["noise"], steps)[0]


def untracked_realtime(policy, inputs):
    """`realtime_action` written out as if tracking did not exist."""
    weights = get_prefix_weights(DELAY, END, policy.action_chunk_size, "exp")
    steps = flow_steps(policy, STEPS)
    steps = steps._replace(guidance_weight=guidance_weight(steps.time, BETA))
    projection = policy.project_observation(inputs["obs"])

    def step(x_t, inputs_):
        remaining = 1 - inputs_.time
        velocity = lambda x: policy.velocity_from(projection, x, inputs_.modulations)  # noqa: E731
        v_t, vjp = jax.vjp(velocity, x_t)
        predicted = x_t + remaining * v_t
        error = (inputs["prev_action_chunk"] - predicted) * weights[None, :, None]
        correction = inputs_.guidance_weight * (error + remaining * vjp(error)[0])
        return x_t + 1 / STEPS * (v_t + correction), None

    return jax.lax.scan(step, inputs["noise"], steps)[0]


@pytest.mark.parametrize(
    ("call", "untracked"), [(action, untracked_action), (realtime, untracked_realtime)]
)
def test_off_is_the_program_without_tracking(policy, inputs, call, untracked):
    def lowered(function):
        def sampler(policy, inputs):
            return function(policy, inputs)

        return jax.jit(sampler).lower(policy, inputs).as_text()

    off = lowered(call)
    assert off == lowered(untracked)
    assert off != lowered(lambda policy, inputs: call(policy, inputs, return_tracking=True))
