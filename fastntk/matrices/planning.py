"""What a Gram matrix will take before it is computed: bytes, operations, time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.memory import available_bytes
from fastntk.compilation.launch import current_threads
from fastntk.matrices.blocks import drawn_bytes, keeps_patterns
from fastntk.matrices.calibration import Matrix, fill_rates, write_rate
from fastntk.matrices.deep_planning import deep_plan
from fastntk.matrices.limit_blocks import limit_bytes
from fastntk.matrices.passes import Terms
from fastntk.matrices.plan_table import Plan
from fastntk.matrices.tiled.blocks import Blocks, cut
from fastntk.matrices.tiled.files import checked_path
from fastntk.matrices.tiled.targets import allocated
from fastntk.matrices.tiled.whole import held_bytes
from fastntk.model.words import checked_widths

__all__ = ["plan"]


def plan(
    X: npt.ArrayLike | tuple[int, int],
    Z: npt.ArrayLike | tuple[int, int] | int | None = None,
    *,
    width: int | Iterable[int] | None = None,
    layers: Any = "first",
    depth: int = 1,
    dtype: npt.DTypeLike = "float64",
    out: Any = None,
    workers: int | None = None,
    cores: int = 1,
) -> Plan:
    """Bytes, operations and time of a Gram matrix, ``n k`` entries, before it is computed.

    Parameters
    ----------
    X : array_like, shape (n, d), or pair (n, d) of ints
        Points, or how many of which dimension.  Of points on a GPU too only the shape counts: the plan is for computing
        on the host.
    Z : array_like, shape (k, d), pair (k, d) of ints, or int k, optional
        Second set of points.
    width : int or several, optional
        Neurons of the network, drawn while they are needed as in ``gram(X, width=width)``; by default the limit.  At a
        depth above 1 those of each hidden layer of a `DeepReLU` in float32, for ``gram(X, net=net)``.
    layers, depth, dtype
        As in `limit_gram` and `gram`.
    out : optional
        Where the matrix will go, as in `limit_gram`: a file of that name need not exist.
    workers, cores : int, optional
        The workers that ``client=`` will have, and the cores of each, which are taken to be like those here; `out` must
        be given.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range.

    Notes
    -----
    The time is extrapolated from small blocks of the real computation and, with a disk, from writing 64 MB to its
    folder: about a second, once per process and kind of matrix, after compilation.  Computing and writing overlap, so
    the slower of the two counts.  A disk that slows down after its first gigabytes takes longer than that.

    Examples
    --------
    >>> import fastntk
    >>> p = fastntk.plan((2000, 10), dtype="float32")
    >>> p.result_bytes, p.multiply_adds, p.bit_products, p.fits
    (16000000, 20010000, 0, True)
    >>> fastntk.plan((1000, 1000), width=4096, depth=3).training_bytes  # of descent on that network
    223226112
    """
    n, d = _size(X, "X")
    if width is not None and checks.integer(depth, "depth", 1) > 1:
        if Z is not None or out is not None:
            raise ValueError("Z and out must not be given with a width at a depth above 1")
        if workers is not None:
            raise ValueError("workers must not be given with a width at a depth above 1")
        return deep_plan(n, d, checked_widths(width, depth), layers, checks.floating_dtype(dtype))
    k = n if Z is None else _other_size(Z, d)
    kind = checks.floating_dtype(dtype)
    checks.choice(layers, "layers", ("first", "second", "both"))
    depth = checks.integer(depth, "depth", 1)
    if width is not None:
        width = checks.integer(width, "width", 1)
    if layers == "first" and depth != 1:
        raise ValueError(f"depth must be 1 for layers='first', got {depth}")
    place, taken = _disk(out)
    if workers is not None and place is None:
        raise ValueError("workers write to out=, a file name or a Zarr array in a folder, got none")
    size = n * k * kind.itemsize
    blocks = Blocks((n, k), Z is None, n, k) if place is None else _cut((n, k), Z is None, kind, out)
    matrix = Matrix(d, width, layers, depth, kind.name)
    samples = n if Z is None else n + k
    terms = Terms(layers != "second", layers != "first")
    # The pattern of all points is kept if it is small; if not, every block applies all neurons to its points.
    kept = width is not None and keeps_patterns(samples, width, terms)
    pairs = n * (n + 1) // 2 if Z is None else n * k
    points = samples if kept else n * blocks.rows if Z is None else n * blocks.columns + k * blocks.rows
    rates = fill_rates(matrix, Z is None)
    seconds = rates.seconds(1 if kept else len(blocks), pairs, points, width or 0)
    if place is not None:  # a block is computed while the one before it is written
        seconds = max(seconds, size / write_rate(place)) + seconds / len(blocks)
    products = width if width is not None and layers != "first" else 0
    held = size if place is None else held_bytes(blocks, kind)
    if width is None:
        during = after = limit_bytes((n, k), Z is None, d, kind)
    else:
        during, after = drawn_bytes((n, k), (blocks.height, blocks.width), Z is None, d, width, terms)
    # A new array takes no memory before it is written to; the blocks of a file are used again.
    most = max(during, held + after) if place is None else held + max(during, after)
    found = Plan(
        shape=(n, k),
        d=d,
        width=width,
        layers=layers,
        depth=depth,
        dtype=kind.name,
        result_bytes=size,
        resident_bytes=most + 8 * d * samples,
        multiply_adds=pairs * (d + products) + points * d * (width or 0),
        bit_products=pairs * (width or 0) if layers != "second" else 0,
        kernel_values=pairs * depth if width is None else 0,
        blocks=len(blocks),
        block=(blocks.height, blocks.width),
        seconds=seconds,
        memory_available=available_bytes(),
    )
    if out is not None:
        found = replace(found, out=str(out) if isinstance(out, (str, os.PathLike)) else type(out).__name__)
    if place is not None:
        free = shutil.disk_usage(place).free + taken
        found = replace(found, disk_bytes=size, disk_available=free)
    if workers is None:
        return found
    number, each = checks.integer(workers, "workers", 1), checks.integer(cores, "cores", 1)
    return found.spread(number, each, current_threads())


def _size(value: Any, name: str) -> tuple[int, int]:
    """(rows, columns) of points, or the pair itself."""
    shape = (
        value if isinstance(value, tuple) and all(np.ndim(part) == 0 for part in value) else np.shape(value)
    )
    if len(shape) != 2:
        raise ValueError(f"{name} must be a matrix of points or a pair (n, d), got {len(shape)} dimension(s)")
    return checks.integer(shape[0], f"rows of {name}", 1), checks.integer(shape[1], f"columns of {name}", 1)


def _other_size(Z: Any, d: int) -> int:
    """Number of points in Z."""
    if np.ndim(Z) == 0:
        return checks.integer(Z, "Z", 1)
    k, columns = _size(Z, "Z")
    if columns != d:
        raise ValueError(f"X and Z must have the same number of columns, got {d} and {columns}")
    return k


def _disk(out: Any) -> tuple[Path | None, int]:
    """Folder of the disk that `out` is on, and the bytes that it takes there already; None for memory."""
    if isinstance(out, (str, os.PathLike)):
        path = checked_path(out)
        existing = next(parent for parent in path.absolute().parents if parent.is_dir())
        partial = path.with_name(f"{path.name}.partial")
        return existing, allocated(partial) if partial.is_file() else 0
    opened = getattr(getattr(out, "file", out), "filename", None) or getattr(
        getattr(out, "store", None), "root", None
    )
    if opened is None or not Path(opened).exists():
        return None, 0
    return Path(opened).absolute().parent, allocated(opened)


def _cut(shape: tuple[int, int], symmetric: bool, dtype: np.dtype, out: Any) -> Blocks:
    """The blocks of `fastntk.matrices.tiled.compute`, clipped to the matrix."""
    chunks = getattr(out, "shards", None) or getattr(out, "chunks", None) or (1, 1)
    blocks = cut(shape, symmetric, dtype.itemsize, chunks)
    return Blocks(shape, symmetric, min(blocks.height, shape[0]), min(blocks.width, shape[1]))
