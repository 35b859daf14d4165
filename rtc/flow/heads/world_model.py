"""A head that predicts the next observation from one and the action that is asked for in it.

It learns from the same moments as the heads that correct actions: of two observations in a row
and the action between them. Source: the world model of DREAM-Chunk, arXiv 2606.18589, which
predicts latents of images; here an observation is the state itself and its own latent.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import jax.numpy as jnp
from flax import nnx
from msgspec import Meta

from rtc.flow.heads.interface import HeadRows, Sizes
from rtc.flow.heads.layers import NormedLayers
from rtc.types import Array, Float, checked

Width = Annotated[int, Meta(ge=1, le=65_536)]


@dataclass(frozen=True)
class WorldModel:
    """hidden_sizes: widths of the hidden layers, each with LayerNorm and ReLU."""

    hidden_sizes: Annotated[tuple[Width, ...], Meta(min_length=1, max_length=16)]
    observation_history: ClassVar[int] = 2

    def network(self, sizes: Sizes, rngs: nnx.Rngs) -> "WorldModelNetwork":
        """With first parameters from `rngs`; it predicts that nothing changes yet."""
        return WorldModelNetwork(sizes, self.hidden_sizes, rngs=rngs)

    def loss(self, network: nnx.Module, rows: HeadRows) -> Float[Array, ""]:
        """Mean squared error of the newest observation, from the one before and the action between.

        An episode's first moment has nothing before it: its last action is zero, and it does not
        count.
        """
        before, now = rows.obs_history[:, 0], rows.obs_history[:, 1]
        error = jnp.mean(jnp.square(network(before, rows.last_action) - now), axis=1)
        counts = jnp.any(rows.last_action != 0, axis=1)
        return jnp.sum(error * counts) / jnp.maximum(jnp.sum(counts), 1)


class WorldModelNetwork(NormedLayers):
    """What `NormedLayers` add to an observation."""

    def __init__(self, sizes: Sizes, hidden: tuple[int, ...], *, rngs: nnx.Rngs):
        super().__init__(sizes.obs_dim + sizes.action_dim, hidden, sizes.obs_dim, rngs=rngs)
        self.sizes = sizes

    @checked(o="sizes.obs_dim", a="sizes.action_dim")
    def __call__(
        self, obs: Float[Array, "b o"], action: Float[Array, "b a"]
    ) -> Float[Array, "b o"]:
        """The observation one step after `obs`, if `action` is asked for in it."""
        return obs + self.pass_through(jnp.concatenate([obs, action], axis=1))
