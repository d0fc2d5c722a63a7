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
from fastntk.matrices import deep
from fastntk.matrices.blocks import FiniteGram
from fastntk.matrices.calibration import Matrix, deep_rate, fill_rates, write_rate
from fastntk.matrices.limit_blocks import LimitGram
from fastntk.matrices.passes import terms_of
from fastntk.matrices.plan_table import Plan
from fastntk.matrices.tiled.blocks import Blocks
from fastntk.matrices.tiled.files import checked_path, partial_path
from fastntk.matrices.tiled.source import Estimate
from fastntk.matrices.tiled.targets import allocated
from fastntk.matrices.tiled.whole import blocks_of, held_bytes, is_blockwise
from fastntk.model.deep import weights_bytes
from fastntk.model.layers import descent_bytes
from fastntk.model.words import checked_widths, layer_numbers

DEEP = np.dtype(np.float32)  # precision of deep networks that are planned

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
    depth, kind = checks.integer(depth, "depth", 1), checks.floating_dtype(dtype)
    if width is not None and depth > 1:
        given = {"Z and out": (Z, out), "workers": (workers,)}
        for names, values in given.items():
            if any(value is not None for value in values):
                raise ValueError(f"{names} must not be given with a width at a depth above 1")
        return _deep_plan(n, d, checked_widths(width, depth), layers, kind)
    k = n if Z is None else _other_size(Z, d)
    checks.choice(layers, "layers", ("first", "second", "both"))
    if width is not None:
        width = checks.integer(width, "width", 1)
    if layers == "first" and depth != 1:
        raise ValueError(f"depth must be 1 for layers='first', got {depth}")
    place, taken = _disk(out)
    if workers is not None and place is None:
        raise ValueError("workers write to out=, a file name or a Zarr array in a folder, got none")
    blocks = blocks_of(out, (n, k), Z is None, kind)
    if width is None:
        work = LimitGram.estimate(blocks, d, depth, kind)
    else:
        work = FiniteGram.estimate(blocks, d, width, terms_of(layers, np.ones(1)))
    seconds = fill_rates(Matrix(d, width, layers, depth, kind.name), Z is None).seconds(
        work.passes, blocks.computed, work.points, width or 0
    )
    size = n * k * kind.itemsize
    if place is not None:  # a block is computed while the one before it is written
        seconds = max(seconds, size / write_rate(place)) + seconds / len(blocks)
    stored = size if place is None else 0
    if is_blockwise(out):  # the memory of blocks is used again
        held = stored + held_bytes(blocks, kind) + work.filling_bytes
    else:  # a new array takes no memory before it is written to
        held = max(work.filling_bytes, stored + work.lasting_bytes)
    found = _plan(
        work, blocks, d, width, layers, depth, kind,
        resident_bytes=held + 8 * d * (n if Z is None else n + k), seconds=seconds,
    )  # fmt: skip
    if out is not None:
        found = replace(found, out=str(out) if isinstance(out, (str, os.PathLike)) else type(out).__name__)
    if place is not None:
        free = shutil.disk_usage(place).free + taken
        found = replace(found, disk_bytes=size, disk_available=free)
    if workers is None:
        return found
    number, each = checks.integer(workers, "workers", 1), checks.integer(cores, "cores", 1)
    return found.spread(number, each, current_threads())


def _deep_plan(n: int, d: int, widths: tuple[int, ...], layers: Any, dtype: np.dtype) -> Plan:
    """The plan of `deep_gram`, whose products are all but a small part of its work."""
    numbers = layer_numbers("hidden" if layers == "first" else layers, len(widths))
    work = deep.estimate(n, d, widths, numbers, DEEP, dtype)
    weights = weights_bytes(d, widths, DEEP)
    return _plan(
        work, Blocks((n, n), True, n, n), d, widths, layers, len(widths), dtype,
        resident_bytes=n * n * dtype.itemsize + work.filling_bytes + weights + 8 * d * n,
        seconds=work.multiply_adds / deep_rate(),
        training_bytes=weights + descent_bytes(n, d, widths, DEEP),
    )  # fmt: skip


def _plan(
    work: Estimate, blocks: Blocks, d: int, width: Any, layers: Any, depth: int, dtype: np.dtype, **rest: Any
) -> Plan:
    """The plan of that work, with all that needs no more than its sizes."""
    n, k = blocks.shape
    return Plan(
        shape=(n, k), d=d, width=width, layers=layers, depth=depth, dtype=dtype.name,
        result_bytes=n * k * dtype.itemsize, multiply_adds=work.multiply_adds, bit_products=work.bit_products,
        kernel_values=work.kernel_values, blocks=len(blocks), block=blocks.largest,
        memory_available=available_bytes(), **rest,
    )  # fmt: skip


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
        partial = partial_path(path)
        return existing, allocated(partial) if partial.is_file() else 0
    opened = getattr(getattr(out, "file", out), "filename", None) or getattr(
        getattr(out, "store", None), "root", None
    )
    if opened is None or not Path(opened).exists():
        return None, 0
    return Path(opened).absolute().parent, allocated(opened)
