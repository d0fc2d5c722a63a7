"""The whole of a Gram matrix: into memory at once, or block by block onto a disk."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from fastntk.base.errors import MemoryLimitError
from fastntk.base.memory import require_memory
from fastntk.base.progress import Progress, reporter
from fastntk.base.version import number_series, package_version
from fastntk.distributed import Task, Workers
from fastntk.matrices.tiled.blocks import Blocks, cut
from fastntk.matrices.tiled.datasets import HDF5Dataset, ZarrTarget
from fastntk.matrices.tiled.files import file_chunks, file_target
from fastntk.matrices.tiled.journal import Journal
from fastntk.matrices.tiled.pieces import block_on_worker, check_stored, place_block, require_own_chunks
from fastntk.matrices.tiled.source import GramSource
from fastntk.matrices.tiled.targets import MappedTarget, Target, array_chunks, check_array


def compute(source: GramSource, out: Any = None, *, progress: Progress = False, client: Any = None) -> Any:
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
    client : distributed.Client, optional
        The workers of this cluster compute the blocks and write each its own part of `out`, which then is a file name,
        a memory map of a file, or a Zarr array in a folder, on storage that all of them share.

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
    ClusterError
        If the cluster is gone or loses worker after worker.
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
    if client is not None:
        if out is None or (isinstance(out, np.ndarray) and not isinstance(out, np.memmap)):
            raise ValueError(
                "client needs out=, a file name, a memory map of a file or a Zarr array that the workers write to, got "
                + ("none" if out is None else "an array in memory")
            )
        return fill_target(source, target_of(out, source), progress, workers=Workers.of(client))
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


def fill_target(
    source: GramSource,
    target: Target,
    progress: Progress,
    side: int | None = None,
    workers: Workers | None = None,
) -> Any:
    """Write all blocks that are not there yet; `side` forces the edge of the blocks."""
    blocks = cut(source.shape, source.symmetric, source.dtype.itemsize, target.chunks, side)
    if workers is None:
        require_memory(held_bytes(blocks, source.dtype), "blocks of the matrix")
    else:
        require_own_chunks(blocks, target.chunks)
    with contextlib.ExitStack() as stack:
        journal = Journal(target.journal, target.name, target.partial)
        stack.callback(journal.close)
        stack.callback(target.close)
        done = _begin(source, blocks, target, journal)
        weights = {place: blocks.entries(place) for place in blocks}
        share = sum(weights[place] for place in done)
        with reporter(progress, sum(weights.values()), "Gram matrix", done=share, unit="entries") as report:
            missing = source, blocks, target, journal, done
            stored = _stored(*missing) if workers is None else _stored_by(workers, *missing)
            for place in stack.enter_context(contextlib.closing(stored)):
                share += weights[place]
                report(share)
        result = target.finish()
        journal.remove()
    return result


def is_blockwise(out: Any) -> bool:
    """Whether blocks are written to `out` one by one; else it is filled at once."""
    return isinstance(out, (str, os.PathLike, np.memmap)) or hasattr(out, "chunks")


def blocks_of(out: Any, shape: tuple[int, int], symmetric: bool, dtype: np.dtype) -> Blocks:
    """The blocks in which `compute` does a matrix."""
    if not is_blockwise(out):
        return Blocks(shape, symmetric, *shape)
    named = isinstance(out, (str, os.PathLike))
    chunks = file_chunks(out, shape, dtype) if named else array_chunks(out)
    return cut(shape, symmetric, dtype.itemsize, chunks)


def held_bytes(blocks: Blocks, dtype: np.dtype) -> int:
    """Memory of the blocks that are computed and written."""
    return 2 * math.prod(blocks.largest) * dtype.itemsize


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
    return {place for place, check in noted.items() if check_stored(blocks, place, target) == check}


def _stored(
    source: GramSource, blocks: Blocks, target: Target, journal: Journal, done: set[tuple[int, int]]
) -> Generator[tuple[int, int], None, None]:
    """Compute the blocks that are missing, each while the one before it is written; yields what is on the disk."""
    buffers = [np.empty(math.prod(blocks.largest), source.dtype) for _ in range(2)]
    kept = len(done)

    def store(place: tuple[int, int], block: np.ndarray) -> tuple[int, int]:
        nonlocal kept
        with _unwritten(blocks, target, journal, kept):
            journal.add(place, place_block(target, blocks, place, block))
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


@contextlib.contextmanager
def _unwritten(blocks: Blocks, target: Target, journal: Journal, kept: int) -> Iterator[None]:
    """Say what is kept when a block cannot be written."""
    try:
        yield
    except OSError as error:
        why = f"out: {target.name!r} cannot be written ({error.strerror or error})"
        rest = f"; {kept} of {len(blocks)} blocks are kept, the same call goes on from there"
        raise OSError(error.errno, why + (rest if journal.path else "")) from error


def _stored_by(
    workers: Workers,
    source: GramSource,
    blocks: Blocks,
    target: Target,
    journal: Journal,
    done: set[tuple[int, int]],
) -> Generator[tuple[int, int], None, None]:
    """Have the blocks that are missing computed and written by workers; yields what is on the disk."""
    given, place_of, kept = workers.shared(source), target.shared(), len(done)
    tasks = (
        Task(place, block_on_worker, (given, place_of, blocks, place))
        for place in blocks
        if place not in done
    )
    with contextlib.closing(workers.each(tasks)) as finished:
        while True:
            with _unwritten(blocks, target, journal, kept):
                block = next(finished, None)
            if block is None:
                return
            journal.add(block.key, block.result)
            kept += 1
            yield block.key


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
