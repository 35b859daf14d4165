"""Windows stay within an environment, stop at done, and are the same resident and streamed."""

import jax.numpy as jnp
import numpy as np
import pytest

from rtc.errors import ArtifactError
from rtc.training.feed import Feed
from rtc.training.objectives import DeviceRows, gather_windows
from rtc.training.windows import open_dataset
from tests.training.toy_dataset import FULL, OBS, write_dataset

H = 8


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "toy.parquet"
    return path, write_dataset(path)


def readable_windows(columns: dict) -> dict:
    """The definition, in plain loops: {bytes of the observation: [h, a] actions}."""
    windows = {}
    rows = {(e, s): i for i, (e, s) in enumerate(zip(columns["environment"], columns["step"]))}
    for (environment, step), row in rows.items():
        members = [rows.get((environment, step + k)) for k in range(H)]
        if None in members:
            continue
        actions = columns["action"][members].copy()
        ends = np.flatnonzero(columns["done"][members])
        if len(ends):
            actions[ends[0] :] = 0
        windows[columns["observation"][row].tobytes()] = actions
    return windows


def gathered(dataset) -> dict:
    found = {}
    for block in dataset.blocks():
        rows = DeviceRows(*map(jnp.asarray, block[:3]))
        obs, actions = gather_windows(rows, jnp.asarray(block.starts), H)
        pairs = zip(np.asarray(obs), np.asarray(actions), strict=True)
        new = {o.tobytes(): a for o, a in pairs}
        assert not new.keys() & found.keys()
        found |= new
    return found


@pytest.mark.parametrize("limit", [None, 3000])
def test_windows_equal_their_definition(made, limit):
    path, columns = made
    dataset = open_dataset(path, H, limit)
    assert (len(dataset.plan) > 1) == (limit is not None)
    expected, found = readable_windows(columns), gathered(dataset)
    assert dataset.windows == len(expected) == 6 * (40 - H + 1)
    assert expected.keys() == found.keys()
    for key, actions in expected.items():
        np.testing.assert_array_equal(found[key], actions)
    assert any((actions[-1] == 0).all() for actions in expected.values())


def test_metadata_says_how_observations_expand(made):
    dataset = open_dataset(made[0], H)
    assert dataset.level == {"name": "toy", "digest": "00ff"}
    assert len(dataset.observation["names"]) == dataset.obs_dim == OBS
    assert len(dataset.observation["constants"]) == FULL


def test_an_epoch_visits_every_window_once_and_no_two_epochs_alike(made):
    dataset = open_dataset(made[0], H)
    feed = Feed(dataset, 18, [0, 1], [7])
    (first,), (again,), (second,) = (list(feed.epoch(e)) for e in (1, 1, 2))
    assert first.count == dataset.windows // 18 == feed.minibatches
    starts = np.asarray(first.starts)
    assert starts.shape == (2, 11, 18)
    for seed in starts:
        np.testing.assert_array_equal(np.sort(seed.ravel()), np.flatnonzero(dataset.rows.whole))
    np.testing.assert_array_equal(starts, again.starts)
    assert (starts[0] != starts[1]).any()
    assert (starts != np.asarray(second.starts)).any()


def test_a_streamed_epoch_visits_windows_of_every_block(made):
    dataset = open_dataset(made[0], H, 3000)
    feed = Feed(dataset, 5, [0], [7])
    seen = set()
    for block in feed.epoch(3):
        starts = np.asarray(block.starts)[0, : block.count].ravel()
        seen |= {np.asarray(block.rows.obs)[s].tobytes() for s in starts}
    assert len(seen) > dataset.windows - 5 * len(dataset.plan)
    assert seen <= readable_windows(made[1]).keys()


def test_gaps_in_time_break_windows(tmp_path):
    write_dataset(tmp_path / "gap.parquet", envs=2, steps=40, missing_step=20)
    assert open_dataset(tmp_path / "gap.parquet", H).windows == 2 * (20 - H + 1 + 19 - H + 1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:2000]), "is damaged"),
        (lambda path: path.write_bytes(b""), "is damaged"),
        (lambda path: write_dataset(path, steps=5), "no environment has 8 consecutive steps"),
        (lambda path: write_dataset(path, without="done"), "no column 'done'"),
    ],
)
def test_a_bad_file_is_named_with_the_mend(tmp_path, damage, message):
    path = tmp_path / "toy.parquet"
    write_dataset(path)
    damage(path)
    with pytest.raises(ArtifactError, match=message) as caught:
        open_dataset(path, H)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_pages_are_found_while_reading(tmp_path):
    path = tmp_path / "toy.parquet"
    write_dataset(path)
    dataset = open_dataset(path, H)
    path.write_bytes(b"PAR1" + bytes(2000) + path.read_bytes()[2004:])
    with pytest.raises(ArtifactError, match="is damaged"):
        list(dataset.blocks())
