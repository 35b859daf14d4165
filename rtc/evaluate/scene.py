"""The fixed part of an evaluation: what the compiled program is specialised to."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx

from rtc.flow import FlowPolicy
from rtc.methods import Method
from rtc.types import Array, Float, PyTree


@dataclass(frozen=True, eq=False)
class Scene:
    """env: of the level. method: made from its config entry. graphs: structure of the policy
    and, or None, of the weak policy. used: [a] 1 for entries of an action that move something.
    action_noise: standard deviation of the noise on executed actions. flow_steps: of a chunk.
    full_observation: the policy takes all 679 entries, not only those that vary here.
    """

    env: Any
    method: Method
    graphs: tuple[Any, Any]
    used: Float[Array, "a"]
    action_noise: float
    flow_steps: int
    full_observation: bool

    def merge(self, policies: PyTree) -> tuple[FlowPolicy, FlowPolicy | None]:
        """Returns (policy, weak policy or None) from their parameters."""
        policy, weak = (
            None if graph is None else nnx.merge(graph, parameters)
            for graph, parameters in zip(self.graphs, policies)
        )
        return policy, weak

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
) -> tuple[Scene, PyTree]:
    """Returns the scene and the policies' state, which the program takes as an argument.

    Raises ValueError if the policy's observation is neither the level's compact one nor full.
    """
    sizes = (env.observation_size, len(env.observation_constants))
    if policy.obs_dim not in sizes:
        raise ValueError(f"the policy takes {policy.obs_dim} observations, expected one of {sizes}")
    graph, parameters = nnx.split(policy.prepare(flow_steps))
    weak_graph, weak_parameters = (
        (None, None) if weak_policy is None else nnx.split(weak_policy.prepare(flow_steps))
    )
    scene = Scene(
        env=env,
        method=method,
        graphs=(graph, weak_graph),
        used=jnp.asarray(used, jnp.float32),
        action_noise=action_noise,
        flow_steps=flow_steps,
        full_observation=policy.obs_dim != env.observation_size,
    )
    return scene, (parameters, weak_parameters)
