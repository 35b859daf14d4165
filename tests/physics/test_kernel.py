"""The GPU's kernel, compiled by gcc, against the reference's stored steps and against the engine.

A GPU rounds sines and contracted products a little differently; the formulas, the loops and what
is stored where are the same program text.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.env.specialised import SpecialisedEngine
from rtc.levels import load_level
from rtc.physics.kernel.control import run
from rtc.physics.kernel.program import Port, print_program
from rtc.physics.kernel.rules import Unknown
from rtc.physics.kernel.values import Outside, Printer, StaleError
from tests.physics.c_program import launches_by_gcc, needs_gcc
from tests.physics.test_golden import GOLDEN, MOVING, TOLERANCE, stored_states

STEPS, NUDGE = 20, 1e-6
# Tracing, printing and gcc take most of a minute a level; the other levels are in the long suite.
LEVELS = [
    path if path.stem == "env_h17_unicycle" else pytest.param(path, marks=pytest.mark.long)
    for path in GOLDEN
]


@pytest.fixture(scope="module", params=LEVELS, ids=[path.stem[4:] for path in GOLDEN])
def bench(request, tmp_path_factory):
    """(engine, kernel, stored data, the states it begins with)."""
    level = load_level(request.param.stem[4:])
    data = np.load(request.param)
    if "state/gravity" in data.files:
        level = replace(level, arrays=level.arrays | {"gravity": data["state/gravity"][0]})
    engine = SpecialisedEngine(level, "reference")
    with launches_by_gcc(tmp_path_factory.mktemp("kernel")):
        yield engine, engine.kernel, data, engine.from_kinetix(stored_states(level, data))


@needs_gcc
def test_the_kernel_makes_the_reference_s_steps(bench):
    engine, kernel, data, state = bench
    following, step = kernel(state, data["action"])
    following = engine.to_kinetix(jax.tree.map(jnp.asarray, following))
    for group in ("polygon", "circle"):
        active = engine.level[f"{group}/active"]
        for field in MOVING:
            ours = np.asarray(getattr(getattr(following, group), field))[:, active]
            theirs = data[f"next_state/{group}/{field}"][:, active]
            assert np.abs(ours - theirs).max(initial=0) <= TOLERANCE, (group, field)
    np.testing.assert_array_equal(step.reward, data["reward"])
    np.testing.assert_array_equal(step.done, data["done"])
    np.testing.assert_array_equal(step.solved, data["goal"])
    np.testing.assert_allclose(step.distance, data["distance"], atol=TOLERANCE)


def difference(one, other):
    """[b] the largest over motion, observation and distance."""
    (one, seen), (other, seen_too) = one, other
    pairs = [*zip(jax.tree.leaves(one.motion), jax.tree.leaves(other.motion))]
    pairs += [(seen.obs.T, seen_too.obs.T), (seen.distance[None], seen_too.distance[None])]
    return np.max([np.abs(np.asarray(a) - np.asarray(b)).max(0) for a, b in pairs], axis=0)


def reached(engine, kernel, state, number):
    """States and actions after the stored ones, by the kernel under random actions."""
    random = np.random.default_rng(number)
    for _ in range(STEPS):
        action = random.uniform(-1.2, 1.2, (48, 6)).astype(np.float32)
        yield state, action
        state, step = kernel(state, action)
        state = engine.replay(jax.tree.map(jnp.asarray, state), jnp.asarray(step.done))


@needs_gcc
def test_the_kernel_agrees_with_the_engine_wherever_it_goes(bench):
    """Where it does not, a millionth more or less moves the engine itself as far."""
    engine, kernel, _, start = bench
    advance = jax.jit(engine.advance)
    beyond = 0
    for state, action in reached(engine, kernel, start, 0):
        ours, theirs = kernel(state, action), advance(state, action)
        apart = difference(ours, theirs) > TOLERANCE
        for name in ("reward", "done", "solved"):
            same = np.asarray(getattr(ours[1], name)) == np.asarray(getattr(theirs[1], name))
            apart |= ~same
        if apart.any():
            moved = np.zeros(48)
            for sign in (-1, 1):
                motion = jax.tree.map(lambda x, s=sign: x + s * NUDGE, state.motion)
                nudged = advance(state._replace(motion=motion), action)
                moved = np.maximum(moved, difference(nudged, theirs))
            assert (moved[apart] > TOLERANCE / 2).all(), moved[apart]
        beyond += apart.sum()
    assert beyond <= 0.005 * STEPS * 48


@needs_gcc
def test_what_is_no_number_ends_the_episode(bench):
    _, kernel, data, state = bench
    angle = state.motion.angle.at[0, ::2].set(jnp.nan)
    _, step = kernel(state._replace(motion=state.motion._replace(angle=angle)), data["action"])
    assert step.done[::2].all()
    assert np.isfinite(step.obs).all()


def ports(*shapes):
    return [Port(shape, np.dtype(np.float32), 1) for shape in shapes]


def test_a_primitive_that_nobody_knows_is_named():
    with pytest.raises(Unknown, match="cumsum"):
        print_program(lambda x: [jnp.cumsum(x, axis=0)], ports((3, 1)), lambda k: 1)


def test_memory_that_was_overwritten_is_not_read():
    """A value printed late must not see what came after it."""

    def function(x):
        def turn(i, table):
            old = table * 2.0  # 20 numbers: printed where it is asked for
            table = jax.lax.dynamic_update_index_in_dim(table, table[0] + 1, i, 0)
            return table + old

        return jax.lax.fori_loop(0, x.shape[0], turn, x)

    closed = jax.make_jaxpr(function)(jnp.zeros((20, 1)))
    with pytest.raises(StaleError):
        run(Printer(), closed, [Outside("in0", (20, 1), np.dtype(np.float32), 1)])
