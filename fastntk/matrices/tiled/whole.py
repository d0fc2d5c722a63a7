"""The whole of a Gram matrix: into memory at once, or block by block onto a disk."""

from __future__ import annotations

import contextlib
import os
import sys
import zlib
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from fastntk.base.errors import MemoryLimitError
from fastntk.base.memory import require_memory
from fastntk.base.progress import Progress, reporter
from fastntk.base.version import number_series, package_version
from fastntk.matrices.tiled.blocks import Blocks, cut
from fastntk.matrices.tiled.datasets import HDF5Dataset, ZarrTarget
from fastntk.matrices.tiled.files import file_target
from fastntk.matrices.tiled.journal import Journal
from fastntk.matrices.tiled.source import GramSource
from fastntk.matrices.tiled.targets import MappedTarget, Target, check_array

_PROBES = 4  # rows of a block that are read back before a finished block is believed


def compute(source: GramSource, out: Any = None, *, progress: Progress = False) -> Any:
    """Compute all entries of a Gram matrix, ``out[i, j] = source(i, j)``.

    Parameters
    ----------
    source : GramSource
        What to compute: n x k entries of float32 or float64.
    out : optional
        Where to put them.  None: a new array.  An ndarray of the source's shape and dtype, C-contiguous: filled.
        A `numpy.memmap`, an `h5py.Dataset` or a `zarr.Array` of that shape and dtype, or a file name ending in .npy,
        .h5, .hdf5 (dataset "gram") or .zarr: written block by block.
    progress : bool or callable
        True shows a bar on stderr if that is a terminal; a callable gets (entries done, entries in all), where the
        entries are those that are computed: about half of a symmetric matrix.

    Returns
    -------
    ndarray, numpy.memmap, h5py.Dataset, zarr.Array or pathlib.Path
        The new array, or `out`; for a .npy file name the file mapped for reading, for other file names the path.
        Exactly symmetric if the source is.

    Raises
    ------
    ValueError, TypeError
        If `out` has another shape or dtype, cannot be written, or holds the beginning of another matrix, or of this one
        by another minor version of fastntk (0.1 and 0.2), whose numbers may differ.
    MemoryLimitError
        If the result (or two blocks of it) does not fit in memory.
    FileExistsError
        If a .h5 or .zarr of that name exists: it may hold more than a matrix.  A .npy file is replaced.
    BlockingIOError
        If another process is writing the same target.
    OSError
        If the disk has no room, which is found out before the work wherever space can be reserved, or fails.

    Notes
    -----
    Blocks of about 100 MB; one is computed while the one before it is written, so about 300 MB are held whatever the
    size.  Of a symmetric matrix the blocks on and below the diagonal are computed, each is written twice.

    A block is noted in a journal beside the target (``<name>.journal``, deleted at the end) once its data are on the
    disk.  After a kill, Ctrl-C, a full disk or a power cut the same call goes on from there; a few rows of every noted
    block are compared with the file first, so a target that was emptied since is computed anew.  A file that is given
    by its name is built as ``<name>.partial``: under its own name it is whole.  Arrays in memory, also those of HDF5
    and Zarr, have no journal.  On Windows nothing keeps two processes from writing one target.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fastntk.matrices.limit import limit_source
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "H.npy"
    >>> compute(limit_source([[1.0, 0.0], [0.0, 2.0]]), file)
    memmap([[0.5, 0. ],
            [0. , 2. ]])
    """
    if isinstance(out, np.ndarray) and not isinstance(out, np.memmap):
        check_array(out, source.shape, source.dtype)
        return _filled(source, out, progress)
    if out is None:
        _require(source.shape[0] * source.shape[1] * source.dtype.itemsize, source)
        return _filled(source, np.empty(source.shape, source.dtype), progress)
    return fill_target(source, target_of(out, source), progress)


def target_of(out: Any, source: GramSource) -> Target:
    """How to write to `out`."""
    if isinstance(out, np.memmap):
        check_array(out, source.shape, source.dtype)
        return MappedTarget(out)
    if isinstance(out, (str, os.PathLike)):
        return file_target(out, source.shape, source.dtype)
    for module, name, kind in (("h5py", "Dataset", HDF5Dataset), ("zarr", "Array", ZarrTarget)):
        # An array of a library that was never imported cannot exist.
        if module in sys.modules and isinstance(out, getattr(sys.modules[module], name)):
            return kind(out, source.shape, source.dtype)
    raise TypeError(
        "out must be a NumPy array or memory map, an HDF5 or Zarr array, or a file name ending in .npy, .h5, .hdf5 "
        f"or .zarr, got {type(out).__name__}"
    )


