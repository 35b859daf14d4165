"""The readable loop: one robot, one chunk after another, in plain Python. Slow and obvious."""

import jax
import jax.numpy as jnp
import numpy as np

from rtc.evaluate.noise import chunk_noise, draw_delays, normal_at
from rtc.methods import Context


class PlainLoop:
    """Plays single rollouts of a scene; only the arithmetic of a step and a chunk is compiled."""

    def __init__(self, scene, policies, streams):
        self.scene, self.streams = scene, streams
        self.policy, self.weak_policy = scene.merge(policies)
        self.shape = (self.policy.action_chunk_size, self.policy.action_dim)
        self.step = jax.jit(self._step)
        self.make_chunk = jax.jit(self._make_chunk)
        self.act = jax.jit(scene.act(policies)) if scene.acts else None

    def _step(self, state, action, number, time):
        noise = normal_at(self.streams.action, number, time, self.shape[1:])
        if self.scene.kicks is not None:
            change = self.scene.kicks.changes(self.streams.action, number, time)
            state = self.scene.env.push(state, change)
        return self.scene.env.step(state, action + self.scene.action_noise * noise)

    def foresee(self, state, obs, previous, delay):
        """Steps on from here, one action of the chunk in execution after the other."""
        if self.scene.forecaster is None:
            return None
        for i in range(delay):
            state, step = self.scene.forecaster.step(state, previous[:, i])
            obs = step.obs
        return self.scene.policy_observation(obs)

    def _make_chunk(self, obs, previous, carry, plan, number, time, forecast):
        samples = self.scene.method.samples
        noise = chunk_noise(self.streams.chunk, number, time, samples, self.shape)
        obs = self.scene.policy_observation(obs)
        context = Context(obs, previous, plan.estimate, plan.horizon, None, noise, forecast)
        chunk, carry = self.scene.method(
            self.policy, self.weak_policy, context, carry, self.scene.flow_steps
        )
        return chunk, carry, draw_delays(self.streams.delay, number, time, plan.cumulative)

    def play(self, plan, rollout):
        """Returns what one rollout did: actions, sources, rewards, mismatches, solved."""
        number, s = jnp.array([rollout]), int(plan.horizon)
        state = self.scene.env.reset(1)
        obs = self.scene.env.observe(state)
        noise = normal_at(self.streams.first, number, jnp.array([0]), self.shape)
        previous = self.policy.action(
            None, self.scene.policy_observation(obs), self.scene.flow_steps, noise=noise
        )
        carry = self.scene.init(1, *self.shape)
        log = {"actions": [], "sources": [], "rewards": [], "mismatches": [], "delays": []}
        made, time, done = 0, 0, False
        while not done:
            now = jnp.array([time])
            forecast = self.foresee(state, obs, previous, int(plan.estimate))
            made_from = obs, previous, carry, plan, number, now, forecast
            chunk, carry, drawn = self.make_chunk(*made_from)
            delay = int(drawn[0])
            log["delays"].append(delay)
            if delay:
                difference = np.abs(np.asarray(chunk - previous)[0, :delay])
                log["mismatches"].append(difference[:, np.asarray(self.scene.used) > 0].mean())
            for i in range(s):
                action = (previous if i < delay else chunk)[:, i]
                if self.act is not None:
                    place = jnp.array([i + s if i < delay else i])
                    seen = self.scene.policy_observation(obs)
                    action, carry = self.act(seen, action, place, carry)
                log["actions"].append(np.asarray(action[0]))
                log["sources"].append(made - 1 if i < delay else made)
                state, step = self.step(state, action, number, jnp.array([time]))
                obs, time = step.obs, time + 1
                log["rewards"].append(float(step.reward[0]))
                if bool(step.done[0]):
                    done = True
                    break
            previous = jnp.concatenate([chunk[:, s:], jnp.zeros_like(chunk[:, :s])], axis=1)
            made += 1
        return log | {"solved": bool(step.solved[0])}


def metrics_of(log, used):
    """The metrics by their definitions, in numpy."""
    actions = np.stack(log["actions"])[:, np.asarray(used) > 0].astype(np.float64)
    switched = np.diff(log["sources"]) != 0
    changes = np.linalg.norm(np.diff(actions, axis=0), axis=1)
    jumps = changes[switched]
    bends = np.linalg.norm(np.diff(actions, n=2, axis=0), axis=1)
    return {
        "solved": log["solved"],
        "return": sum(log["rewards"]),
        "length": len(actions),
        "jump_mean": jumps.mean() if len(jumps) else np.nan,
        "jump_max": jumps.max() if len(jumps) else np.nan,
        "action_change": changes.mean(),
        "jerk": (bends**2).mean(),
        "acceleration_max": bends.max(),
        "mismatch": np.mean(log["mismatches"]) if log["mismatches"] else np.nan,
    }
