"""Data sets, and whole folders through the functions of the command line."""

import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest

from rtc.errors import ArtifactError
from rtc.exchange import datasets as exchange_datasets
from rtc.exchange import export_reference, import_reference
from rtc.exchange.datasets import export_dataset, import_dataset
from rtc.exchange.names import load_reference_level, reference_name
from rtc.training.windows import open_dataset
from tests.exchange.conftest import dataset_arrays

NAME = "worlds_l_h17_unicycle"


@pytest.fixture(scope="module")
def brought(reference_folder, tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    return results, list(import_reference(reference_folder, results, policy="published", seed=2))


def test_everything_lands_where_the_pipeline_keeps_its_own(brought):
    results, targets = brought
    assert [str(t.relative_to(results)) for t in targets] == [
        "policies/h17_unicycle/published/seed_2",
        "experts/h17_unicycle/seed_0",
        "experts/h17_unicycle/seed_1",
        "datasets/h17_unicycle.parquet",
    ]
    assert (targets[0] / "policy.json").is_file()
    assert (targets[1] / "expert.json").is_file()


def test_and_comes_back_as_it_was(brought, reference_folder, tmp_path):
    files = list(export_reference(brought[0], tmp_path, policy="published", seed=2))
    assert {p.relative_to(tmp_path) for p in files} == {
        p.relative_to(reference_folder) for p in reference_folder.rglob("*") if p.is_file()
    }
    for file in files:
        if file.suffix == ".npz":
            with (
                np.load(file) as ours,
                np.load(reference_folder / "expert/data" / file.name) as theirs,
            ):
                assert ours.files == theirs.files
                for name in theirs.files:
                    assert ours[name].dtype == theirs[name].dtype
                    np.testing.assert_array_equal(ours[name], theirs[name])


def test_a_data_set_streams_in_pieces_of_steps(
    reference_folder, level, observation, tmp_path, monkeypatch
):
    monkeypatch.setattr(exchange_datasets, "ROWS_PER_GROUP", 28)
    source = reference_folder / f"expert/data/{NAME}.npz"
    import_dataset(source, level, tmp_path / "a.parquet")
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 5
    data = open_dataset(tmp_path / "a.parquet", 8)
    assert data.windows == 4 * (30 - 7)
    (block,) = data.blocks()
    arrays = dataset_arrays(observation)
    first = arrays["obs"][:, 0][:, observation["indices"]]
    np.testing.assert_array_equal(block.obs[:30], first)
    table = pq.read_table(tmp_path / "a.parquet").to_pandas().sort_values(["environment", "step"])
    ends = table[table["environment"] == 1]["done"].to_numpy()
    np.testing.assert_array_equal(ends, arrays["done"][:, 1])
    episode = table[table["environment"] == 1]["episode"].to_numpy()
    np.testing.assert_array_equal(episode, np.cumsum(ends) - ends)
    export_dataset(tmp_path / "a.parquet", tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as back:
        np.testing.assert_array_equal(back["obs"], arrays["obs"])


def save(path, arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def test_bad_data_sets_are_named(level, observation, tmp_path):
    arrays = dataset_arrays(observation)
    constant = next(i for i in range(679) if i not in observation["indices"])
    wandering = arrays["obs"].copy()
    wandering[17, 2, constant] += 1e-3
    for label, changed, message in (
        ("missing", {k: v for k, v in arrays.items() if k != "done"}, "no array 'done'"),
        ("narrow", arrays | {"obs": arrays["obs"][:, :, :100]}, "observations of 100 entries"),
        ("level", arrays | {"obs": arrays["obs"] + 0.5}, "another version of level h17_unicycle"),
        ("wander", arrays | {"obs": wandering}, f"entry {constant} varies"),
        ("object", arrays | {"done": arrays["done"].astype(object)}, "no plain array"),
        ("shape", arrays | {"length": arrays["length"][:5]}, "length has shape"),
    ):
        path = save(tmp_path / f"{label}.npz", changed)
        with pytest.raises(ArtifactError, match=message) as caught:
            import_dataset(path, level, tmp_path / "out.parquet")
        assert str(path) in str(caught.value)
    whole = save(tmp_path / "cut.npz", arrays).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match="cannot be read"):
        import_dataset(tmp_path / "cut.npz", level, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_an_npz_with_a_cut_array_is_named(level, observation, tmp_path):
    arrays = dataset_arrays(observation)
    save(tmp_path / "a.npz", arrays)
    with (
        zipfile.ZipFile(tmp_path / "a.npz") as source,
        zipfile.ZipFile(tmp_path / "b.npz", "w") as target,
    ):
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data[:-100] if name == "action.npy" else data)
    with pytest.raises(ArtifactError, match=r"action.npy is cut off"):
        import_dataset(tmp_path / "b.npz", level, tmp_path / "out.parquet")


def test_names_of_levels_translate_both_ways():
    for name in ("h17_unicycle", "l-mjc_hopper", "m-h0_unicycle"):
        assert load_reference_level(reference_name(name)).name == name
    assert reference_name("catcher_v3") == "worlds_l_catcher_v3"
    assert reference_name("l-mjc_hopper") == "worlds_l_mjc_hopper"


def test_empty_folders_are_an_error(tmp_path):
    with pytest.raises(ArtifactError, match="nothing of the reference in it"):
        list(import_reference(tmp_path, tmp_path / "out", policy="p"))
    with pytest.raises(ArtifactError, match="no such folder"):
        list(import_reference(tmp_path / "absent", tmp_path / "out", policy="p"))
    with pytest.raises(ArtifactError, match="to export"):
        list(export_reference(tmp_path, tmp_path / "out"))
