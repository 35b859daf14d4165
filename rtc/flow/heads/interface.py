"""What a kind of head must offer, and what its network learns from."""

from typing import NamedTuple, Protocol, runtime_checkable

from flax import nnx

from rtc.types import Array, Float


class Sizes(NamedTuple):
    """What a head's network is made for. obs_dim: entries of the observation that vary on the
    level (o). action_dim: of an action (a). action_chunk_size: actions in a chunk (h)."""

    obs_dim: int
    action_dim: int
    action_chunk_size: int


class HeadRows(NamedTuple):
    """Moments in which an action is about to be executed.

    obs_history: [b, k, o] the newest observations, the one of now last; before the start of an
    episode its first one is repeated. last_action: [b, a] that was asked for one step ago, without
    the noise; zeros at the start. action: [b, a] the chunk's action for now. index: [b] int32, its
    place in its chunk: 0 is the action of the moment whose observation the chunk was made from.
    label: [b, a] what an expert does there.
    """

    obs_history: Array
    last_action: Array
    action: Array
    index: Array
    label: Array


@runtime_checkable
class Head(Protocol):
    """A frozen dataclass whose fields are the head's options.

    observation_history: newest observations that it sees (k), at least 1.
    """

    @property
    def observation_history(self) -> int: ...

    def network(self, sizes: Sizes, rngs: nnx.Rngs) -> nnx.Module:
        """The network with first parameters."""
        ...

    def loss(self, network: nnx.Module, rows: HeadRows) -> Float[Array, ""]:
        """What training lowers: a mean over the rows."""
        ...
