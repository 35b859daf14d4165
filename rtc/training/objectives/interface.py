"""What a training objective decides: windows, random draws, the loss, and how parts add up."""

from abc import abstractmethod
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from rtc.flow import FlowPolicy
from rtc.types import Array, Bool, Float, Int, Key

Drawn = dict[str, Array]


class DeviceRows(NamedTuple):
    """Rows of a block on the device: see `rtc.training.windows.Block`.

    obs: [n, o]. action: [n, a]. alive: [n] int32, actions from this row on, H at most, before the
    first done.
    """

    obs: Array
    action: Array
    alive: Array


@runtime_checkable
class Objective(Protocol):
    """A frozen dataclass whose fields are the objective's options. Subclass it: what it leaves out
    is that of plain flow matching; `loss` it always writes.

    extra_steps: rows of the same environment that a window needs behind its H actions.
    """

    extra_steps: ClassVar[int] = 0

    def draw(self, key: Key, shape: tuple[int, int, int]) -> Drawn:
        """What the loss draws for a minibatch of actions of `shape` [b, h, a], by name; every
        array has the batch in front. Here: noise [b, h, a] and time [b]."""
        noise_key, time_key, _ = jax.random.split(key, 3)
        return {
            "noise": jax.random.normal(noise_key, shape),
            "time": jax.random.uniform(time_key, shape[:1]),
        }

    def windows(
        self,
        rows: DeviceRows,
        starts: Int[Array, "b"],
        chunk_size: int,
        drawn: Drawn,
        own: Bool[np.ndarray, "o"] | None,
    ) -> tuple[Float[Array, "b o"], Float[Array, "b h a"]]:
        """The observations and actions that `loss` gets of the windows that begin at `starts`.

        own: entries of the observation that belong to the agent's own bodies, None if not known.
        """
        return gather_windows(rows, starts, chunk_size)

    @abstractmethod
    def loss(
        self,
        policy: FlowPolicy,
        obs: Float[Array, "b o"],
        action: Float[Array, "b h a"],
        drawn: Drawn,
    ) -> Float[Array, ""]:
        """A mean over what counts of a minibatch."""

    def count(self, action: Float[Array, "b h a"], drawn: Drawn) -> Float[Array, ""]:
        """How much of it counts, so that means of its parts can be averaged. Here: all actions."""
        return jnp.float32(action.shape[0] * action.shape[1])


def draw_key(key: Key) -> Key:
    """The key for what an objective draws beside noise and time, apart from theirs."""
    return jax.random.split(key, 3)[2]


def gather_windows(
    rows: DeviceRows, starts: Int[Array, "b"], chunk_size: int
) -> tuple[Float[Array, "b o"], Float[Array, "b h a"]]:
    """Observations, and the actions that follow; zero at and after the first done."""
    offsets = jnp.arange(chunk_size)
    action = rows.action[starts[:, None] + offsets[None]]
    alive = offsets[None] < rows.alive[starts][:, None]
    return rows.obs[starts], jnp.where(alive[:, :, None], action, 0.0)
