"""Gram matrix of the gradients with respect to the first layer at finite width."""

import numpy as np
import numpy.typing as npt

from fastntk import checks
from fastntk.backends import kernel_threads
from fastntk.kernels.cpu.coactivation import gram_from_panels
from fastntk.kernels.cpu.products import products as _products
from fastntk.layout import thread_slots
from fastntk.masks import activation_masks, block_pairs, packed, panels
from fastntk.memory import require_memory
from fastntk.packing import PackedMasks

_ROWS = 128  # of a block of products: a few dozen tasks at n = 1000
_WEIGHTED_BLOCK = 4096  # neurons expanded to dense columns at a time


def gram(
    X: npt.ArrayLike,
    W: npt.ArrayLike | None = None,
    *,
    masks: PackedMasks | None = None,
    a: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Gram matrix ``H_ij = (1/m) x_i . x_j sum_r a_r^2 1{w_r . x_i >= 0, w_r . x_j >= 0}``.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Samples.
    W : array_like, shape (m, d), optional
        Weights of the first layer.  Exactly one of ``W`` and ``masks`` is given.
    masks : PackedMasks or boolean ndarray, shape (n, m), optional
        Activation pattern, if it is known already.
    a : array_like, shape (m,), optional
        Weights of the second layer; by default (and for signs) ``a_r^2 = 1``.

    Returns
    -------
    ndarray of float64, shape (n, n)
        Exactly symmetric and, up to rounding, positive semi-definite.

    Raises
    ------
    ValueError, TypeError
        If neither or both of ``W`` and ``masks`` are given, shapes disagree, or an entry is not finite.
    MemoryLimitError
        If the result does not fit in memory.

    Notes
    -----
    Cost: ``2 n d m`` flops for the pattern (none with ``masks``), ``n^2 m / 2`` bit products, ``n^2 d`` flops for
    ``X X^T`` in float64.  The counts are exact integers, so entries have the rounding of ``x_i . x_j`` and
    one product and one division more.  Weights ``a`` whose squares differ need ``2 n^2 m`` flops of BLAS in float64.
    Source: Du et al. (arXiv 1810.02054), Section 3, the matrix H(t).

    Examples
    --------
    >>> import fastntk
    >>> fastntk.gram([[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [-1.0, 2.0]])
    array([[0.5, 0.3],
           [0.3, 1. ]])
    """
    samples = checks.matrix(X, "X")
    n = len(samples)
    if (W is None) == (masks is None):
        raise ValueError(
            "exactly one of W and masks must be given, got " + ("neither" if W is None else "both")
        )
    pattern = activation_masks(samples, W) if W is not None else packed(masks, "masks")  # type: ignore[arg-type]
    if pattern.shape[0] != n:
        raise ValueError(f"masks must have one row for each row of X ({n}), got {pattern.shape[0]}")
    require_memory(3 * 8 * n * n, f"the Gram matrix of n={n} samples")
    weights = np.ones(1) if a is None else checks.vector(a, "a", pattern.shape[1], "W", np.float64)
    return GramOfPatterns(samples, weights)(pattern)


class GramOfPatterns:
    """``masks -> H`` for fixed samples and second layer: what need not be computed again for each pattern."""

    def __init__(self, X: np.ndarray, a: np.ndarray) -> None:
        squares = np.square(a, dtype=np.float64)
        self._uniform = bool((squares == squares[0]).all())
        self._squares = squares
        self._products = products(X)
        if self._uniform:
            self._products *= squares[0]

    def __call__(self, masks: PackedMasks, out: np.ndarray | None = None) -> npt.NDArray[np.float64]:
        """The Gram matrix of a pattern with the samples' n rows, in ``out`` if given."""
        H = np.empty_like(self._products) if out is None else out
        if self._uniform:
            P, pairs, scratch = panels(masks)
            blocks = np.empty(scratch.shape)
            words = blocks.view(np.uint64), H.view(np.uint64)
            gram_from_panels(P, self._products, float(masks.shape[1]), pairs, scratch, blocks, *words)
        else:
            np.multiply(self._products, _weighted_counts(masks, self._squares), out=H)
            H /= masks.shape[1]
        return H


def products(X: np.ndarray) -> npt.NDArray[np.float64]:
    """``X X^T`` in float64, exactly symmetric."""
    rows = np.ascontiguousarray(X, dtype=np.float64)
    n = len(rows)
    K = np.empty((n, n))
    with kernel_threads():
        _products(rows, block_pairs(-(-n // _ROWS)), np.empty((thread_slots(), _ROWS, _ROWS)), K)
    return K


def _weighted_counts(masks: PackedMasks, squares: np.ndarray) -> np.ndarray:
    n, m = masks.shape
    sums = np.zeros((n, n))
    for first in range(0, m, _WEIGHTED_BLOCK):
        last = min(first + _WEIGHTED_BLOCK, m)
        bits = masks.bits[:, np.newaxis, first:last]
        dense = np.unpackbits(bits, axis=1, bitorder="little").reshape(-1, last - first)[:n]
        scaled = dense * np.sqrt(squares[first:last])
        sums += scaled @ scaled.T
    return sums
