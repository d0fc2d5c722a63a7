"""Limits of Gram matrices of points on a GPU, as `fastntk.limit` says."""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

import fastntk.base.checks
from fastntk.base.progress import Progress
from fastntk.cuda import checks
from fastntk.cuda.matrices.neurons import add_rows
from fastntk.cuda.matrices.source import DeviceSource, compute_there
from fastntk.cuda.rows import RowsThere, in_precision, measure
from fastntk.device.arrays import empty, give_back, library_of, upload, view, zeros
from fastntk.kernels.cpu.limit import BOTH, NEAR, Points
from fastntk.kernels.cuda import limit
from fastntk.kernels.cuda.conversion import copy
from fastntk.kernels.cuda.plans import Products
from fastntk.matrices.limit import lengths_for, options_of
from fastntk.matrices.rows import Lengths, warn_parallel_rows


class LimitThere(DeviceSource):
    """Blocks of the limit."""

    def __init__(
        self,
        points: Points,
        others: Points,
        squares: np.ndarray,
        dtype: np.dtype,
        options: tuple[int, int, float],
        library: str,
    ) -> None:
        self.symmetric, self.library = others is points, library
        self.shape, self.dtype = (len(points.exact), len(others.exact)), dtype
        self._points, self._others, self._squares = points, others, squares
        self._layers, self._depth, self._factor = options

    def fill_there(self, rows: slice, columns: slice, out: Any) -> None:
        """Compute one block; equal ranges of a symmetric matrix by halves, but for the product."""
        symmetric = self.symmetric and rows == columns
        left = Points(*(part[rows] for part in self._points))
        right = left if symmetric else Points(*(part[columns] for part in self._others))
        Products().nt(left.rows, right.rows, out)
        near = self.dtype.type(NEAR[self.dtype.char])
        limit.limit_tiles(left, right, symmetric, self._layers, self._depth, near, out)

    def scratch_bytes(self, n: int, k: int) -> int:
        """Nothing: a block is computed in its place."""
        return 0

    def diagonal(self) -> np.ndarray:
        """``c^L |x|^2``, times L + 1 for both layers, on the host."""
        return self._squares * self.dtype.type(self._depth + 1 if self._layers == BOTH else 1)

    def fingerprint(self) -> str:
        """Digest of points, options and precision."""
        options = (self.shape, self.symmetric, self.dtype.str, self._layers, self._depth, self._factor)
        digest = hashlib.sha256(repr(("gpu", *options)).encode())
        for points in (self._points,) if self.symmetric else (self._points, self._others):
            digest.update(points.exact.dtype.str.encode())
            add_rows(points.exact, digest)
        return digest.hexdigest()


def limit_source(
    X: Any, Z: Any, layers: str, depth: int, scale: float, dtype: npt.DTypeLike, stacklevel: int
) -> LimitThere:
    """As `fastntk.matrices.limit.limit_source`; warns of rows of X that make lambda_min zero."""
    options, kind = options_of(layers, depth, scale), fastntk.base.checks.floating_dtype(dtype)
    samples = checks.matrix(X, "X")
    found = measure(samples, "X")
    points = others = _points(samples, found, "X", kind, options)
    if Z is None:
        warn_parallel_rows(RowsThere(samples), "X", found, opposite=options[1] == 1, stacklevel=stacklevel)
    else:
        second = checks.matrix(Z, "Z")
        fastntk.base.checks.same_columns(samples, "X", second, "Z")
        others = _points(second, measure(second, "Z"), "Z", kind, options)
    squares = (found.squares * options[2]).astype(kind)
    return LimitThere(points, others, squares, kind, options, library_of(X))


def limit_gram(
    X: Any, Z: Any, layers: str, depth: int, scale: float, dtype: npt.DTypeLike, out: Any, progress: Progress
) -> Any:
    """See `fastntk.limit_gram`."""
    return compute_there(limit_source(X, Z, layers, depth, scale, dtype, stacklevel=6), out, progress)


def limit_profile(rho: Any, layers: int, depth: int, factor: float) -> Any:
    """See `fastntk.limit_profile`, of checked options."""
    found = view(rho, "rho")
    if found.dtype.kind not in "biuf":
        raise TypeError(f"rho must be real numbers, got dtype {found.dtype}")
    if found.size == 0:
        raise ValueError(f"rho must not be empty, got shape {tuple(found.shape)}")
    shape = tuple(found.shape)
    cosines, profile, flags = empty(shape, np.float64), empty(shape, np.float64), zeros(1, np.int32)
    if found.is_c_contiguous():
        copy(found.reshape(found.size), cosines.reshape(found.size))
    else:  # the kernel knows two dimensions
        for where in np.ndindex(*shape[:-2]):
            copy(*((found[where], cosines[where]) if where else (found, cosines)))
    flat = profile.reshape(found.size)
    limit.limit_profile(cosines.reshape(found.size), layers, depth, factor, flat, flags)
    if flags.copy_to_host()[0]:
        raise ValueError("rho must be between -1 and 1, got an entry that is not")
    return give_back(profile, library_of(rho))


def _points(
    samples: Any, found: Lengths, name: str, kind: np.dtype, options: tuple[int, int, float]
) -> Points:
    """Points on the device; rows so long or short that they must be scaled are scaled on the host."""
    exponents, *vectors = lengths_for(found, name, kind, *options)
    if exponents is None:
        rows = in_precision(samples, kind)
    else:
        rows = upload(
            np.ldexp(samples.copy_to_host().astype(np.float64), -exponents[:, np.newaxis]).astype(kind)
        )
    return Points(rows, samples, *map(upload, vectors))
