"""Layers of the velocity network."""

import jax
import jax.numpy as jnp
from flax import nnx

from rtc.flow.blocks import in_blocks
from rtc.types import Array, Float

EPSILON = 1e-6
SHORTEST_PERIOD, LONGEST_PERIOD = 4e-3, 4.0

# Name of a precision -> (type of the operands or None for as they are, precision of the product).
# float32 means float32 on every device; a GPU's default would be tensorfloat32.
PRECISIONS = {
    "float32": (None, jax.lax.Precision.HIGHEST),
    "tensorfloat32": (None, jax.lax.Precision.DEFAULT),
    "bfloat16": (jnp.bfloat16, jax.lax.Precision.DEFAULT),
}


def matmul(
    x: Float[Array, "*rows c"], kernel: Float[Array, "c d"], precision: str
) -> Float[Array, "*rows d"]:
    """x @ kernel, float32 at every precision.

    bfloat16 rounds operands and result, so that the backward products are bfloat16 too.
    """
    dtype, level = PRECISIONS[precision]
    if dtype is not None:
        x, kernel = x.astype(dtype), kernel.astype(dtype)
    # As one matrix: on a CPU the backward products of more axes are twice as slow.
    y = jnp.matmul(x.reshape(-1, x.shape[-1]), kernel, precision=level)
    return y.reshape(*x.shape[:-1], -1).astype(jnp.float32)


def dense(x: Float[Array, "*rows c"], layer: nnx.Linear, precision: str) -> Float[Array, "*rows d"]:
    """x @ kernel + bias."""
    bias = layer.bias[...]
    return matmul(x, layer.kernel[...], precision) + bias.reshape((1,) * (x.ndim - 1) + (-1,))


def layer_norm(x: Float[Array, "b h c"]) -> Float[Array, "b h c"]:
    """Zero mean and unit variance over the channels, with no learned scale or shift."""
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + EPSILON)


def embed_time(t: Float[Array, "..."], size: int) -> Float[Array, "... c"]:
    """Sines, then cosines, of 2 pi t / period; the periods grow geometrically.

    t: flow time, 0 noise to 1 action. size: number of entries, even.
    """
    fraction = jnp.linspace(0.0, 1.0, size // 2)
    period = SHORTEST_PERIOD * (LONGEST_PERIOD / SHORTEST_PERIOD) ** fraction
    angle = t[..., None] * (2 * jnp.pi / period).reshape((1,) * t.ndim + (-1,))
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)


def mix_tokens(
    x: Float[Array, "b h c"],
    first: Float[Array, "h k"],
    second: Float[Array, "k h"],
    precision: str,
) -> Float[Array, "b h c"]:
    """gelu(x first) second over the tokens.

    The hidden layer has k/h times the numbers of x. On a CPU it is made and used block by block
    and made again for the gradient, which is 5 to 15 times as fast as writing it to memory.
    """

    def mix(x: Array) -> Array:
        y = matmul(jnp.swapaxes(x, 1, 2), first, precision)
        return jnp.swapaxes(matmul(jax.nn.gelu(y), second, precision), 1, 2)

    return in_blocks(jax.checkpoint(mix), x)


class MixerBlock(nnx.Module):
    """One MLP-Mixer block with AdaLN conditioning: mix over tokens, then over channels."""

    def __init__(
        self, tokens: int, channels: int, token_hidden: int, channel_hidden: int, *, rngs: nnx.Rngs
    ):
        self.token_mix_in = nnx.Linear(tokens, token_hidden, use_bias=False, rngs=rngs)
        self.token_mix_out = nnx.Linear(token_hidden, tokens, use_bias=False, rngs=rngs)
        self.channel_mix_in = nnx.Linear(channels, channel_hidden, use_bias=False, rngs=rngs)
        self.channel_mix_out = nnx.Linear(channel_hidden, channels, use_bias=False, rngs=rngs)
        self.adaln_1 = zero_linear(channels, 3 * channels, rngs)
        self.adaln_2 = zero_linear(channels, 3 * channels, rngs)

    def __call__(
        self,
        x: Float[Array, "b h c"],
        token_modulation: Float[Array, "#b #h d"],
        channel_modulation: Float[Array, "#b #h d"],
        precision: str,
    ) -> Float[Array, "b h c"]:
        """x: activations; *_modulation: scale, shift and gate side by side (d = 3 c)."""
        scale, shift, gate = jnp.split(token_modulation, 3, axis=-1)
        y = layer_norm(x) * (1 + scale) + shift
        first, second = self.token_mix_in.kernel[...], self.token_mix_out.kernel[...]
        x = x + gate * mix_tokens(y, first, second, precision)
        scale, shift, gate = jnp.split(channel_modulation, 3, axis=-1)
        y = layer_norm(x) * (1 + scale) + shift
        y = jax.nn.gelu(matmul(y, self.channel_mix_in.kernel[...], precision))
        return x + gate * matmul(y, self.channel_mix_out.kernel[...], precision)


def zero_linear(inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear layer that starts at zero, so that the block it modulates starts as identity."""
    return nnx.Linear(inputs, outputs, kernel_init=nnx.initializers.zeros_init(), rngs=rngs)
