"""The environment interface, batch first, and what an engine must bring for it."""

import functools
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from rtc.errors import ArgumentError, check_whole, shown
from rtc.levels import Level
from rtc.physics.observation import ObservationSpec, observation_spec
from rtc.physics.stages import in_kernel
from rtc.types import Array, Bool, Float, Int, PyTree, checked


class Step(NamedTuple):
    """What one environment step led to.

    obs: [b, o] the entries that can vary, in the order of `Env.observation_spec`.
    reward: [b] 1 at the goal, -1 after a forbidden touch, else 0.
    done: [b] touched either, or a number of the state is NaN, or the step limit was reached.
    solved: [b] the goal is touched in the last substep ("reference") or in the first that has
        a reward ("kinetix").
    distance: [b] metres between the centres of all green and blue bodies, summed over pairs.
    """

    obs: Array
    reward: Array
    done: Array
    solved: Array
    distance: Array


@runtime_checkable
class Engine(Protocol):
    """The physics of one level for a batch; pure functions, the state an opaque pytree."""

    # The axis of the batch in every array of a state.
    batch_axis: int
    # Whether a step is made of what the printer of kernels knows.
    printable: bool

    def reset(self, batch_size: int) -> PyTree: ...

    def step(self, state: PyTree, action: Float[Array, "b a"]) -> tuple[PyTree, Step]: ...

    def observe(self, state: PyTree) -> Float[Array, "b o"]: ...

    def replay(self, state: PyTree, done: Bool[Array, " b"]) -> PyTree: ...

    def push(self, state: PyTree, change: Float[Array, "b m 2"]) -> PyTree: ...

    def from_kinetix(self, env_state: PyTree) -> PyTree: ...

    def to_kinetix(self, state: PyTree) -> PyTree: ...


class Env:
    """A batch of environments of one level; every method is pure, for jit and scan.

    level: what is simulated. engine: name of the physics. observation: which entries of
    Kinetix's observation vary. Actions are [b, a]: motors first, clipped to [-1, 1], then
    thrusters, clipped to [0, 1]. Episodes end, but start again only by `replay`.
    Raises ArgumentError for arrays that do not fit the level, each other or the state.
    """

    def __init__(self, level: Level, engine: str, physics: Engine) -> None:
        self.level = level
        self.engine = engine
        self.observation: ObservationSpec = observation_spec(level)
        self._physics = physics
        # Compiled also where the caller does not; inside a caller's program it is inlined.
        self._step = jax.jit(physics.step)
        self._observe = jax.jit(physics.observe)
        self._replay = jax.jit(physics.replay)

    @property
    def printable(self) -> bool:
        """Whether a step may become part of a kernel (`rtc.physics.kernel`)."""
        return self._physics.printable

    @property
    def observation_size(self) -> int:
        """Entries of the observation (o)."""
        return len(self.observation.indices)

    @property
    def action_size(self) -> int:
        """Entries of an action (a): one for each motor binding, then each thruster binding."""
        static = self.level.static
        return static.num_motor_bindings + static.num_thruster_bindings

    @property
    def observation_spec(self) -> tuple[str, ...]:
        """The name of each entry, such as "polygon 8: sin rotation"."""
        return self.observation.names

    @property
    def observation_indices(self) -> np.ndarray:
        """[o] where the entries stand in Kinetix's flat observation."""
        return self.observation.indices

    @property
    def observation_constants(self) -> np.ndarray:
        """[f] Kinetix's flat observation, with zeros where it varies."""
        return self.observation.constants

    def reset(self, batch_size: int) -> PyTree:
        """The level's start, `batch_size` times."""
        check_whole("batch_size", batch_size, 1)
        return self._physics.reset(batch_size)

    @checked(a="action_size")
    def step(self, state: PyTree, action: Float[Array, "b a"]) -> tuple[PyTree, Step]:
        """One environment step: `frame_skip` substeps of the physics under one action."""
        # For a kernel it is traced anew: what jax remembers of the other is no use there.
        return (self._physics.step if in_kernel() else self._step)(state, action)

    def observe(self, state: PyTree) -> Float[Array, "b o"]:
        """The observation of a state."""
        return self._observe(state)

    @checked()
    def replay(self, state: PyTree, done: Bool[Array, " b"]) -> PyTree:
        """Environments with `done` start the level again, the others stay as they are."""
        return self._replay(state, done)

    @checked(m="observation.bodies.size")
    def push(self, state: PyTree, change: Float[Array, "b m 2"]) -> PyTree:
        """The state after the velocities of the observed bodies changed by `change` (m/s)."""
        return self._physics.push(state, change)

    @checked()
    def take(self, state: PyTree, index: Int[Array, " k"]) -> PyTree:
        """The environments of these indices, as a batch of their own."""
        axis = self._physics.batch_axis
        return jax.tree.map(lambda leaf: jnp.take(leaf, index, axis=axis), state)

    @checked()
    def begin(self, state: PyTree, done: Bool[Array, " b"], start: PyTree) -> PyTree:
        """Environments with `done` go on from `start` (a batch of states), the others as is."""
        axis = self._physics.batch_axis

        def choose(now: Array, start: Array) -> Array:
            others = [1] * (now.ndim - 1)
            others.insert(axis % now.ndim, -1)
            return jnp.where(done.reshape(others), start, now)

        return jax.tree.map(choose, state, start)

    def join(self, states: PyTree) -> PyTree:
        """States with a leading time axis as one batch, the times of an environment in a row."""
        axis = self._physics.batch_axis

        def flat(leaf: Array) -> Array:
            place = axis % (leaf.ndim - 1)
            moved = jnp.moveaxis(leaf, 0, place + 1)
            return moved.reshape(*moved.shape[:place], -1, *moved.shape[place + 2 :])

        return jax.tree.map(flat, states)

    @checked(o="observation_size")
    def expand(self, obs: Float[Array, "b o"]) -> Float[Array, "b f"]:
        """Kinetix's full flat observation (679 numbers in scenes of size l)."""
        return self.observation.expand(obs)

    @checked(f="observation_constants.size")
    def compress(self, full: Float[Array, "b f"]) -> Float[Array, "b o"]:
        """The entries that vary, out of a full observation."""
        return self.observation.compress(full)

    def from_kinetix(self, env_state: PyTree) -> PyTree:
        """The state behind a batched Kinetix `EnvState` of this level."""
        return self._physics.from_kinetix(env_state)

    def to_kinetix(self, state: PyTree) -> PyTree:
        """The batched Kinetix `EnvState`, to draw it or to hand it on."""
        return self._physics.to_kinetix(state)


