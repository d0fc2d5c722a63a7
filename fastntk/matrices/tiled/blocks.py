"""How a matrix that does not fit in memory is cut into blocks."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

UNIT = {4: 2560, 8: 1440}
"""Blocks start at multiples of it, by the size of an entry: kernels see the tiles that the whole matrix has."""

_BYTES = 5120**2 * 4  # of a block: enough to hide what starting it takes, little enough to hold a few


@dataclass(frozen=True)
class Blocks:
    """A grid of blocks; of a symmetric matrix those on and below the diagonal."""

    shape: tuple[int, int]
    symmetric: bool
    height: int
    width: int

    @property
    def rows(self) -> int:
        """Number of rows of blocks."""
        return -(-self.shape[0] // self.height)

    @property
    def columns(self) -> int:
        """Number of columns of blocks."""
        return -(-self.shape[1] // self.width)

    @property
    def largest(self) -> tuple[int, int]:
        """Shape of the largest block."""
        return min(self.height, self.shape[0]), min(self.width, self.shape[1])

    @property
    def computed(self) -> int:
        """Entries that are computed: those of `entries`, of all blocks."""
        n, k = self.shape
        return n * (n + 1) // 2 if self.symmetric else n * k

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Places (row of blocks, column of blocks) in the order in which they are computed."""
        for i in range(self.rows):
            for j in range(i + 1 if self.symmetric else self.columns):
                yield i, j

    def __len__(self) -> int:
        """Number of blocks to compute."""
        return self.rows * (self.rows + 1) // 2 if self.symmetric else self.rows * self.columns

    def slices(self, place: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of a block."""
        top, left = place[0] * self.height, place[1] * self.width
        return (
            slice(top, min(top + self.height, self.shape[0])),
            slice(left, min(left + self.width, self.shape[1])),
        )

    def entries(self, place: tuple[int, int]) -> int:
        """Entries that are computed for a block: its share of the work."""
        rows, columns = self.slices(place)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        return height * (height + 1) // 2 if self.symmetric and place[0] == place[1] else height * width


def cut(
    shape: tuple[int, int], symmetric: bool, itemsize: int, chunks: tuple[int, int], side: int | None = None
) -> Blocks:
    """Choose the blocks: about 100 MB each, aligned to the chunks in which the target stores its data."""
    largest = side or math.isqrt(_BYTES // itemsize)
    unit = 1 if side else UNIT[itemsize]
    if symmetric:
        common = math.lcm(*chunks)
        edge = _aligned(largest, common if common <= largest else max(chunks), unit)
        return Blocks(shape, True, edge, edge)
    width = _aligned(largest, chunks[1], unit)
    if side is None and shape[1] < width:  # a narrow matrix: fewer, longer blocks
        largest = _BYTES // itemsize // shape[1]
    return Blocks(shape, False, _aligned(largest, chunks[0], unit), width)


def _aligned(largest: int, chunk: int, unit: int) -> int:
    """The largest multiple of the unit, and if possible of the chunk, up to `largest`."""
    both = math.lcm(unit, chunk)
    step = next((step for step in (both, chunk, unit) if step <= largest), 1)
    return largest // step * step
