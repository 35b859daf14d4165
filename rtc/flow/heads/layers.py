"""What the networks of heads are made of."""

import itertools

import jax
from flax import nnx

from rtc.types import Array, Float


class NormedLayers(nnx.Module):
    """Affine layers with LayerNorm and ReLU between them; the last begins at zero."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], outputs: int, *, rngs: nnx.Rngs):
        widths = (inputs, *hidden)
        self.layers = nnx.List(nnx.Linear(i, o, rngs=rngs) for i, o in itertools.pairwise(widths))
        self.norms = nnx.List(nnx.LayerNorm(width, rngs=rngs) for width in hidden)
        zeros = nnx.initializers.zeros_init()
        self.out = nnx.Linear(widths[-1], outputs, kernel_init=zeros, rngs=rngs)

    def pass_through(self, x: Float[Array, "b i"]) -> Float[Array, "b j"]:
        """What the last layer makes of it."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = jax.nn.relu(norm(layer(x)))
        return self.out(x)
