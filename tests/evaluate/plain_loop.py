"""The readable loop: one robot, one chunk after another, in plain Python. Slow and obvious."""

import jax.numpy as jnp
import numpy as np

from rtc.evaluate.noise import chunk_noise, draw_delays, normal_at
from rtc.methods import Context


def play_slowly(scene, policies, streams, plan, rollout):
    """Returns what one rollout did: actions, sources, rewards, mismatches, solved."""
    policy, weak_policy = scene.merge(policies)
    number, h, a = jnp.array([rollout]), policy.action_chunk_size, policy.action_dim
    at = lambda t: jnp.array([t])  # noqa: E731
    state = scene.env.reset(1)
    obs = scene.env.observe(state)
    noise = normal_at(streams.first, number, at(0), (h, a))
    previous = policy.action(None, scene.policy_observation(obs), scene.flow_steps, noise=noise)
    carry = scene.method.init(1, h, a)
    log = {"actions": [], "sources": [], "rewards": [], "mismatches": [], "delays": []}
    made, time, done = 0, 0, False
    while not done:
        delay = int(draw_delays(streams.delay, number, at(time), plan.cumulative)[0])
        noise = chunk_noise(streams.chunk, number, at(time), scene.method.samples, (h, a))
        context = Context(
            scene.policy_observation(obs), previous, plan.estimate, plan.horizon, None, noise
        )
        chunk, carry = scene.method(policy, weak_policy, context, carry, scene.flow_steps)
        if delay:
            difference = np.abs(np.asarray(chunk - previous)[0, :delay])
            log["mismatches"].append(difference[:, np.asarray(scene.used) > 0].mean())
        log["delays"].append(delay)
        for i in range(int(plan.horizon)):
            action = (previous if i < delay else chunk)[:, i]
            log["actions"].append(np.asarray(action[0]))
            log["sources"].append(made - 1 if i < delay else made)
            noise = normal_at(streams.action, number, at(time), (a,))
            state, step = scene.env.step(state, action + scene.action_noise * noise)
            obs, time = step.obs, time + 1
            log["rewards"].append(float(step.reward[0]))
            if bool(step.done[0]):
                done = True
                break
        s = int(plan.horizon)
        previous = jnp.concatenate([chunk[:, s:], jnp.zeros((1, s, a))], axis=1)
        made += 1
    return log | {"solved": bool(step.solved[0])}


def metrics_of(log, used):
    """The metrics by their definitions, in numpy."""
    actions = np.stack(log["actions"])[:, np.asarray(used) > 0].astype(np.float64)
    switched = np.diff(log["sources"]) != 0
    jumps = np.linalg.norm(np.diff(actions, axis=0), axis=1)[switched]
    bends = np.linalg.norm(np.diff(actions, n=2, axis=0), axis=1)
    return {
        "solved": log["solved"],
        "return": sum(log["rewards"]),
        "length": len(actions),
        "jump_mean": jumps.mean() if len(jumps) else np.nan,
        "jump_max": jumps.max() if len(jumps) else np.nan,
        "jerk": (bends**2).mean(),
        "acceleration_max": bends.max(),
        "mismatch": np.mean(log["mismatches"]) if log["mismatches"] else np.nan,
    }