def fill_target(source: GramSource, target: Target, progress: Progress, side: int | None = None) -> Any:
    """Write all blocks that are not there yet; `side` forces the edge of the blocks."""
    blocks = cut(source.shape, source.symmetric, source.dtype.itemsize, target.chunks, side)
    require_memory(held_bytes(blocks, source.dtype), "blocks of the matrix")
    with contextlib.ExitStack() as stack:
        journal = Journal(target.journal, target.name, target.partial)
        stack.callback(journal.close)
        stack.callback(target.close)
        done = _begin(source, blocks, target, journal)
        weights = {place: blocks.entries(place) for place in blocks}
        share = sum(weights[place] for place in done)
        with reporter(progress, sum(weights.values()), "Gram matrix", done=share, unit="entries") as report:
            stored = stack.enter_context(contextlib.closing(_stored(source, blocks, target, journal, done)))
            for place in stored:
                share += weights[place]
                report(share)
        result = target.finish()
        journal.remove()
    return result


def held_bytes(blocks: Blocks, dtype: np.dtype) -> int:
    """Memory of the blocks that are computed and written."""
    largest = min(blocks.height, blocks.shape[0]) * min(blocks.width, blocks.shape[1])
    return 2 * largest * dtype.itemsize


def _begin(source: GramSource, blocks: Blocks, target: Target, journal: Journal) -> set[tuple[int, int]]:
    """Open the target; returns the blocks that it holds already."""
    header = {
        "fastntk": number_series(package_version()),
        "shape": list(source.shape),
        "dtype": source.dtype.str,
        "source": source.fingerprint(),
        "block": [blocks.height, blocks.width],
        **target.identity,
    }
    noted = journal.finished(header) if target.begun() else None
    if noted is not None and not target.fits():
        noted = None
    try:
        target.open(resume=noted is not None)
        if noted is None:
            journal.begin(header)
            return set()
    except BaseException:
        if noted is None:
            target.discard()
            journal.remove()
        raise
    return {place for place, check in noted.items() if _check_stored(blocks, place, target) == check}


def _stored(
    source: GramSource, blocks: Blocks, target: Target, journal: Journal, done: set[tuple[int, int]]
) -> Generator[tuple[int, int], None, None]:
    """Compute the blocks that are missing, each while the one before it is written; yields what is on the disk."""
    largest = min(blocks.height, source.shape[0]) * min(blocks.width, source.shape[1])
    buffers = [np.empty(largest, source.dtype) for _ in range(2)]
    kept = len(done)

    def store(place: tuple[int, int], block: np.ndarray) -> tuple[int, int]:
        nonlocal kept
        rows, columns = blocks.slices(place)
        try:
            target.write(rows, columns, block)
            if blocks.symmetric and rows != columns:
                target.write(columns, rows, block.T)
            target.flush()
            journal.add(place, _check(blocks, place, block))
        except OSError as error:
            why = f"out: {target.name!r} cannot be written ({error.strerror or error})"
            rest = f"; {kept} of {len(blocks)} blocks are kept, the same call goes on from there"
            raise OSError(error.errno, why + (rest if journal.path else "")) from error
        kept += 1
        return place

    pending: Future[tuple[int, int]] | None = None
    with ThreadPoolExecutor(1, "fastntk-writer") as writer:
        for number, place in enumerate(place for place in blocks if place not in done):
            rows, columns = blocks.slices(place)
            height, width = rows.stop - rows.start, columns.stop - columns.start
            block = buffers[number % 2][: height * width].reshape(height, width)
            source.fill(rows, columns, block)
            if pending is not None:
                yield pending.result()
            pending = writer.submit(store, place, block)
        if pending is not None:
            yield pending.result()


def _filled(source: GramSource, out: np.ndarray, progress: Progress) -> np.ndarray:
    """Fill an array in memory."""
    with reporter(progress, out.size, "Gram matrix", unit="entries") as report:
        source.fill(slice(0, source.shape[0]), slice(0, source.shape[1]), out.view(np.ndarray))
        report(out.size)
    return out


def _require(needed: int, source: GramSource) -> None:
    try:
        require_memory(needed, f"the {source.shape[0]} x {source.shape[1]} Gram matrix")
    except MemoryLimitError as error:
        raise MemoryLimitError(f"{error}; out= a file name (.npy, .h5, .zarr) puts it on the disk") from None


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


def _check_stored(blocks: Blocks, place: tuple[int, int], target: Target) -> int:
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
