"""One step of both engines from the same reached states, and the statistics of whole episodes.

Where two bodies barely touch, or spin fast, a step magnifies the last digit of the state, and two
correct programs differ. So a state that differs by more than the tolerance has to be one where
the stock engine's own result moves by more than that when the state is moved by a millionth, and
comes as near to ours as ten tolerances.
"""

from copy import copy
from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest
import yaml

from rtc.env import make_env
from rtc.experts.expert import load_expert
from rtc.levels.sources import level_folders, packaged_levels
from tests.physics.stock import Comparison, episodes, random_policy, same_distribution, same_share

NAMES = sorted(path.stem for path in level_folders()[1].glob("*.yaml"))
RESULTS = Path("results")
TOLERANCE = 2e-4
NUDGE = 1e-6
ALPHA = 1e-4  # of each of the 72 comparisons of distributions


def check(comparison, name, ledger):
    """Every state agrees, or is one where the stock engine itself is as uncertain."""
    errors, misjudged = comparison.errors, comparison.misjudged
    apart = (errors > TOLERANCE) | misjudged
    ledger.append(
        (
            name,
            len(errors),
            *np.quantile(errors, [0.5, 0.999, 1.0]),
            int((errors > TOLERANCE).sum()),
            int(misjudged.sum()),
        )
    )
    assert comparison.expanded, "the constant entries of the observation differ"
    for index in np.flatnonzero(apart):
        assert comparison.is_delicate(index, NUDGE, TOLERANCE), (name, index, errors[index])
    assert apart.sum() <= len(apart) // 1000


@cache
def short(name):
    """512 states."""
    return Comparison(name, batch=128, rounds=2, chain=2)


@pytest.mark.parametrize("name", ["cartpole_thrust", "mjc_walker"])
def test_a_step_is_the_stock_engine_s(name, ledger):
    check(short(name), name, ledger)


@pytest.fixture
def pile(tmp_path):
    """Every place of the scene taken, all in a heap: contacts of all kinds, many at once."""
    boxes = {
        f"box {i}": {
            "box": [0.5, 0.3] if i % 2 else [0.4, 0.4],
            "position": [0.4 + 0.55 * (i % 3), 0.7 + 0.5 * (i // 3)],
            "rotation": 10 * (i - 6),
            "restitution": 0.1 * i,
            "friction": 0.2 * i,
        }
        for i in range(8)
    }
    balls = {
        f"ball {i}": {"circle": 0.15 + 0.03 * i, "position": [0.3 + 0.4 * i, 2.3], "density": 2}
        for i in range(4)
    }
    path = tmp_path / "pile.yaml"
    thrusters = [  # box 6 pushes box 7, ball 3 pushes ball 2, differently in each environment
        {"on": "box 6", "offset": [0, 0], "rotation": 0, "power": 1, "binding": 0},
        {"on": "ball 3", "offset": [0, 0.05], "rotation": 180, "power": 1, "binding": 1},
    ]
    scene = {"walls": {"right": 1.9}, "bodies": boxes | balls, "thrusters": thrusters}
    path.write_text(yaml.safe_dump(scene, sort_keys=False))
    return path


def test_a_heap_with_every_kind_of_contact(pile, ledger):
    """Also those jax2d forgets: between polygons 10 and 11, and between circles 2 and 3."""
    comparison = Comparison(pile, batch=128, rounds=2, chain=2)
    starts = [state for state, _ in comparison.starts]
    for group, points in (("rr", 12), ("cr", 5), ("cc", 3)):
        flags = [np.asarray(getattr(s, f"acc_{group}_manifolds").active) for s in starts]
        active = np.concatenate(flags).reshape(512, -1)
        assert active.sum(axis=1).max() >= points, group
        last = active[:, -2:] if group == "rr" else active[:, -1:]
        assert last.any() or group == "cr", "the forgotten contact never occurred"
    check(comparison, "pile", ledger)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_five_thousand_states(name, ledger):
    check(Comparison(name, batch=500, rounds=5, chain=2), name, ledger)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(packaged_levels()))
def test_packaged_levels(name, ledger):
    check(Comparison(name, batch=64, rounds=2, chain=1), name, ledger)


def same_statistics(name, policy, history):
    """1,000 first episodes of each engine, with independent noise."""
    ours, stock = (
        episodes(make_env(name, engine=engine), policy, history, jax.random.key(seed), 1000)
        for seed, engine in enumerate(("specialised", "kinetix"))
    )
    print(
        name,
        [
            (e.solved.mean(), e.episode_length.mean(), e.episode_return.mean())
            for e in (ours, stock)
        ],
    )
    assert same_distribution(ours.episode_return, stock.episode_return) > ALPHA
    assert same_distribution(ours.episode_length, stock.episode_length) > ALPHA
    assert same_share(ours.solved, stock.solved) > ALPHA


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_random_episodes_have_the_same_statistics(name):
    same_statistics(name, random_policy, 0)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_episodes_of_an_expert_have_the_same_statistics(name):
    folder = RESULTS / "experts" / name / "seed_0"
    if not (folder / "expert.json").is_file():
        pytest.skip("no expert of this level under results/: train one first")
    expert = load_expert(folder)
    same_statistics(name, expert.action, expert.info["history"])


def test_the_statistics_see_a_difference():
    """The two-sample tests would find a shift of a third of a standard deviation in 1,000."""
    random = np.random.default_rng(0)
    sample, shifted = random.normal(0, 1, 1000), random.normal(0.33, 1, 1000)
    assert same_distribution(sample, random.normal(0, 1, 1000)) > ALPHA
    assert same_distribution(sample, shifted) < ALPHA
    rare, often = np.arange(1000) < 60, np.arange(1000) < 120
    assert same_share(rare, rare) == pytest.approx(1)
    assert same_share(rare, often) < ALPHA


def test_a_delicate_state_is_told_from_an_error():
    """A result that is off by twice the tolerance in a smooth place is not excused."""
    comparison = copy(short("cartpole_thrust"))
    calm = int(np.argmin(np.abs(comparison.ours.fast).max(axis=1)))
    wrong = comparison.ours.fast.copy()
    wrong[calm, 0] += 2 * TOLERANCE
    comparison.ours = comparison.ours._replace(fast=wrong)
    assert comparison.errors[calm] > TOLERANCE
    assert not comparison.is_delicate(calm, NUDGE, TOLERANCE)
