"""Checkpoints come back exactly, appear whole or not at all, and say what is wrong."""

import shutil
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtc.errors import ArtifactError
from rtc.storage import io
from rtc.storage.checkpoints import (
    list_checkpoints,
    restore_checkpoint,
    save_checkpoint,
    tree_digest,
)


class Moments(NamedTuple):
    mu: object
    nu: object


@pytest.fixture(scope="module")
def tree():
    return {
        "params": {"kernel": jnp.arange(12.0).reshape(3, 4), "half": jnp.ones(3, jnp.bfloat16)},
        "moments": Moments(mu=jnp.ones(2), nu=(np.int32(4), [np.float32(0.1)])),
        "nothing": None,
        "key": jax.random.key(3),
        "keys": jax.random.split(jax.random.key(1), 3),
        "done": True,
    }


@pytest.fixture(scope="module")
def saved(tree, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("run") / "checkpoints" / "8"
    save_checkpoint(path, tree)
    return path


def test_round_trip_restores_structure_values_and_keys(tree, saved):
    restored = restore_checkpoint(saved, tree)
    assert jax.tree.structure(restored) == jax.tree.structure(tree)
    assert tree_digest(restored) == tree_digest(tree)
    assert restored["params"]["half"].dtype == jnp.bfloat16
    assert jax.random.uniform(restored["key"]) == jax.random.uniform(tree["key"])


def test_shapes_alone_are_enough_to_restore(tree, saved):
    restored = restore_checkpoint(saved, jax.eval_shape(lambda: tree))
    assert tree_digest(restored) == tree_digest(tree)


def test_without_like_gives_nested_dicts_by_name(saved):
    restored = restore_checkpoint(saved)
    assert sorted(restored) == ["done", "key", "keys", "moments", "params"]
    np.testing.assert_array_equal(restored["moments"]["nu"]["0"], 4)
    np.testing.assert_array_equal(restored["params"]["kernel"], np.arange(12.0).reshape(3, 4))


def test_relative_paths_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_checkpoint("a/1", {"x": np.arange(3)})
    np.testing.assert_array_equal(restore_checkpoint("a/1")["x"], np.arange(3))


def test_saving_again_replaces(tmp_path):
    for value in (1.0, 2.0):
        save_checkpoint(tmp_path / "1", {"x": np.float32(value)})
    assert restore_checkpoint(tmp_path / "1")["x"] == 2.0
    assert [p.name for p in tmp_path.iterdir()] == ["1"]


def test_list_checkpoints_in_order_of_number(tmp_path):
    for name in ("10", "9", "notes", ".8.part"):
        (tmp_path / name).mkdir()
    assert list(list_checkpoints(tmp_path)) == [9, 10]
    assert list_checkpoints(tmp_path / "absent") == {}


def test_strings_and_empty_arrays_and_trees_are_refused(tmp_path):
    with pytest.raises(TypeError, match="without elements"):
        save_checkpoint(tmp_path / "1", {"x": np.zeros((0, 2))})
    with pytest.raises(TypeError, match="numbers only"):
        save_checkpoint(tmp_path / "1", {"x": "text"})
    with pytest.raises(ValueError, match="at least one"):
        save_checkpoint(tmp_path / "1", {"x": None})
    assert not list(tmp_path.iterdir())


def test_missing_checkpoint_names_its_neighbours(saved):
    with pytest.raises(ArtifactError) as caught:
        restore_checkpoint(saved.parent / "9")
    message = str(caught.value)
    assert "no such checkpoint; there are 8" in message
    assert f"rm -r {saved.parent.parent} && make" in message
    assert "\n" not in message


def test_other_network_size_names_the_array(tree, saved):
    like = tree | {"params": tree["params"] | {"kernel": jnp.zeros((3, 5))}}
    with pytest.raises(ArtifactError, match=r"params/kernel is float32\[3, 4\], expected .*3, 5"):
        restore_checkpoint(saved, like)
    with pytest.raises(ArtifactError, match="another network: extra is missing"):
        restore_checkpoint(saved, tree | {"extra": jnp.zeros(1)})
    with pytest.raises(ArtifactError, match="done is not part of the network"):
        restore_checkpoint(saved, {k: v for k, v in tree.items() if k != "done"})
    with pytest.raises(ArtifactError, match="keys is uint32"):
        restore_checkpoint(saved, tree | {"keys": jax.random.key(0)})


def _damages():
    yield "delete", lambda file: file.unlink()
    yield "empty", lambda file: file.write_bytes(b"")
    yield "cut", lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    yield "garbage", lambda file: file.write_bytes(b"\x00\xffnot what was here")
    yield "flip", lambda file: file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + b"")


def test_any_damage_to_any_file_is_an_artifact_error(saved, tree, tmp_path, caplog):
    files = [p.relative_to(saved) for p in saved.rglob("*") if p.is_file()]
    assert len(files) > 4
    for name in files:
        for label, damage in _damages():
            if not (saved / name).stat().st_size and label != "delete":
                continue
            copy = tmp_path / "checkpoints" / "8"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(saved, copy)
            damage(copy / name)
            with pytest.raises(ArtifactError, match="damaged") as caught:
                restore_checkpoint(copy, tree)
            assert "\n" not in str(caught.value)
    assert not caplog.records


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "1"
    save_checkpoint(path, {"x": np.arange(3)})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(io, "_sync", full)
    with pytest.raises(ArtifactError, match=r"cannot be written.*No space left"):
        save_checkpoint(path, {"x": np.arange(4)})
    monkeypatch.undo()
    np.testing.assert_array_equal(restore_checkpoint(path)["x"], np.arange(3))
    assert [p.name for p in tmp_path.iterdir()] == ["1"]
