"""Rows on the device and shuffled window starts, block after block, epoch after epoch."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np

from rtc.training.objectives import DeviceRows
from rtc.training.windows import Dataset
from rtc.types import Array

# Blocks of a streamed file differ a little in size; padded ones share a compiled program.
ROW_STEP, MINIBATCH_STEP = 1 << 14, 16


class Minibatches(NamedTuple):
    """What one call trains on. number: of the block in the file. starts: [s, m, b] int32, a
    shuffle of the block's windows for each seed, of which the first `count` of m are real."""

    number: int
    rows: DeviceRows
    starts: Array
    count: int


class Feed:
    """Gives every epoch's minibatches; a data set that fits is moved to the device once."""

    def __init__(
        self, data: Dataset, batch_size: int, seeds: Sequence[int], entropy: Sequence[int]
    ):
        """seeds: of the policies trained side by side. entropy: what else their shuffles
        depend on."""
        self._data, self._batch_size = data, batch_size
        self._seeds, self._entropy = list(seeds), list(entropy)
        self._resident: tuple[DeviceRows, np.ndarray] | None = None
        self._resident = self._load(0) if len(data.plan) == 1 else None

    @property
    def minibatches(self) -> int:
        """Minibatches of an epoch; a little fewer where blocks do not divide."""
        return self._data.windows // self._batch_size

    def epoch(self, epoch: int) -> Iterator[Minibatches]:
        """The minibatches of one epoch, in blocks; the next block is read while one is in use."""
        order = np.random.default_rng([*self._entropy, epoch, 0]).permutation(len(self._data.plan))
        with ThreadPoolExecutor(max_workers=1) as reader:
            upcoming = reader.submit(self._load, int(order[0]))
            for place, number in enumerate(order):
                rows, starts = upcoming.result()
                if place + 1 < len(order):
                    upcoming = reader.submit(self._load, int(order[place + 1]))
                yield self._shuffled(int(number), rows, starts, epoch)

    def _load(self, number: int) -> tuple[DeviceRows, np.ndarray]:
        if self._resident is not None:
            return self._resident
        block = next(self._data.blocks([number]))
        rows = DeviceRows(block.obs, block.action, block.alive)
        if len(self._data.plan) > 1:
            rows = DeviceRows(*(_padded(array, ROW_STEP) for array in rows))
        return jax.device_put(rows), block.starts

    def _shuffled(
        self, number: int, rows: DeviceRows, starts: np.ndarray, epoch: int
    ) -> Minibatches:
        count = len(starts) // self._batch_size
        shuffles = []
        for seed in self._seeds:
            rng = np.random.default_rng([*self._entropy, epoch, 1 + number, seed])
            chosen = rng.permutation(starts)[: count * self._batch_size]
            shuffles.append(chosen.reshape(count, self._batch_size))
        if len(self._data.plan) > 1:
            shuffles = [_padded(shuffle, MINIBATCH_STEP) for shuffle in shuffles]
        return Minibatches(number, rows, jax.device_put(np.stack(shuffles)), count)


def resident_limit() -> int:
    """Bytes of rows to hold at once: half of a GPU's memory, on a CPU a quarter, 4 GiB at most."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] // 2
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(4 << 30, physical // 4)


def name_entropy(name: str) -> int:
    """32 bits that stand for a name in random seeds."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def _padded(array: np.ndarray, multiple: int) -> np.ndarray:
    """Zeros at the end, up to a multiple of `multiple` rows."""
    missing = -len(array) % multiple
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
