"""Gram matrices on a GPU: a block at a time into device or host memory, a file, or a product."""

import abc
from collections.abc import Callable
from typing import Any

import numpy as np

from fastntk.base.errors import MemoryLimitError
from fastntk.base.progress import Progress, reporter
from fastntk.cuda import checks
from fastntk.device import arrays as device_arrays
from fastntk.device.arrays import empty, give_back, gpu_of, guard, require_memory
from fastntk.kernels.cuda.placement import place
from fastntk.matrices.tiled import GramSource, compute
from fastntk.matrices.tiled.blocks import Blocks

EDGE = 4096  # of a block: work enough for a device, and scratch of at most 50 bytes an entry
SHARE = 0.5  # of the free memory, for a block that is a pass over all neurons: the larger, the fewer passes


class DeviceSource(GramSource):
    """A Gram matrix of points on a GPU.

    Attributes
    ----------
    library : str
        Library of the points, whose arrays the results are.
    passes : bool
        Whether every block is a pass over all neurons.
    """

    library: str
    passes: bool = False

    @abc.abstractmethod
    def fill_there(self, rows: slice, columns: slice, out: Any) -> None:
        """As `fill`, into a C-contiguous array on the GPU."""

    @abc.abstractmethod
    def scratch_bytes(self, n: int, k: int) -> int:
        """Device memory that a block of n x k entries takes beside itself."""

    def fill(self, rows: slice, columns: slice, out: np.ndarray) -> None:
        """Compute a block, of any size, by parts that are copied to the host."""

        def keep(down: slice, across: slice, mirrored: bool, part: Any) -> None:
            here = part.copy_to_host()
            out[down, across] = here
            if mirrored:
                out[across, down] = here.T

        with guard():
            self.each_part(self.parts(rows, columns), keep, corner=(rows.start, columns.start))

    def each_part(
        self,
        parts: Blocks,
        use: Callable[[slice, slice, bool, Any], object],
        report: Callable[[int], object] = lambda reached: None,
        corner: tuple[int, int] = (0, 0),
    ) -> None:
        """Compute the parts of a block: each is used with its place in the block, and whether that has a mirror."""
        room = Room(min(parts.height, parts.shape[0]) * min(parts.width, parts.shape[1]), self.dtype)
        done = 0
        for where in parts:
            down, across = parts.slices(where)
            part = room.matrix(down.stop - down.start, across.stop - across.start)
            self.fill_there(_moved(down, corner[0]), _moved(across, corner[1]), part)
            use(down, across, parts.symmetric and down != across, part)
            done += parts.entries(where)
            report(done)

    def parts(self, rows: slice, columns: slice) -> Blocks:
        """How a block is cut; of equal ranges of a symmetric matrix the lower parts are computed."""
        n, k = rows.stop - rows.start, columns.stop - columns.start
        edge = max(n, k) if self.passes else EDGE
        while (
            edge > EDGE and self._bytes(min(n, edge), min(k, edge)) > SHARE * device_arrays.available_bytes()
        ):
            edge = -(-edge // 2)
        return Blocks((n, k), self.symmetric and rows == columns, edge, edge)

    def _bytes(self, n: int, k: int) -> int:
        """Device memory of a block and of what it takes."""
        return self.scratch_bytes(n, k) + n * k * self.dtype.itemsize


class Room:
    """Memory on the GPU for matrices of different shapes, one at a time."""

    def __init__(self, size: int, dtype: np.dtype) -> None:
        self._flat = empty(size, dtype)

    def matrix(self, n: int, k: int) -> Any:
        """An n x k matrix at its start."""
        return self._flat[: n * k].reshape(n, k)


def compute_there(source: DeviceSource, out: Any = None, progress: Progress = False) -> Any:
    """As `fastntk.matrices.tiled.compute`; the result is on the GPU without `out` or in an `out` that lives there."""
    if out is not None and gpu_of(out) is None:
        return compute(source, out, progress=progress)
    (n, k), dtype = source.shape, source.dtype
    H = None if out is None else checks.target(out, "out", source.shape, dtype)
    parts = source.parts(slice(0, n), slice(0, k))
    several = len(parts) > 1
    height, width = min(n, parts.height), min(k, parts.width)
    needed = source.scratch_bytes(height, width) + several * height * width * dtype.itemsize
    try:
        require_memory(needed + (H is None) * n * k * dtype.itemsize, f"the {n} x {k} Gram matrix")
    except MemoryLimitError as error:
        if H is not None:
            raise
        raise MemoryLimitError(
            f"{error}; out= an array in host memory or a file name (.npy, .h5, .zarr) takes it block by block"
        ) from None
    H = empty((n, k), dtype) if H is None else H
    with reporter(progress, sum(map(parts.entries, parts)), "Gram matrix", unit="entries") as report:
        if several:
            source.each_part(
                parts, lambda down, across, mirrored, part: place(part, down.start, across.start, mirrored, H), report,
            )  # fmt: skip
        else:
            source.fill_there(slice(0, n), slice(0, k), H)
            report(parts.entries((0, 0)))
    return give_back(H, source.library) if out is None else out


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)
