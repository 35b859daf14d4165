"""One decision under inference delay: found in a real episode, made with and without guidance."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rtc.evaluate.noise import Streams, make_streams
from rtc.evaluate.scene import Scene
from rtc.evaluate.tally import used_actions
from rtc.flow import FlowPolicy, get_prefix_weights
from rtc.traces.episode import Piece, Player, timeline
from rtc.traces.scenes import Guidance, Trained, check_guidance, scene_of
from rtc.types import Array, PyTree
from rtc.visualize import ChunkTimeline


class Decision(NamedTuple):
    """An inference of a real episode, tracked.

    step: environment step at which it begins. guided, plain: `tracked_steps` of the chunk with
    guidance and without, from the same noise; numpy, batch of 1. timelines: the episode under
    "naive" and under "realtime". used: action dimensions that move something in this level.
    """

    step: int
    guided: Mapping[str, np.ndarray]
    plain: Mapping[str, np.ndarray]
    timelines: Mapping[str, ChunkTimeline]
    used: tuple[int, ...]


def find_decision(trained: Trained, guidance: Guidance, *, seed: int) -> Decision:
    """Rolls the environment to a decision, and makes it with guidance and without.

    The episode is rollout 0 of the evaluation's noise, played under real-time chunking, so the
    previous chunk is a real one, shifted as in execution. Of its decisions after the first that
    one is taken where a chunk made without guidance would differ most from the previous chunk,
    weighted as guidance weighs: where guidance has most to do.
    Raises ConfigError on an impossible pair of delay and horizon.
    """
    policy, level = trained.loaded.policy, trained.env.level
    check_guidance(guidance, policy.action_chunk_size)
    streams = make_streams(seed, level.name, trained.seed)
    scenes = {name: scene_of(trained, name, guidance) for name in ("naive", "realtime")}
    played = {name: _play(*scenes[name], guidance, streams) for name in scenes}
    used = used_actions(level)
    timelines = {name: timeline(pieces, 0, guidance.delay, used) for name, pieces in played.items()}
    number = most_to_do(policy, played["realtime"], guidance, used)
    guided, plain = track_both(policy, played["realtime"][number], guidance)
    return Decision(
        step=number * guidance.horizon,
        guided=guided,
        plain=plain,
        timelines=timelines,
        used=tuple(np.flatnonzero(used).tolist()),
    )


def _play(scene: Scene, policies: PyTree, guidance: Guidance, streams: Streams) -> list[Piece]:
    player = Player(scene, streams, guidance.delay, guidance.horizon, rollouts=1, draw=False)
    return list(player.pieces(policies, player.start(policies)[0]))


def most_to_do(
    policy: FlowPolicy, pieces: Sequence[Piece], guidance: Guidance, used: np.ndarray
) -> int:
    """Which piece's chunk would, without guidance, differ most from its previous chunk.

    Taken only if there is no other: the first piece, whose previous chunk was not executed yet,
    and the last, in which the episode may have ended before the switch.
    used: [a] the action dimensions that count.
    """
    first = min(1, len(pieces) - 1)
    candidates = pieces[first:-1] or pieces[first:]
    obs, noise, previous = (
        np.concatenate([getattr(piece, name)[:1] for piece in candidates])
        for name in ("obs", "noise", "previous")
    )
    size = policy.action_chunk_size
    weights = np.asarray(
        get_prefix_weights(guidance.delay, size - guidance.horizon, size, guidance.schedule)
    )
    graph, parameters = nnx.split(policy)

    @jax.jit
    def chunks(parameters: PyTree, obs: Array, noise: Array) -> Array:
        return nnx.merge(graph, parameters).action(None, obs, guidance.flow_steps, noise=noise)

    apart = weights[None, :, None] * (previous - np.asarray(chunks(parameters, obs, noise)))
    return first + int(np.argmax(np.linalg.norm(apart[..., used], axis=(1, 2))))


def track_both(
    policy: FlowPolicy, piece: Piece, guidance: Guidance
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """`tracked_steps` of rollout 0's inference, with guidance and without, from one noise."""
    graph, parameters = nnx.split(policy)

    @jax.jit
    def both(
        parameters: PyTree, obs: Array, noise: Array, previous: Array, delay: Array, end: Array
    ) -> tuple[PyTree, PyTree]:
        policy = nnx.merge(graph, parameters)
        tracked = {"noise": noise, "return_tracking": True}
        guided = partial(policy.realtime_action, None, obs, guidance.flow_steps, previous)
        _, with_guidance = guided(delay, end, guidance.schedule, guidance.beta, **tracked)
        _, without = policy.action(None, obs, guidance.flow_steps, **tracked)
        return with_guidance, without

    delay = jnp.int32(guidance.delay)
    end = jnp.int32(policy.action_chunk_size - guidance.horizon)
    inputs = (piece.obs[:1], piece.noise[:1], piece.previous[:1])
    return jax.device_get(both(parameters, *map(jnp.asarray, inputs), delay, end))
