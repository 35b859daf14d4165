"""The installed stock engine as an oracle: states to start from, and steps to compare."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import chi2_contingency, ks_2samp

from rtc.env import Env, make_env
from rtc.env.kinetix import KinetixEngine
from rtc.env.wrappers import Stack
from rtc.levels import Level, load_level

MOVING = ("position", "velocity", "rotation", "angular_velocity")


@cache
def _stock_step(static: Any, params: Any) -> Any:
    """A compiled stock step; the state brings the level, so levels of one size share it."""
    level = next(kept for kept in LEVELS if (kept.static, kept.params) == (static, params))
    engine = KinetixEngine(level, "reference")

    def step(state: Any, action: jax.Array) -> tuple:
        with jax.numpy_rank_promotion("allow"):
            state, step = engine.step(state, action)
            return state, step, jax.vmap(engine.stock.get_obs)(state)

    return jax.jit(step)


LEVELS: list[Level] = []


def stock_step(level: Level) -> Any:
    """(state, action) -> (state, step, full observation); `step.obs` is of no use."""
    LEVELS.append(level)
    return _stock_step(level.static, level.params)


class Reached(NamedTuple):
    """Results of one step of both engines from the same states, numpy, [n, ...].

    where: position and rotation of all active bodies and what is observed of the state; fast:
    velocities and angular velocities. judged: reward, done, solved. distance: m.
    """

    where: np.ndarray
    fast: np.ndarray
    judged: np.ndarray
    distance: np.ndarray


def spread_actions(key: jax.Array, steps: int, batch: int, size: int) -> jax.Array:
    """[t, b, a] noise for one half of the environments, actions held for 16 steps for the other."""
    quick, slow = jax.random.split(key)
    white = jax.random.uniform(quick, (steps, batch, size), minval=-1.2, maxval=1.2)
    held = jax.random.uniform(slow, (-(-steps // 16), batch, size), minval=-1.2, maxval=1.2)
    held = jnp.repeat(held, 16, axis=0)[:steps]
    return jnp.where((jnp.arange(batch) % 2 == 0)[None, :, None], white, held)


@cache
def roller(env: Env) -> Any:
    """(state, actions [t, b, a]) -> state, with replay, compiled."""

    def roll(state: Any, actions: jax.Array) -> Any:
        def one(state: Any, action: jax.Array) -> tuple:
            state, step = env.step(state, action)
            return env.replay(state, step.done), None

        return jax.lax.scan(one, state, actions)[0]

    return jax.jit(roll)


class Comparison:
    """Both engines on one level.

    batch: states at once. rounds: places of the episode that states are taken from. chain: how
    many steps of the stock engine each is then followed, compared at every step.
    """

    def __init__(self, name: str | Path, batch: int, rounds: int, chain: int) -> None:
        self.level = load_level(name)
        self.env = make_env(self.level)
        self.batch, self.rounds, self.chain = batch, rounds, chain
        self.stock = stock_step(self.level)
        self.starts: list[tuple[Any, jax.Array]] = []
        self.ours, self.theirs, self.expanded = self._collect()

    def _collect(self) -> tuple[Reached, Reached, bool]:
        env, key = self.env, jax.random.key(len(self.level.name))
        between = self.level.params.max_timesteps // self.rounds - 5
        state = env.reset(self.batch)
        to_kinetix, from_kinetix = jax.jit(env.to_kinetix), jax.jit(env.from_kinetix)
        ours, theirs, expanded = [], [], True
        for r in range(self.rounds):
            keys = jax.random.split(jax.random.fold_in(key, r))
            state = roller(env)(state, spread_actions(keys[0], between, self.batch, 6))
            stock_state = to_kinetix(state)
            for action in spread_actions(keys[1], self.chain, self.batch, 6):
                following, step = env.step(from_kinetix(stock_state), action)
                self.starts.append((stock_state, action))
                stock_state, stock_step, full = self.stock(stock_state, action)
                ours.append(self._reached(to_kinetix(following), step, step.obs))
                theirs.append(self._reached(stock_state, stock_step, env.compress(full)))
                # The constants are Kinetix's own bits, whatever the state is.
                same = np.asarray(env.expand(env.compress(full))) == np.asarray(full)
                expanded = expanded and bool(same.all())
        both = (Reached(*map(np.concatenate, zip(*side))) for side in (ours, theirs))
        return *both, expanded

    def _reached(self, state: Any, step: Any, obs: jax.Array) -> Reached:
        rows = {field: [] for field in MOVING}
        for group in ("polygon", "circle"):
            active = self.level[f"{group}/active"]
            for field in MOVING:
                value = np.asarray(getattr(getattr(state, group), field))[:, active]
                rows[field].append(value.reshape(len(value), -1))
        joined = {field: np.concatenate(parts, axis=1) for field, parts in rows.items()}
        judged = np.stack([np.asarray(step.reward), step.done, step.solved], axis=1)
        where = [joined["position"], joined["rotation"], np.asarray(obs)]
        return Reached(
            np.concatenate(where, axis=1),
            np.concatenate([joined["velocity"], joined["angular_velocity"]], axis=1),
            judged,
            np.asarray(step.distance),
        )

    @property
    def errors(self) -> np.ndarray:
        """[n] the largest difference of a state's numbers."""
        parts = [np.abs(a - b).max(1) for a, b in zip(self.ours[:2], self.theirs[:2])]
        return np.maximum.reduce([*parts, np.abs(self.ours.distance - self.theirs.distance)])

    @property
    def misjudged(self) -> np.ndarray:
        """[n] whether reward, done or goal differ."""
        return (self.ours.judged != self.theirs.judged).any(axis=1)

    def is_delicate(self, index: int, nudge: float, tolerance: float) -> bool:
        """Whether the stock engine's result moves by more than the tolerance for states nearby, and
        is ours, to ten tolerances, for one of them.

        Tried: as many states as a batch holds, each number of the motion moved by up to `nudge`.
        """
        state, action = self.starts[index // self.batch]
        one = jax.tree.map(lambda x: jnp.repeat(x[index % self.batch][None], self.batch, 0), state)
        key = jax.random.key(index)
        for i, group in enumerate(("polygon", "circle")):
            bodies = getattr(one, group)
            for k, field in enumerate(MOVING):
                value = getattr(bodies, field)
                own = jax.random.fold_in(jax.random.fold_in(key, i), k)
                shift = nudge * jax.random.uniform(own, value.shape, minval=-1.0)
                moves = (bodies.inverse_mass > 0).reshape(*value.shape[:2], *[1] * (value.ndim - 2))
                bodies = bodies.replace(**{field: value + shift * moves})
            one = one.replace(**{group: bodies})
        repeated = jnp.repeat(action[index % self.batch][None], self.batch, 0)
        state, step, full = self.stock(one, repeated)
        theirs = self._reached(state, step, self.env.compress(full))
        same = (theirs.judged == self.ours.judged[index]).all(axis=1)
        for a, b in zip(theirs[:2], self.ours[:2]):
            same &= np.abs(a - b[index]).max(axis=1) <= 10 * tolerance
        smooth = (np.abs(theirs.fast - self.theirs.fast[index]).max(axis=1) <= tolerance).all()
        return bool(same.any() and not smooth)


Policy = Callable[[jax.Array, jax.Array], jax.Array]  # (key, policy input) -> action


def random_policy(key: jax.Array, obs: jax.Array) -> jax.Array:
    """Uniform actions, whatever is observed."""
    return jax.random.uniform(key, (len(obs), 6), minval=-1.0)


def episodes(env: Env, policy: Policy, history: int, key: jax.Array, count: int) -> Any:
    """Return (with the dense reward), length and goal flag of `count` first episodes, each [b].

    history: observations that the policy sees, as in `rtc.env.wrappers.Stack`.
    """
    stack = Stack(env, action_noise=0.1, history=history, dense_scale=1 / 6)
    steps = env.level.params.max_timesteps

    @jax.jit
    def run(state: Any) -> Any:
        def one(state: Any, key: jax.Array) -> tuple:
            asked, noise = jax.random.split(key)
            action = policy(asked, stack.observe(state))
            return stack.step(state, action, jax.random.normal(noise, action.shape))

        outcome = jax.lax.scan(one, state, jax.random.split(key, steps))[1]
        first = jnp.argmax(outcome.done, axis=0)
        return jax.tree.map(lambda x: x[first, jnp.arange(count)], outcome)

    return jax.tree.map(np.asarray, run(stack.reset(count)))


def same_distribution(one: np.ndarray, other: np.ndarray) -> float:
    """p of the two-sample Kolmogorov-Smirnov test; with ties it is too large, never too small.

    To three decimals: where many episodes are alike (a ball that nobody touches), the two engines
    put them 1e-6 apart, and the test would take that for two distributions.
    """
    return float(ks_2samp(np.round(one, 3), np.round(other, 3)).pvalue)


def same_share(one: np.ndarray, other: np.ndarray) -> float:
    """p of the chi-squared test of two proportions."""
    table = np.array([[x.sum(), (~x).sum()] for x in (one, other)])
    return 1.0 if (table.sum(axis=0) == 0).any() else float(chi2_contingency(table).pvalue)
