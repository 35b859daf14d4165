"""The engine of `rtc.physics` behind the common interface."""

from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from rtc.env.base import Step, check_kinetix_state, check_state
from rtc.env.convert import state_from_kinetix, state_to_kinetix
from rtc.levels import Level
from rtc.physics.kernel.nvidia import kernel_at_hand
from rtc.physics.kernel.step import StepKernel
from rtc.physics.observation import observation_spec
from rtc.physics.stages import in_kernel
from rtc.physics.state import State, initial_state
from rtc.physics.step import Outcome, make_dynamics, substep
from rtc.physics.tiles import in_tiles
from rtc.physics.vector import Vec
from rtc.types import Array, Bool, Float, PyTree


class SpecialisedEngine:
    """Physics written for one level when it is traced; a state is `rtc.physics.state.State`.

    reward: as in `rtc.env.kinetix.KinetixEngine`. Raises LevelError for a level that the
    physics cannot take.
    """

    batch_axis = -1
    printable = True

    def __init__(self, level: Level, reward: str) -> None:
        self.level = level
        self.reward = reward
        self.dynamics = make_dynamics(level)
        self.spec = observation_spec(level)
        rows = [self.dynamics.scene.row(body) for body in self.spec.bodies]
        self._rows = np.array(rows, int)

    def reset(self, batch_size: int) -> State:
        """The level's start, `batch_size` times."""
        slots = np.array([joint.slot for joint in self.dynamics.joints], int)
        return initial_state(self.dynamics.scene, slots, self.dynamics.memory_width, batch_size)

    def step(self, state: State, action: Float[Array, "b a"]) -> tuple[State, Step]:
        """One environment step: `frame_skip` substeps; on a GPU in one launch, where asked for."""
        check_state(self, state, action=action)
        if kernel_at_hand() and not in_kernel():
            return self.kernel(state, action.astype(jnp.float32))
        return self.advance(state, action)

    @cached_property
    def kernel(self) -> StepKernel:
        """The step for a GPU, printed when it is first called."""
        actions = self.level.static.num_motor_bindings + self.level.static.num_thruster_bindings
        action = jax.ShapeDtypeStruct((1, actions), jnp.float32)
        return StepKernel(self.advance, self.reset, action)

    def advance(self, state: State, action: Float[Array, "b a"]) -> tuple[State, Step]:
        """The step as jax traces it, for any device."""
        given = (state, action.T.astype(jnp.float32))
        state, outcome = in_tiles(lambda part: self._substeps(*part), given, state.memory.used)
        state = state._replace(timestep=state.timestep + 1)
        reward, solved, distance = self._judge(outcome)
        touched = (outcome.reward != 0).any(axis=0)
        late = state.timestep >= self.level.params.max_timesteps
        done = touched | _broken(state) | late
        return state, Step(self.observe(state), reward, done, solved, distance)

    def _substeps(self, state: State, action: Float[Array, "a b"]) -> tuple[State, Outcome]:
        def one(state: State, _: None) -> tuple[State, Outcome]:
            return substep(self.dynamics, state, action)

        return jax.lax.scan(one, state, length=self.level.static.frame_skip)

    def observe(self, state: State) -> Float[Array, "b o"]:
        """The varying entries of the observation, clipped to +-10, NaN as 0."""
        check_state(self, state)
        motion = jax.tree.map(lambda rows: rows[self._rows], state.motion)
        entries = [
            *motion.position,
            *motion.velocity,
            jnp.tanh(motion.spin / 10),
            jnp.sin(motion.angle),
            jnp.cos(motion.angle),
        ]
        table = jnp.stack(entries, axis=1).reshape(-1, state.timestep.shape[0])
        return jnp.nan_to_num(jnp.clip(table, -10.0, 10.0)).T

    def replay(self, state: State, done: Bool[Array, " b"]) -> State:
        """Environments with `done` start the level again."""
        check_state(self, state, done=done)
        start = self.reset(1)

        def fresh(now: Array, first: Array) -> Array:
            return jnp.where(done[None], first, now)

        # Rows of the memory beyond `used` say nothing: no need to overwrite them.
        return State(
            motion=jax.tree.map(fresh, state.motion, start.motion),
            joints=jax.tree.map(fresh, state.joints, start.joints),
            memory=state.memory._replace(used=jnp.where(done, 0, state.memory.used)),
            timestep=jnp.where(done, 0, state.timestep),
        )

    def push(self, state: State, change: Float[Array, "b m 2"]) -> State:
        """Adds to the velocities of the observed bodies, in the order of the observation."""
        check_state(self, state, change=change)
        x, y = change.transpose(2, 1, 0)
        velocity = state.motion.velocity
        pushed = Vec(velocity.x.at[self._rows].add(x), velocity.y.at[self._rows].add(y))
        return state._replace(motion=state.motion._replace(velocity=pushed))

    def from_kinetix(self, env_state: PyTree) -> State:
        """Keeps what can change: motion, impulses of joints and contacts, the time."""
        check_kinetix_state(self.level, env_state)
        return state_from_kinetix(self.dynamics, env_state)

    def to_kinetix(self, state: State) -> PyTree:
        """The level with this motion; contact manifolds hold flags and impulses only."""
        check_state(self, state)
        return state_to_kinetix(self.dynamics, state)

    def _judge(self, outcome: Outcome) -> tuple[Array, Array, Array]:
        """Reward, goal flag and distance of a step out of those of its substeps [s, b]."""
        if self.reward == "reference":
            return outcome.reward.max(axis=0), outcome.reward[-1] > 0, outcome.distance[-1]
        reward, distance = outcome.reward[-1], outcome.distance[-1]
        for k in reversed(range(outcome.reward.shape[0] - 1)):
            first = outcome.reward[k] != 0
            reward = jnp.where(first, outcome.reward[k], reward)
            distance = jnp.where(first, outcome.distance[k], distance)
        return reward, reward > 0, distance


def _broken(state: State) -> Bool[Array, " b"]:
    rows = [jnp.isnan(leaf).any(axis=0) for leaf in jax.tree.leaves((state.motion, state.joints))]
    return jnp.stack(rows).any(axis=0)
