"""The network beyond parity: time per token, blocks of the batch, precision, parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rtc.errors import ArtifactError, ConfigError
from rtc.flow import FlowPolicy, ModelConfig, named_parameters, with_parameters
from rtc.flow.blocks import block_size, in_blocks


def variant(policy, **changes):
    """The golden policy with another config."""
    config = ModelConfig(
        channel_dim=32,
        channel_hidden_dim=48,
        token_hidden_dim=16,
        num_layers=2,
        **changes,
    )
    fresh = FlowPolicy(obs_dim=21, action_dim=6, config=config, rngs=nnx.Rngs(0))
    return with_parameters(fresh, named_parameters(policy))


def test_noise_is_drawn_from_the_key(policy, inputs, key):
    noise = jax.random.normal(key, inputs["noise"].shape)
    drawn = policy.action(key, inputs["obs"], 2)
    np.testing.assert_array_equal(drawn, policy.action(None, inputs["obs"], 2, noise=noise))


def test_a_fresh_network_ignores_the_time(inputs):
    fresh = FlowPolicy(obs_dim=21, action_dim=6, config=ModelConfig(), rngs=nnx.Rngs(0))
    early, late = (fresh.velocity(inputs["obs"], inputs["noise"], t) for t in (0.1, 0.9))
    np.testing.assert_array_equal(early, late)


def test_time_per_sample_is_each_sample_at_its_time(policy, inputs):
    times = jnp.array([0.0, 0.2, 0.7, 1.0])
    together = policy.velocity(inputs["obs"], inputs["noise"], times)
    for i, t in enumerate(times):
        alone = policy.velocity(inputs["obs"][i : i + 1], inputs["noise"][i : i + 1], t)
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)


def test_time_per_token_reaches_its_token(policy, inputs):
    times = jnp.full((4, 8), 0.3)
    base = policy.velocity(inputs["obs"], inputs["noise"], times)
    other = policy.velocity(inputs["obs"], inputs["noise"], times.at[1, 2].set(0.9))
    changed = jnp.max(jnp.abs(other - base), axis=-1)
    assert float(jnp.max(changed[jnp.array([0, 2, 3])])) < 1e-6
    assert int(jnp.argmax(changed[1])) == 2


def test_blocks_of_the_batch_change_nothing(policy, key):
    batch = 80
    obs, noise = jax.random.normal(key, (batch, 21)), jax.random.normal(key, (batch, 8, 6))
    whole = policy.action(None, obs, 2, noise=noise)
    for start in range(0, batch, 20):
        part = slice(start, start + 20)
        alone = policy.action(None, obs[part], 2, noise=noise[part])
        np.testing.assert_allclose(whole[part], alone, atol=1e-5)


@pytest.mark.parametrize(("batch", "size"), [(1, 1), (31, 31), (256, 32), (100, 25), (74, 74)])
def test_block_sizes(batch, size):
    assert block_size(batch) == size
    rows = jnp.arange(batch, dtype=jnp.float32)
    doubled, shifted = in_blocks(lambda x, y: (x + y, x[:, None] + 1), rows, rows)
    np.testing.assert_array_equal(doubled, 2 * rows)
    np.testing.assert_array_equal(shifted[:, 0], rows + 1)


@pytest.mark.parametrize("precision", ["bfloat16", "tensorfloat32"])
def test_precision_is_that_of_the_products_alone(policy, inputs, precision):
    low = variant(policy, precision=precision)
    exact = policy.action(None, inputs["obs"], 5, noise=inputs["noise"])
    chunk = low.action(None, inputs["obs"], 5, noise=inputs["noise"])
    assert chunk.dtype == jnp.float32
    difference = float(jnp.sqrt(jnp.mean(jnp.square(chunk - exact))))
    assert difference < 0.05
    text = jax.jit(FlowPolicy.velocity).lower(low, inputs["obs"], inputs["noise"], 0.5).as_text()
    assert ("bf16" in text) == (precision == "bfloat16")
    gradient = nnx.grad(lambda p: p.loss(jax.random.key(0), inputs["obs"], inputs["noise"]))(low)
    assert {x.dtype for x in jax.tree.leaves(gradient)} == {jnp.dtype(jnp.float32)}


def test_impossible_sizes_are_refused():
    with pytest.raises(ConfigError, match="precision: unknown value 'bf16'"):
        ModelConfig(precision="bf16")
    with pytest.raises(ConfigError, match="channel_dim: expected an even number"):
        ModelConfig(channel_dim=33)


def test_parameters_that_do_not_fit_are_named(policy):
    named = named_parameters(policy)
    with pytest.raises(ArtifactError, match="'in_proj/kernel' is missing"):
        with_parameters(policy, {k: v for k, v in named.items() if k != "in_proj/kernel"})
    with pytest.raises(ArtifactError, match="'in_prj/kernel' is unknown; did you mean 'in_proj"):
        with_parameters(policy, named | {"in_prj/kernel": named["in_proj/kernel"]})
    with pytest.raises(ArtifactError, match=r"'out_proj/bias' has shape \(5,\)"):
        with_parameters(policy, named | {"out_proj/bias": np.zeros(5, np.float32)})


@pytest.mark.parametrize("num_steps", [1, 5, 8])
def test_a_prepared_policy_samples_the_same_without_looking_at_the_time(policy, inputs, num_steps):
    prepared = policy.prepare(num_steps)

    def action(policy, num_steps):
        return policy.action(None, inputs["obs"], num_steps, noise=inputs["noise"])

    np.testing.assert_allclose(action(prepared, num_steps), action(policy, num_steps), atol=1e-6)
    assert " sin " in str(jax.make_jaxpr(lambda: action(policy, num_steps))())
    assert " sin " not in str(jax.make_jaxpr(lambda: action(prepared, num_steps))())
    other = num_steps + 1
    np.testing.assert_array_equal(action(prepared, other), action(policy, other))
    np.testing.assert_equal(named_parameters(prepared), named_parameters(policy))


def test_preparing_goes_with_the_policy_through_jit(policy, inputs):
    graph, state = nnx.split(policy.prepare(2))
    compiled = jax.jit(
        lambda state: nnx.merge(graph, state).action(None, inputs["obs"], 2, noise=inputs["noise"])
    )
    expected = policy.action(None, inputs["obs"], 2, noise=inputs["noise"])
    np.testing.assert_allclose(compiled(state), expected, atol=1e-6)
