"""The guarded reader takes arrays in every form and nothing else, whatever a file tries."""

import collections
import functools
import operator
import os
import pickle

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtc.errors import ArtifactError
from rtc.exchange.pickles import read_pickle, write_pickle

TREE = {
    "mlp_stack": {0: {"kernel": np.arange(12, dtype=np.float32).reshape(3, 4)}},
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "jax": jnp.arange(3.0),
    "scalar": np.float32(3.5),
    "flags": np.array([True, False]),
    "big_endian": np.arange(3, dtype=">i4"),
    "empty": np.zeros((0, 4), np.float32),
    "plain": [1, 2.5, "text", None, (True,)],
}


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol_come_back(tmp_path, protocol):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(TREE, protocol=protocol))
    tree = read_pickle(path)
    assert list(tree) == list(TREE)
    assert tree["plain"] == TREE["plain"]
    np.testing.assert_array_equal(tree["mlp_stack"][0]["kernel"], TREE["mlp_stack"][0]["kernel"])
    for name in ("columns", "jax", "scalar", "flags", "big_endian", "empty"):
        assert type(tree[name]) is np.ndarray
        np.testing.assert_array_equal(tree[name], np.asarray(TREE[name]))
    assert tree["mlp_stack"][0]["kernel"].dtype == np.float32


def test_what_is_written_opens_with_plain_pickle_and_names_only_ndarray(tmp_path):
    path = tmp_path / "b.pkl"
    tree = {"a": {0: np.float32([[1, 2], [3, 4]])}, "b": np.array(2.0)}
    write_pickle(path, tree)
    for loaded in (pickle.loads(path.read_bytes()), read_pickle(path)):
        np.testing.assert_array_equal(loaded["a"][0], tree["a"][0])
        assert loaded["a"][0].dtype == np.float32
        assert loaded["b"] == 2.0
    asked = []

    class Spy(pickle.Unpickler):
        def find_class(self, module, name):
            asked.append((module, name))
            return super().find_class(module, name)

    with open(path, "rb") as handle:
        Spy(handle).load()
    assert set(asked) == {("numpy", "ndarray")}
    with pytest.raises(TypeError, match="only dicts of arrays are exported, got Level"):
        write_pickle(path, {"x": type("Level", (), {})()})


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def touch(path):
    return Calls(os.system, f"touch {path}")


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (touch, "posix.system"),
        (lambda path: Calls(eval, f"open({str(path)!r}, 'w')"), "builtins.eval"),
        (lambda path: Calls(open, str(path), "w"), "io.open"),
        (lambda path: Calls(functools.partial, os.mkdir, str(path)), "functools.partial"),
        (lambda path: Calls(operator.attrgetter, "__class__"), "operator.attrgetter"),
        (lambda path: collections.OrderedDict(a=1), "collections.OrderedDict"),
        (lambda path: np.array([touch(path)], object), "array of object"),
        (lambda path: np.float32, "numpy.float32"),
        (lambda path: {"a", "b"}, "bare set"),
        (lambda path: b"bytes", "bare bytes"),
        (lambda path: {1.5: np.zeros(2)}, "keys that are no names"),
        (lambda path: np.array(["text"]), "array of <U4"),
        (lambda path: pickle.PickleBuffer(b"x"), "bare"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path, make, name):
    path, proof = tmp_path / "evil.pkl", tmp_path / "executed"
    path.write_bytes(pickle.dumps({"kernel": np.zeros(3), "x": make(proof)}, protocol=5))
    with pytest.raises(ArtifactError, match="refused") as caught:
        read_pickle(path)
    assert name in str(caught.value)
    assert str(path) in str(caught.value)
    assert not proof.exists()


def test_hand_made_programs_are_refused(tmp_path):
    path = tmp_path / "evil.pkl"
    programs = {
        "inst": b"(S'touch executed'\nios\nsystem\n.",
        "obj": b"(cos\nsystem\nS'touch executed'\no.",
        "persistent": b"Pid\n.",
        "extension": b"\x82\x01.",
        "made of a number": b"cnumpy\nndarray\n((I1000000000000\ntS'<f4'\nI1000000000000\ntR.",
        "wide element": b"cnumpy\nndarray\n((I1\ntS'(1000000,1000000)f4'\nS''\ntR.",
        "attribute": b"cnumpy\nndarray\n)R}S'array'\ncos\nsystem\nsb.",
        "itself": b"}q\x00U\x01aq\x01h\x00s.",
        "deep": b"]" * 5000 + b"a" * 4999 + b".",
        "memo of a billion": b"]r\xff\xff\xff\x47.",
        "memo in text": b"]p1000000000\n.",
        "frame": b"\x80\x04\x95\xff\xff\xff\xff\x05\x00\x00\x00].",
        "code": b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\n(tR.",
    }
    for label, program in programs.items():
        path.write_bytes(program)
        with pytest.raises(ArtifactError) as caught:
            read_pickle(path)
        assert "\n" not in str(caught.value), label


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.booleans())
def test_damage_never_does_more_than_fail(tmp_path_factory, position, value, cut):
    data = bytearray(pickle.dumps({k: v for k, v in TREE.items() if k != "jax"}))
    data[position % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.pkl"
    path.write_bytes(data[: position % len(data)] if cut else data)
    try:
        read_pickle(path)
    except ArtifactError as error:
        assert str(path) in str(error)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_pickle(tmp_path / "absent.pkl")