def check_state(engine: Engine, state: PyTree, **rows: Array) -> None:
    """Raises ArgumentError unless `state` is one of this engine and level, and `rows` (by name,
    the batch in front) are of the same batch.

    For engines to call where they are traced: nothing of it is left in the program.
    """
    one = _shapes(engine, 1)
    if jax.tree.structure(state) != jax.tree.structure(one):
        raise ArgumentError(
            f"state: expected {type(one).__name__} of env.reset, got {shown(state)}"
        )
    batch_size = state.timestep.size
    for name, array in rows.items():
        if array.shape[0] != batch_size:
            raise ArgumentError(
                f"{name}: expected a batch of {batch_size} like the state's, got {array.shape[0]}"
            )
    wanted = jax.tree.leaves(_shapes(engine, batch_size))
    for (path, given), leaf in zip(jax.tree.leaves_with_path(state), wanted):
        if leaf.shape != given.shape:
            raise ArgumentError(
                f"state{jax.tree_util.keystr(path)}: expected {list(leaf.shape)} on this level, "
                f"got {list(given.shape)}"
            )


@functools.lru_cache(maxsize=16)
def _shapes(engine: Engine, batch_size: int) -> PyTree:
    return jax.eval_shape(lambda: engine.reset(batch_size))


def check_kinetix_state(level: Level, env_state: PyTree) -> None:
    """Raises ArgumentError unless `env_state` is a batch of Kinetix states of the level's size."""
    try:
        shape = env_state.polygon.position.shape
    except AttributeError:
        shape = None
    wanted = level["polygon/position"].shape
    if shape is None or len(shape) != 3 or shape[1:] != wanted:
        given = shown(env_state) if shape is None else f"polygon.position {list(shape)}"
        expected = f"polygon.position [b, {wanted[0]}, 2]"
        raise ArgumentError(f"env_state: expected a Kinetix EnvState with {expected}, got {given}")
