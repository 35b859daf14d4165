"""Pickles of the reference code: a guarded reader, and a writer of the same form.

A pickle is a program. This reader hands it nothing but its own stand-ins for the few names that
pickled arrays need, so the worst a hostile file can do is to be refused. What comes back is
checked once more: nested dicts, lists and tuples of arrays and plain values.
"""

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rtc.errors import ArtifactError
from rtc.storage.io import atomic_path

PLAIN = (bool, int, float, str, type(None))
# Booleans, integers and floating-point numbers; no objects, texts or records.
KINDS = "biuf"
COUNTS = ("PUT", "BINPUT", "LONG_BINPUT", "FRAME")
_BROKEN = (
    *(pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError),
    *(AttributeError, OverflowError, MemoryError, RecursionError),
)


def read_pickle(path: str | Path) -> Any:
    """The tree of arrays in a pickle; arrays of numpy or jax become numpy arrays.

    Raises ArtifactError if the file asks for anything but arrays and plain containers (with the
    name it asked for), or is missing or damaged.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        _check_counts(data)
        return _plain(_Reader(io.BytesIO(data)).load())
    except _Refused as error:
        raise ArtifactError(
            f"{path}: refused: the pickle asks for {error}; "
            f"only arrays and plain containers are read"
        ) from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from error
    except _BROKEN as error:
        raise ArtifactError(
            f"{path}: the pickle is damaged ({type(error).__name__}); fetch or make it again"
        ) from error


def write_pickle(path: str | Path, tree: Any) -> None:
    """Writes nested dicts of arrays as a pickle that plain `pickle.load` turns into numpy arrays.

    It names nothing but `numpy.ndarray`, so it opens under numpy 1 and 2 alike.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        _Writer(handle, protocol=4).dump(tree)


def _check_counts(data: bytes) -> None:
    """Raises ValueError if the program counts beyond its own length: for a memo of a billion
    entries, which one damaged byte can ask for, pickle makes room before it looks any further."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in COUNTS and argument > len(data):
            raise ValueError(f"{opcode.name} of {argument} in {len(data)} bytes")


class _Refused(Exception):
    """A name that no array needs."""


class _Dtype:
    """Stands for numpy.dtype: a kind, a size, a byte order."""

    def __init__(self, name: str, *_: Any):
        self.dtype = np.dtype(str(name))
        if self.dtype.kind not in KINDS:
            raise _Refused(f"an array of {self.dtype}")

    def __setstate__(self, state: tuple) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands for numpy.ndarray, both as pickled by numpy and as `write_pickle` does."""

    def __init__(self, shape: Any = (), dtype: Any = None, data: Any = None):
        if dtype is not None:
            self._fill(tuple(shape), dtype, data, "C")

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, is_fortran, data = state
        self._fill(shape, dtype, data, "F" if is_fortran else "C")

    def _fill(self, shape: tuple, dtype: Any, data: Any, order: str) -> None:
        dtype = dtype if isinstance(dtype, _Dtype) else _Dtype(dtype)
        data = data.encode("latin1") if isinstance(data, str) else data
        if not isinstance(data, bytes | bytearray):
            raise _Refused(f"an array made of {type(data).__name__}")
        flat = np.frombuffer(data, dtype.dtype)
        self.array = flat.reshape(shape, order=order).astype(dtype.dtype.newbyteorder("="))


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(data: Any, dtype: Any, shape: tuple, order: str) -> _Array:
    made = _Array()
    made._fill(shape, dtype, data, order)
    return made


def _scalar(dtype: _Dtype, data: Any) -> _Array:
    return _from_buffer(data, dtype, (), "C")


def _jax_array(make: Callable[..., Any], arguments: tuple, state: Any, *_: Any) -> _Array:
    made = make(*arguments)
    if state is not None:
        made.__setstate__(state)
    return made


def _encode(text: str, codec: str = "latin1") -> bytes:
    if codec not in ("latin1", "latin-1"):
        raise _Refused(f"_codecs.encode with {codec}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


_STAND_INS: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    # How protocols 0 to 2 write no bytes at all.
    ("__builtin__", "bytes"): _no_bytes,
    ("jax._src.array", "_reconstruct_array"): _jax_array,
} | {
    (f"numpy.{core}.{module}", name): stand_in
    for core in ("core", "_core")
    for module, name, stand_in in (
        ("multiarray", "_reconstruct", _reconstruct),
        ("multiarray", "scalar", _scalar),
        ("numeric", "_frombuffer", _from_buffer),
    )
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("an object stored elsewhere")


class _Writer(pickle.Pickler):
    def __init__(self, handle: BinaryIO, protocol: int):
        super().__init__(handle, protocol=protocol)

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            data = np.ascontiguousarray(value).tobytes()
            return np.ndarray, (value.shape, value.dtype.str, data)
        if isinstance(value, PLAIN) or value is np.ndarray:
            return NotImplemented
        raise TypeError(f"only dicts of arrays are exported, got {type(value).__name__}")


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, dict):
        if not all(isinstance(key, str | int) for key in value):
            raise _Refused("a dict with keys that are no names")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, PLAIN):
        return value
    raise _Refused(f"a bare {type(value).__name__}")
