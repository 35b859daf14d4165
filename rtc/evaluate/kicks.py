"""Kicks: now and then, in an evaluation, the agent's own bodies change their velocity at a stroke.

Every method meets the same kicks at the same steps of its rollouts and sees of them what it
observes afterwards; no forecast knows of them, the oracle's neither.
"""

import zlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rtc.evaluate.noise import keys_at, normal_at
from rtc.types import Array, Float, Int, Key

# Streams of their own beside the noise on the actions.
WHETHER, CHANGE = zlib.crc32(b"kick"), zlib.crc32(b"kick change")


class Kicks(NamedTuple):
    """probability: of a kick, for each step. speed: m/s, standard deviation of the change of both
    components of a body's velocity. own: [m] 1 for those of the observed bodies that are kicked,
    0 for the others."""

    probability: float
    speed: float
    own: np.ndarray

    def changes(
        self, stream: Key, rollout: Int[Array, "b"], time: Int[Array, "b"]
    ) -> Float[Array, "b m 2"]:
        """Returns what velocities change by before this step, 0 where nothing is kicked."""
        keys = keys_at(jax.random.fold_in(stream, WHETHER), rollout, time)
        kicked = jax.vmap(jax.random.uniform)(keys) < self.probability
        stream = jax.random.fold_in(stream, CHANGE)
        normal = normal_at(stream, rollout, time, (len(self.own), 2))
        return jnp.where(kicked[:, None, None], self.speed * self.own[None, :, None] * normal, 0.0)
