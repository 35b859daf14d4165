"""What a chunking method sees, and what it must offer."""

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np

from rtc.flow import FlowPolicy
from rtc.types import Array, Bool, Float, Int, Key, Keys, PyTree, checked


class Context(NamedTuple):
    """All that a method may see when a chunk is to be made.

    obs: [b, o] observation of now. previous: [b, h, a] chunk in execution, shifted so that
    index 0 is the action of now, zero padded. delay: [] int32, steps of `previous` that will be
    executed before the new chunk is ready (an estimate, where the delay is random). horizon: []
    int32, steps from now to the next inference. Both are traced: no Python branch on them.
    key: [b] keys, one for each robot, for randomness of the method's own. noise: [k, b, h, a]
    standard normal, k = `method.samples`; row 0 is the same for every method, so that methods
    can be compared pairwise: take the noise of the flow from here. forecast: [b, o] observation
    that is expected in `delay` steps, where the method's entry asks for one; else None. own: [o]
    which entries of an observation belong to the agent's own bodies; None without a forecast.
    """

    obs: Float[Array, "b o"]
    previous: Float[Array, "b h a"]
    delay: int | Int[Array, ""]
    horizon: int | Int[Array, ""]
    key: Keys | Key | None
    noise: Float[Array, "k b h a"]
    forecast: Float[Array, "b o"] | None = None
    own: Bool[Array | np.ndarray, "o"] | None = None


@runtime_checkable
class Method(Protocol):
    """A frozen dataclass whose fields are the method's hyper-parameters.

    samples: rows of noise that one chunk takes (a class attribute, or a hyper-parameter).
    keeps_prefix: promises chunk[:, :delay] == previous[:, :delay], exactly.
    weak_epoch: epoch of the checkpoint that becomes `weak_policy`; optional, None for no such.
    needs: optional, keys that its entry must have, such as ("forecast",).
    """

    keeps_prefix: ClassVar[bool]

    @property
    def samples(self) -> int:
        """Rows of noise, at least 1."""
        ...

    def init(self, batch_size: int, chunk_size: int, action_dim: int) -> PyTree:
        """State at the start of an episode; `()` if none outlives a call. Every leaf has the
        batch as its first axis."""
        ...

    def network_evaluations(self, flow_steps: int) -> int:
        """Passes through a network for one chunk; a backward pass counts as one more."""
        ...

    def __call__(
        self,
        policy: FlowPolicy,
        weak_policy: FlowPolicy | None,
        context: Context,
        carry: PyTree,
        flow_steps: int,
        return_tracking: bool = False,
    ) -> Any:
        """`(chunk [b, h, a], carry)`, or `(chunk, carry, tracked_steps)` with tracking."""
        ...


@runtime_checkable
class EveryStep(Protocol):
    """What a method offers beside the parts of a `Method` if it also acts on every step.

    step_evaluations: passes through a network for one executed step.
    """

    @property
    def step_evaluations(self) -> int:
        """At least 0."""
        ...

    def init(self, batch_size: int, chunk_size: int, action_dim: int, obs_dim: int) -> PyTree:
        """As a `Method`'s; it is also told how many entries an observation has."""
        ...

    def act(
        self,
        policy: FlowPolicy,
        heads: tuple[Any, ...],
        obs: Float[Array, "b o"],
        action: Float[Array, "b a"],
        index: Int[Array, "b"],
        carry: PyTree,
    ) -> tuple[Float[Array, "b a"], PyTree]:
        """`(action [b, a], carry)`: what is executed now.

        heads: networks that the method's entry names. obs: fresh observation, the entries that
        vary on the level (an imported policy may take others besides). action: the one
        that the chunk in execution holds for now; index: its place in that chunk as it was made.
        carry: the one state of the method, shared with its call for a chunk, which comes first
        in an episode.
        """
        ...


class Stateless(Method):
    """A method of which nothing outlives a call: it writes `chunk`, and what of this is not so.

    Subclass it; these are defaults for the rest of a `Method`.
    """

    samples: ClassVar[int] = 1
    keeps_prefix: ClassVar[bool] = False

    @abstractmethod
    def chunk(
        self, policy: FlowPolicy, context: Context, flow_steps: int, return_tracking: bool
    ) -> Any:
        """`chunk [b, h, a]`, or `(chunk, tracked_steps)`, as the samplers of `rtc.flow` do."""

    def init(self, batch_size: int, chunk_size: int, action_dim: int, obs_dim: int = 0) -> PyTree:
        """No state: the previous chunk comes with the context."""
        return ()

    def network_evaluations(self, flow_steps: int) -> int:
        """One forward pass a step."""
        return flow_steps

    @checked()
    def __call__(
        self,
        policy: FlowPolicy,
        weak_policy: FlowPolicy | None,
        context: Context,
        carry: PyTree,
        flow_steps: int,
        return_tracking: bool = False,
    ) -> Any:
        """See `rtc.methods.Method`."""
        result = self.chunk(policy, context, flow_steps, return_tracking)
        return with_carry(result, carry, return_tracking)


def with_carry(result: Any, carry: PyTree, return_tracking: bool) -> Any:
    """What a method returns, from what a sampler returned: the carry comes second."""
    if not return_tracking:
        return result, carry
    chunk, tracked = result
    return chunk, carry, tracked
