"""The memory of a device: allocations by address, in which loads and stores must be aligned and in bounds."""

import numpy as np


class Memory:
    """The allocations of a device, by address."""

    def __init__(self):
        self._blocks = {}

    def add(self, address, memory):
        """Bytes that begin at an address."""
        self._blocks[address] = memory

    def remove(self, address):
        """Bytes that are not there any more."""
        del self._blocks[address]

    def parts(self, addresses, dtype):
        """Which of the addresses lie in an allocation, that allocation as an array, and places in it."""
        starts = np.sort(np.array(list(self._blocks), dtype=np.uint64))
        found = starts[np.searchsorted(starts, addresses, side="right") - 1]
        for start in np.unique(found):
            which = np.flatnonzero(found == start)
            memory = self._blocks[int(start)]
            yield which, numbers(memory, dtype), indices(addresses[which] - start, memory.size, dtype)


def numbers(memory, dtype):
    return memory[: memory.size // dtype.itemsize * dtype.itemsize].view(dtype)


def indices(offsets, size, dtype):
    """Indices of numbers from offsets in bytes."""
    offsets = offsets.astype(np.int64)
    assert not (offsets % dtype.itemsize).any(), "misaligned"
    assert offsets.size == 0 or (offsets.min() >= 0 and offsets.max() + dtype.itemsize <= size), (
        "out of bounds"
    )
    return offsets // dtype.itemsize
