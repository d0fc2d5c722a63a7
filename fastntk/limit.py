"""Gram matrices of the tangent kernel at infinite width."""

import hashlib
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from fastntk import checks
from fastntk.backends import kernel_threads
from fastntk.kernels.cpu.limit import TILE, limit_cross, limit_symmetric
from fastntk.memory import aligned_zeros, require_memory
from fastntk.tiled.source import GramSource

_WEIGHTS = {
    "first": (0.0, 1.0),
    "second": (1.0, 1.0),
    "both": (1.0, 2.0),
}  # of |x||z| sin theta, x.z (pi - theta)


def limit_gram(
    X: npt.ArrayLike,
    Z: npt.ArrayLike | None = None,
    layers: str = "first",
    depth: int = 1,
    dtype: npt.DTypeLike = "float64",
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Limit of the Gram matrix at infinite width, ``E_w[x.z 1{w.x >= 0, w.z >= 0}] = x.z (pi - theta) / (2 pi)``.

    theta is the angle between x and z.  That is ``layers="first"`` (the matrix H_inf of Du et al.); "second" is
    ``E_w[relu(w.x) relu(w.z)] = |x||z| (sin theta + (pi - theta) cos theta) / (2 pi)``, the kernel of the network as
    a Gaussian process; "both", their sum, is the tangent kernel when both layers are trained.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Points, of any length.  float32 input is taken as exact and computed with in float64.
    Z : array_like, shape (k, d), optional
        Second set of points; X itself by default.
    layers : {"first", "second", "both"}
    depth : int
        Number of hidden layers; this version has depth 1 only.
    dtype : {"float64", "float32"}
        Precision of the result; the computation is in float64.
    out : ndarray of `dtype`, shape (n, k), C-contiguous, optional
        Where to put the result, for instance a memory-mapped file.

    Returns
    -------
    ndarray, shape (n, k)
        `out` if given.  Without Z exactly symmetric, with an exact diagonal: ``|x_i|^2 / 2`` for "first" and "second".

    Raises
    ------
    ValueError, TypeError
        If an argument is empty, not finite, or of the wrong shape or kind; if the square of a row's length overflows.
    MemoryLimitError
        If the result does not fit in memory.

    Notes
    -----
    Cost: ``2 n k d`` flops (half without Z) and about ten operations per pair, in tiles, so that nothing of size
    n x k is held but the result.  Zero rows give zeros.  Every entry is within about ``1e-14 |x||z|`` of the exact
    one; pairs within 0.8 degrees of parallel or antiparallel are computed from the difference of the unit vectors,
    which keeps the relative accuracy of ``|x|^2 - H_ij``-like differences: two unit points at distance 1e-4 have
    ``lambda_min = 1.59e-5``.

    Sources: Du et al. (arXiv 1810.02054), Definition 3.1; Cho and Saul, "Kernel methods for deep learning" (2009),
    eq. (6) for the second layer.

    Examples
    --------
    >>> import fastntk
    >>> fastntk.limit_gram([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])
    array([[0.5, 0. , 0. ],
           [0. , 2. , 0. ],
           [0. , 0. , 0.5]])
    >>> fastntk.limit_gram([[1.0, 0.0]], [[0.0, 1.0]], layers="second").round(6)
    array([[0.159155]])
    """
    source = limit_source(X, Z, layers, depth, 1.0, dtype)
    result = _result(source.shape, source.dtype, out)
    everything = slice(0, source.shape[0]), slice(0, source.shape[1])
    source.fill(*everything, result)
    return result if out is None else out


def limit_source(
    X: npt.ArrayLike,
    Z: npt.ArrayLike | None = None,
    layers: str = "first",
    depth: int = 1,
    scale: float = 1.0,
    dtype: npt.DTypeLike = "float64",
) -> "LimitGram":
    """The checked arguments of `limit_gram`, ready to compute any block."""
    weights = _WEIGHTS[checks.choice(layers, "layers", tuple(_WEIGHTS))]
    if checks.integer(depth, "depth", 1) != 1:
        raise ValueError(f"depth must be 1 (the only depth available in this version), got {depth}")
    points = checks.matrix(X, "X", dtype=np.float64)
    others = points if Z is None else checks.matrix(Z, "Z", dtype=np.float64)
    checks.same_columns(points, "X", others, "Z")
    return LimitGram(points, others, weights, checks.floating_dtype(dtype))


class LimitGram(GramSource):
    """Blocks of the limit."""

    def __init__(
        self, points: np.ndarray, others: np.ndarray, weights: tuple[float, float], dtype: np.dtype
    ) -> None:
        self.symmetric = others is points
        self.shape, self.dtype = (len(points), len(others)), dtype
        self._points, self._others, self._weights = points, others, weights
        self._lengths = _lengths(points, "X")
        self._other_lengths = self._lengths if self.symmetric else _lengths(others, "Z")

    def fill(self, rows: slice, columns: slice, out: np.ndarray) -> None:
        """Compute one block; equal ranges of a symmetric matrix by halves."""
        square, norm, inverse = (part[rows] for part in self._lengths)
        squares, norms, inverses = (part[columns] for part in self._other_lengths)
        points, others = self._points[rows], self._others[columns]
        with kernel_threads():
            threads = int(numba.config.NUMBA_NUM_THREADS)
            scratch, values = (
                aligned_zeros((threads, TILE * TILE), "f8"),
                aligned_zeros((threads, TILE), "f8"),
            )
            if self.symmetric and rows == columns:
                down, across = np.tril_indices(-(-len(points) // TILE))
                limit_symmetric(
                    points, square, norm, inverse, *self._weights, down, across, scratch, values, out
                )
            else:
                limit_cross(
                    points, others, square, squares, norm, norms, inverse, inverses, *self._weights, scratch, values, out
                )  # fmt: skip

    def diagonal(self) -> np.ndarray:
        """``|x|^2 / 2``, or twice that for both layers."""
        return (self._lengths[0] * (0.5 * self._weights[1])).astype(self.dtype)

    def fingerprint(self) -> str:
        """Digest of points, weights and precision."""
        digest = hashlib.sha256(repr((self.shape, self.dtype.str, self._weights)).encode())
        digest.update(self._points)
        digest.update(self._others)
        return digest.hexdigest()


def _result(shape: tuple[int, int], dtype: np.dtype, out: Any) -> np.ndarray:
    """A new array, or a plain view of `out` once it is known to fit."""
    if out is None:
        require_memory(shape[0] * shape[1] * dtype.itemsize, f"the {shape[0]} x {shape[1]} limit matrix")
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(
            f"out must have shape {shape} and dtype {dtype}, got shape {out.shape} and dtype {out.dtype}"
        )
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out must be C-contiguous and writeable")
    return out.view(np.ndarray)


def _lengths(points: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared lengths, lengths, and their inverses (0 for zero rows) of the rows."""
    with np.errstate(over="ignore", under="ignore"):
        squares = np.einsum("ij,ij->i", points, points)
    if not np.isfinite(squares).all():
        row = int(np.argmin(np.isfinite(squares)))
        raise ValueError(
            f"{name} must have rows whose squared length is finite in float64, got row {row} beyond that"
        )
    norms = np.sqrt(squares)
    return squares, norms, np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0.0)
