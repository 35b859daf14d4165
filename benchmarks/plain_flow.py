"""The formulas of the flow policy, transcribed as they stand, to measure against.

One sample at a time under vmap, the observation concatenated to every token at every step, the
time embedding and AdaLN computed for every sample, one VJP for each sample. The parameters are
those of a `FlowPolicy`. Used by bench_methods.py; the tests hold it to the same outputs.
"""

import jax
import jax.numpy as jnp

from rtc.flow import get_prefix_weights


def normalise(x):
    """LayerNorm without scale and shift."""
    mean = jnp.mean(x, axis=-1, keepdims=True)
    return (x - mean) / jnp.sqrt(jnp.var(x, axis=-1, keepdims=True) + 1e-6)


def embed(t, size):
    """Sines and cosines of the flow time, periods from 4e-3 to 4."""
    period = 4e-3 * 1e3 ** jnp.linspace(0.0, 1.0, size // 2)
    return jnp.concatenate([jnp.sin(2 * jnp.pi * t / period), jnp.cos(2 * jnp.pi * t / period)])


def modulate(layer, condition, parts):
    """AdaLN parameters of one layer for one sample, [1, c] each."""
    return jnp.split((condition @ layer.kernel[...] + layer.bias[...])[None], parts, axis=-1)


def velocity(policy, obs, x, t):
    """v(obs [o], x [h, a], t []) of one sample."""
    first, _, second, _ = policy.time_mlp.layers
    condition = embed(t, policy.config.channel_dim)
    for layer in (first, second):
        condition = jax.nn.swish(condition @ layer.kernel[...] + layer.bias[...])
    tokens = jnp.concatenate([x, jnp.tile(obs[None], (x.shape[0], 1))], axis=-1)
    z = tokens @ policy.in_proj.kernel[...] + policy.in_proj.bias[...][None]
    for block in policy.mlp_stack:
        scale, shift, gate = modulate(block.adaln_1, condition, 3)
        y = (normalise(z) * (1 + scale) + shift).T
        y = jax.nn.gelu(y @ block.token_mix_in.kernel[...]) @ block.token_mix_out.kernel[...]
        z = z + gate * y.T
        scale, shift, gate = modulate(block.adaln_2, condition, 3)
        y = normalise(z) * (1 + scale) + shift
        y = jax.nn.gelu(y @ block.channel_mix_in.kernel[...]) @ block.channel_mix_out.kernel[...]
        z = z + gate * y
    scale, shift = modulate(policy.final_adaln, condition, 2)
    y = normalise(z) * (1 + scale) + shift
    return y @ policy.out_proj.kernel[...] + policy.out_proj.bias[...][None]


def naive(policy, obs, noise, num_steps):
    """Euler steps of the velocity; obs [b, o], noise [b, h, a]."""
    one = jax.vmap(lambda obs, x, t: velocity(policy, obs, x, t))

    def step(carry, _):
        x, t = carry
        v = one(obs, x, jnp.full(obs.shape[0], t))
        return (x + v / num_steps, t + 1 / num_steps), None

    return jax.lax.scan(step, (noise, jnp.float32(0)), length=num_steps)[0][0]


def realtime(policy, obs, noise, num_steps, previous, delay, end, beta):
    """Euler steps of the guided velocity, "exp" schedule."""
    weights = get_prefix_weights(delay, end, noise.shape[1], "exp")

    def guided(obs, x, y, t):
        def predict(x):
            v = velocity(policy, obs, x, t)
            return x + (1 - t) * v, v

        x_1, vjp, v = jax.vjp(predict, x, has_aux=True)
        pull = vjp((y - x_1) * weights[:, None])[0]
        ratio = jnp.nan_to_num((1 - t) / t, posinf=beta)
        return v + jnp.minimum(beta, ratio * (t**2 + (1 - t) ** 2) / (1 - t) ** 2) * pull

    def step(carry, _):
        x, t = carry
        v = jax.vmap(guided)(obs, x, previous, jnp.full(obs.shape[0], t))
        return (x + v / num_steps, t + 1 / num_steps), None

    return jax.lax.scan(step, (noise, jnp.float32(0)), length=num_steps)[0][0]
