"""One block of a matrix: computed, written to its one or two places, and known again by some of its rows."""

from __future__ import annotations

import errno
import zlib

import numpy as np

from fastntk.matrices.tiled.blocks import Blocks
from fastntk.matrices.tiled.shared import SharedTarget
from fastntk.matrices.tiled.source import GramSource
from fastntk.matrices.tiled.targets import Target

_PROBES = 4  # rows of a block that are read back before a finished block is believed


def place_block(
    target: Target | SharedTarget, blocks: Blocks, place: tuple[int, int], block: np.ndarray
) -> int:
    """Write a block, and its mirror image, to the disk; returns its check sum."""
    rows, columns = blocks.slices(place)
    target.write(rows, columns, block)
    if blocks.symmetric and rows != columns:
        target.write(columns, rows, block.T)
    target.flush()
    return _check(blocks, place, block)


def block_on_worker(source: GramSource, target: SharedTarget, blocks: Blocks, place: tuple[int, int]) -> int:
    """Compute and write a block in a process that shares the storage; returns its check sum."""
    try:
        target.open()
    except FileNotFoundError as error:
        text = f"out must be on storage that all workers share, but on a worker {error.strerror or error}"
        raise FileNotFoundError(errno.ENOENT, text, error.filename) from None
    try:
        rows, columns = blocks.slices(place)
        block = np.empty((rows.stop - rows.start, columns.stop - columns.start), source.dtype)
        source.fill(rows, columns, block)
        return place_block(target, blocks, place, block)
    finally:
        target.close()


def require_own_chunks(blocks: Blocks, chunks: tuple[int, int]) -> None:
    """ValueError if two blocks share a chunk, which two workers would overwrite for each other."""
    down, across = (blocks.height % chunks[0], blocks.width % chunks[1])
    if blocks.symmetric:
        down, across = blocks.height % chunks[0], blocks.height % chunks[1]
    alone = len(blocks) == 1
    if (down or across) and not alone:
        raise ValueError(
            f"out: with client its chunks must divide the blocks of {blocks.height} x {blocks.width}, got {chunks}"
        )


def _probes(size: int) -> list[int]:
    """Rows of a block to look at, its first and last among them."""
    return sorted({i * (size - 1) // (_PROBES - 1) for i in range(_PROBES)})


def _check(blocks: Blocks, place: tuple[int, int], block: np.ndarray) -> int:
    """Check sum of some rows of a block, and of its mirror image."""
    check = 0
    sides = [block, block.T] if blocks.symmetric and place[0] != place[1] else [block]
    for side in sides:
        for i in _probes(len(side)):
            check = zlib.crc32(side[i].tobytes(), check)
    return check


def check_stored(blocks: Blocks, place: tuple[int, int], target: Target) -> int:
    """The same from what the target holds."""
    check = 0
    rows, columns = blocks.slices(place)
    sides = (
        [(rows, columns), (columns, rows)] if blocks.symmetric and place[0] != place[1] else [(rows, columns)]
    )
    for down, across in sides:
        for i in _probes(down.stop - down.start):
            check = zlib.crc32(target.read(down.start + i, across).tobytes(), check)
    return check
