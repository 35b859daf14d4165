"""A head that corrects each action of a chunk when it is about to be executed.

The executed action is the chunk's plus what a small network makes of the newest observations, the
last action, the chunk's action and its place in the chunk. Source: A2C2, arXiv 2509.23224; the
observations before the newest and the last action are an addition.
"""

from dataclasses import dataclass
from typing import Annotated

import jax.numpy as jnp
from flax import nnx
from msgspec import Meta

from rtc.flow.heads.interface import HeadRows, Sizes
from rtc.flow.heads.layers import NormedLayers
from rtc.types import Array, Float, Int, checked

Width = Annotated[int, Meta(ge=1, le=65_536)]


@dataclass(frozen=True)
class Correction:
    """hidden_sizes: widths of the hidden layers, each with LayerNorm and ReLU.
    observation_history: newest observations that it sees, at least 1."""

    hidden_sizes: Annotated[tuple[Width, ...], Meta(min_length=1, max_length=16)]
    observation_history: Annotated[int, Meta(ge=1, le=64)]

    def network(self, sizes: Sizes, rngs: nnx.Rngs) -> "CorrectionNetwork":
        """With first parameters from `rngs`; it corrects by nothing yet."""
        return CorrectionNetwork(sizes, self.observation_history, self.hidden_sizes, rngs=rngs)

    def loss(self, network: nnx.Module, rows: HeadRows) -> Float[Array, ""]:
        """Mean squared difference between the corrected action and the expert's."""
        correction = network(rows.obs_history, rows.last_action, rows.action, rows.index)
        return jnp.mean(jnp.square(rows.action + correction - rows.label))


class CorrectionNetwork(NormedLayers):
    """What `NormedLayers` make of all that is known when an action is about to be executed."""

    def __init__(self, sizes: Sizes, history: int, hidden: tuple[int, ...], *, rngs: nnx.Rngs):
        inputs = history * sizes.obs_dim + 2 * sizes.action_dim + 2
        super().__init__(inputs, hidden, sizes.action_dim, rngs=rngs)
        self.sizes, self.history = sizes, history

    @checked(k="history", o="sizes.obs_dim", a="sizes.action_dim")
    def __call__(
        self,
        obs_history: Float[Array, "b k o"],
        last_action: Float[Array, "b a"],
        action: Float[Array, "b a"],
        index: Int[Array, "b"],
    ) -> Float[Array, "b a"]:
        """What to add to `action`; arguments as in `HeadRows`."""
        angle = (2 * jnp.pi / self.sizes.action_chunk_size) * index[:, None]
        seen = obs_history.reshape(len(obs_history), -1)
        x = jnp.concatenate([seen, last_action, action, jnp.sin(angle), jnp.cos(angle)], axis=1)
        return self.pass_through(x)
