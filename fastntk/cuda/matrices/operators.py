"""Gram operators of points on a GPU: blocks are computed and multiplied there, for vectors of the GPU and of the host.

Vectors are held transposed, a row each, so that a block B gives ``V B^T`` and, for its mirror image, ``V B``: both are
products that `fastntk.kernels.cuda.plans` has. Results are added in the order of the blocks.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.cuda.matrices.finite import gram_source
from fastntk.cuda.matrices.limit import limit_source
from fastntk.cuda.matrices.source import DeviceSource, Room
from fastntk.cuda.rows import in_precision
from fastntk.device.arrays import empty, give_back, gpu_of, guard, library_of, upload, view, zeros
from fastntk.kernels.cuda.conversion import copy
from fastntk.kernels.cuda.gram_sums import add_sums
from fastntk.kernels.cuda.plans import Products
from fastntk.kernels.cuda.transposed import scaled_transpose
from fastntk.kernels.cuda.views import columns as columns_of
from fastntk.matrices.operators import GramOperator

_FLOAT64 = np.dtype(np.float64)
_VECTOR, _MATRIX, _EITHER = "a vector", "a matrix", "a vector or a matrix"
_FITS: dict[str, Callable[[tuple[int, ...]], bool]] = {
    _VECTOR: lambda shape: shape[1:] in ((), (1,)),
    _MATRIX: lambda shape: len(shape) == 2,
    _EITHER: lambda shape: len(shape) <= 2,
}


class DeviceGramOperator(GramOperator):
    """As `GramOperator`, of points on a GPU; a product is where its vectors are, and `diagonal` is on the GPU."""

    source: DeviceSource

    def __init__(self, source: DeviceSource, transposed: bool = False) -> None:
        super().__init__(source)
        self._transposed = transposed
        if transposed:
            self.shape = source.shape[::-1]

    def diagonal(self) -> Any:
        """The diagonal of a symmetric matrix, on the GPU."""
        with guard():
            return give_back(upload(super().diagonal()), self.source.library)

    def matvec(self, x: Any) -> Any:
        return super().matvec(x) if gpu_of(x) is None else self._there(x, False, _VECTOR)

    def rmatvec(self, x: Any) -> Any:
        return super().rmatvec(x) if gpu_of(x) is None else self._there(x, True, _VECTOR)

    def matmat(self, X: Any) -> Any:
        return super().matmat(X) if gpu_of(X) is None else self._there(X, False, _MATRIX)

    def rmatmat(self, X: Any) -> Any:
        return super().rmatmat(X) if gpu_of(X) is None else self._there(X, True, _MATRIX)

    def dot(self, x: Any) -> Any:
        return super().dot(x) if gpu_of(x) is None else self._there(x, False, _EITHER)

    def _adjoint(self) -> "DeviceGramOperator":
        return self if self.symmetric else DeviceGramOperator(self.source, not self._transposed)

    _transpose = _adjoint

    def _there(self, x: Any, adjoint: bool, what: str) -> Any:
        """The product with a vector, or a matrix of them, on the GPU."""
        with guard():
            V, size = view(x, "x"), self.shape[0 if adjoint else 1]
            shape = tuple(V.shape)
            if V.dtype.kind not in "biuf":
                raise TypeError(f"the operator multiplies real numbers, got dtype {V.dtype}")
            if shape[:1] != (size,) or not _FITS[what](shape):
                raise ValueError(f"x must be {what} of {size} rows, got shape {shape}")
            held = empty(shape, np.float64)
            if V.size:
                copy(V, held)
            found = self._product_there(
                held.reshape(size, *(shape[1:] or (1,))), adjoint and not self.symmetric
            )
            return give_back(found.reshape(len(found), *shape[1:]), library_of(x))

    def _product(self, V: np.ndarray, transposed: bool) -> np.ndarray:
        with guard():
            return np.asarray(self._product_there(upload(V), transposed).copy_to_host())

    def _product_there(self, V: Any, transposed: bool) -> Any:
        """The matrix, or its transpose, times V (k, p) in float64."""
        transposed = transposed != self._transposed
        (k, p), source, products = V.shape, self.source, Products()
        n = source.shape[1 if transposed else 0]
        if p == 0:
            return empty((n, 0), np.float64)
        vectors, sums = empty((p, k), np.float64), zeros((p, n), np.float64)
        _transpose(V, vectors)
        parts = source.parts(slice(0, source.shape[0]), slice(0, source.shape[1]))
        shares = Room(p * min(parts.height, max(n, k)), _FLOAT64)

        def multiply(rows: slice, columns: slice, mirrored: bool, block: Any) -> None:
            B = in_precision(block, _FLOAT64)
            if not transposed:
                share = shares.matrix(p, rows.stop - rows.start)
                products.nt(columns_of(vectors, columns.start, columns.stop), B, share)
                add_sums(share, columns_of(sums, rows.start, rows.stop))
            if transposed or mirrored:
                share = shares.matrix(p, columns.stop - columns.start)
                products.nn(columns_of(vectors, rows.start, rows.stop), B, share)
                add_sums(share, columns_of(sums, columns.start, columns.stop))

        source.each_part(parts, multiply)
        out = empty((n, p), np.float64)
        _transpose(sums, out)
        return out


def _transpose(matrix: Any, out: Any) -> None:
    scaled_transpose(matrix, upload(np.ones(out.shape[0])), out)


def limit_operator(
    X: Any, Z: Any, layers: str, depth: int, scale: float, dtype: npt.DTypeLike
) -> DeviceGramOperator:
    """See `fastntk.gram_operator`, of the limit."""
    return DeviceGramOperator(limit_source(X, Z, layers, depth, scale, dtype, stacklevel=6))


def finite_operator(X: Any, *network: Any, **options: Any) -> DeviceGramOperator:
    """See `fastntk.gram_operator`, of a network."""
    return DeviceGramOperator(gram_source(X, *network, **options))
