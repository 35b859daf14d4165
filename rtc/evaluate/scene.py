"""The fixed part of an evaluation: what the compiled program is specialised to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from rtc.evaluate.kicks import Kicks
from rtc.flow import FlowPolicy
from rtc.methods import EveryStep, Method
from rtc.types import Array, Float, PyTree


@dataclass(frozen=True, eq=False)
class Scene:
    """env: of the level. method: made from its config entry. graphs: structure of the policy
    and, or None, of the weak policy. used: [a] 1 for entries of an action that move something.
    action_noise: standard deviation of the noise on executed actions. flow_steps: of a chunk.
    full_observation: the policy takes all 679 entries, not only those that vary here.
    heads: structure of the networks that the method acts with. forecaster: environment that
    makes the method's forecasts, None if it gets none. own: [p] entries of the policy's
    observation that belong to the agent's own bodies; None without a forecaster. kicks: of the
    agent's own bodies, None if there are none.
    """

    env: Any
    method: Method
    graphs: tuple[Any, Any]
    used: Float[Array, "a"]
    action_noise: float
    flow_steps: int
    full_observation: bool
    heads: tuple[Any, ...] = ()
    forecaster: Any = None
    own: np.ndarray | None = None
    kicks: Kicks | None = None

    def merge(self, policies: PyTree) -> tuple[FlowPolicy, FlowPolicy | None]:
        """Returns (policy, weak policy or None) from their parameters."""
        policy, weak = (
            None if graph is None else nnx.merge(graph, parameters)
            for graph, parameters in zip(self.graphs, policies)
        )
        return policy, weak

    @property
    def acts(self) -> bool:
        """Whether the method acts on every step."""
        return isinstance(self.method, EveryStep)

    def init(self, batch_size: int, chunk_size: int, action_dim: int) -> PyTree:
        """Returns the method's state at the start of an episode."""
        sizes = batch_size, chunk_size, action_dim
        if not self.acts:
            return self.method.init(*sizes)
        return self.method.init(*sizes, self.env.observation_size)

    @property
    def step_evaluations(self) -> int:
        """Passes through a network for one executed step, beside those for chunks."""
        return self.method.step_evaluations if self.acts else 0

    def act(self, policies: PyTree) -> Callable[..., tuple[Array, PyTree]]:
        """Returns the method's `act` with its networks: (obs, action, index, carry) -> ..."""
        policy, _ = self.merge(policies)
        heads = tuple(nnx.merge(graph, state) for graph, state in zip(self.heads, policies[2]))
        return partial(self.method.act, policy, heads)

    def policy_observation(self, obs: Float[Array, "b o"]) -> Float[Array, "b p"]:
        """Returns the observation as the policy takes it."""
        return self.env.expand(obs) if self.full_observation else obs


def make_scene(
    env: Any,
    method: Method,
    policy: FlowPolicy,
    weak_policy: FlowPolicy | None,
    *,
    used: Any,
    action_noise: float,
    flow_steps: int,
    heads: Sequence[nnx.Module] = (),
    forecaster: Any = None,
    own: np.ndarray | None = None,
    kicks: Kicks | None = None,
) -> tuple[Scene, PyTree]:
    """Returns the scene and the state of all networks, which the program takes as an argument:
    policy, weak policy or None, and a tuple of the heads. own: [o] entries of the observation
    that belong to the agent's own bodies.

    Raises ValueError if the policy's observation is neither the level's compact one nor full.
    """
    sizes = (env.observation_size, len(env.observation_constants))
    if policy.obs_dim not in sizes:
        raise ValueError(f"the policy takes {policy.obs_dim} observations, expected one of {sizes}")
    graph, parameters = nnx.split(policy.prepare(flow_steps))
    weak_graph, weak_parameters = (
        (None, None) if weak_policy is None else nnx.split(weak_policy.prepare(flow_steps))
    )
    full_observation = policy.obs_dim != env.observation_size
    if own is not None and full_observation:
        own = np.isin(np.arange(sizes[1]), env.observation_indices[own])
    head_graphs, head_parameters = zip(*map(nnx.split, heads)) if heads else ((), ())
    scene = Scene(
        env=env,
        method=method,
        graphs=(graph, weak_graph),
        used=jnp.asarray(used, jnp.float32),
        action_noise=action_noise,
        flow_steps=flow_steps,
        full_observation=full_observation,
        heads=head_graphs,
        forecaster=forecaster,
        own=own,
        kicks=kicks,
    )
    return scene, (parameters, weak_parameters, head_parameters)
