"""The velocity network v(observation, x_t, t): an MLP-Mixer over the action tokens of a chunk.

What does not depend on the flow step is computed apart, once per call: the projection of the
observation (`project_observation`) and what the flow time does to each layer (`modulations`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from rtc.errors import ConfigError, check_choice, check_whole
from rtc.flow.layers import (
    PRECISIONS,
    MixerBlock,
    dense,
    embed_time,
    layer_norm,
    matmul,
    zero_linear,
)
from rtc.types import Array, Float, checked

# For functions whose first argument is a policy: their arrays must fit it.
fits_policy = checked(o="obs_dim", h="action_chunk_size", a="action_dim")


@dataclass(frozen=True)
class ModelConfig:
    """Size of the network. precision: of the matrix products, a key of layers.PRECISIONS;
    parameters, activations and the flow's state are float32 at every precision."""

    channel_dim: int = 256
    channel_hidden_dim: int = 512
    token_hidden_dim: int = 64
    num_layers: int = 4
    action_chunk_size: int = 8
    precision: str = "float32"

    def __post_init__(self):
        check_choice("precision", self.precision, PRECISIONS)
        for name, value in vars(self).items():
            if name != "precision":
                check_whole(name, value, 1)
        if self.channel_dim % 2:
            raise ConfigError(
                f"channel_dim: expected an even number (sines and cosines), got {self.channel_dim}"
            )


class Modulations(NamedTuple):
    """AdaLN parameters of every layer; axes b and h have length 1 where the time is shared.

    token, channel: one [b, h, 3c] per block (scale, shift, gate); final: [b, h, 2c].
    """

    token: tuple[Array, ...]
    channel: tuple[Array, ...]
    final: Array


class StepModulations(nnx.Variable):
    """The `Modulations` of a known number of flow steps; computed from parameters, not trained."""


class VelocityNetwork(nnx.Module):
    """Parameters and forward pass; 3,072,006 parameters at the paper's size, 679 observations.

    Source: Real-Time Chunking, arXiv 2506.07339, appendix on the simulated experiments.
    """

    # Set by `prepare`.
    prepared_steps: int = 0
    prepared: StepModulations

    def __init__(self, *, obs_dim: int, action_dim: int, config: ModelConfig, rngs: nnx.Rngs):
        check_whole("obs_dim", obs_dim, 0)
        check_whole("action_dim", action_dim, 1)
        c = config.channel_dim
        self.obs_dim, self.action_dim, self.config = obs_dim, action_dim, config
        self.in_proj = nnx.Linear(action_dim + obs_dim, c, rngs=rngs)
        self.mlp_stack = nnx.List(
            MixerBlock(
                config.action_chunk_size,
                c,
                config.token_hidden_dim,
                config.channel_hidden_dim,
                rngs=rngs,
            )
            for _ in range(config.num_layers)
        )
        self.time_mlp = nnx.Sequential(
            nnx.Linear(c, c, rngs=rngs), jax.nn.swish, nnx.Linear(c, c, rngs=rngs), jax.nn.swish
        )
        self.final_adaln = zero_linear(c, 2 * c, rngs)
        self.out_proj = nnx.Linear(c, action_dim, rngs=rngs)

    @property
    def action_chunk_size(self) -> int:
        """Actions in a chunk, H."""
        return self.config.action_chunk_size

    @fits_policy
    def project_observation(self, obs: Float[Array, "b o"]) -> Float[Array, "b c"]:
        """The observation's part of the input projection, bias included; same for all tokens."""
        # An action of zeros in front is cheaper than a copy of the kernel's other rows.
        inputs = jnp.pad(obs, ((0, 0), (self.action_dim, 0)))
        return dense(inputs, self.in_proj, self.config.precision)

    @checked()
    def modulations(self, t: Float[Array, "*steps b h"]) -> Modulations:
        """AdaLN parameters at flow times `t`, whose last axes are batch and tokens.

        Either has length 1 where all share the time. Leading axes (flow steps) stay in front.
        """
        precision = self.config.precision
        first, _, second, _ = self.time_mlp.layers
        c = embed_time(t, self.config.channel_dim)
        c = jax.nn.swish(dense(jax.nn.swish(dense(c, first, precision)), second, precision))
        return Modulations(
            token=tuple(dense(c, block.adaln_1, precision) for block in self.mlp_stack),
            channel=tuple(dense(c, block.adaln_2, precision) for block in self.mlp_stack),
            final=dense(c, self.final_adaln, precision),
        )

    def step_modulations(self, num_steps: int) -> Modulations:
        """Modulations at the flow times 0, 1/n, ..., 1 of `num_steps` = n steps, [n + 1, 1, 1, c].

        Those laid up by `prepare` for as many steps are taken as they are.
        """
        check_whole("num_steps", num_steps, 1)
        if num_steps == self.prepared_steps:
            return self.prepared.get_value()
        # A product of few rows is faster with a multiple of eight of them.
        rows = jnp.arange(-(-(num_steps + 1) // 8) * 8, dtype=jnp.float32)[:, None, None]
        return jax.tree.map(lambda x: x[: num_steps + 1], self.modulations(rows / num_steps))

    def prepare(self, num_steps: int) -> "VelocityNetwork":
        """A copy that samples with `num_steps` flow steps at less cost, for as long as its
        parameters stay as they are: `step_modulations`, which depends on them alone, is laid up.
        Other numbers of steps work as before."""
        graph, state = nnx.split(self)
        compute = jax.jit(lambda state: nnx.merge(graph, state).step_modulations(num_steps))
        prepared = nnx.merge(graph, state)
        prepared.prepared_steps, prepared.prepared = num_steps, StepModulations(compute(state))
        return prepared

    @fits_policy
    def velocity_from(
        self, projection: Float[Array, "b c"], x_t: Float[Array, "b h a"], modulations: Modulations
    ) -> Float[Array, "b h a"]:
        """Velocity at `x_t`, from what the two functions above made of observation and time."""
        precision = self.config.precision
        kernel = self.in_proj.kernel[...][: self.action_dim]
        x = matmul(x_t, kernel, precision) + projection[:, None]
        for block, token, channel in zip(self.mlp_stack, modulations.token, modulations.channel):
            x = block(x, token, channel, precision)
        scale, shift = jnp.split(modulations.final, 2, axis=-1)
        x = layer_norm(x) * (1 + scale) + shift
        return dense(x, self.out_proj, precision)

    @fits_policy
    def velocity(
        self,
        obs: Float[Array, "b o"],
        x_t: Float[Array, "b h a"],
        t: Float[Array, ""] | Float[Array, "b"] | Float[Array, "b h"] | float,
    ) -> Float[Array, "b h a"]:
        """Velocity at flow time `t`: one for all, one per sample [b], or one per token [b, h]."""
        t = jnp.asarray(t, jnp.float32)
        times = t if t.ndim == 2 else t.reshape(-1, 1)
        return self.velocity_from(self.project_observation(obs), x_t, self.modulations(times))
