"""Gram matrices as linear operators: products computed block by block, the matrix itself never stored."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import LinearOperator

from fastntk.base import checks
from fastntk.base.arrays import host_array
from fastntk.compilation.launch import set_threads
from fastntk.compilation.process import threading_layer
from fastntk.compilation.threads import kernel_threads
from fastntk.device.arrays import on_host, on_one_gpu
from fastntk.device.masks import masks_on_host
from fastntk.matrices.finite import gram_source
from fastntk.matrices.limit import limit_source
from fastntk.matrices.tiled.source import GramSource
from fastntk.model.patterns import Masks, arrays_of

_EDGE = 1024  # of a block: 8 MB in float64, which a third-level cache keeps until it has been multiplied
_ROWS = 128  # of a block multiplied at a time: both products of a symmetric block read them from L2

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class GramOperator(LinearOperator):
    """A Gram matrix that is computed anew, block by block, in every product; see `gram_operator`.

    Attributes
    ----------
    shape : tuple of int
        (n, k); k = n without a second set of points.
    dtype : numpy.dtype
        float64, the precision of products (the entries may have been rounded to float32).
    symmetric : bool
        Whether rows and columns are the same points.
    source : fastntk.matrices.tiled.GramSource
        Computes any block of the matrix.
    """

    def __init__(self, source: GramSource) -> None:
        super().__init__(np.dtype(np.float64), source.shape)
        self.source = source
        self.symmetric = source.symmetric

    def diagonal(self) -> npt.NDArray[np.float64]:
        """The diagonal of a symmetric matrix, without its other entries."""
        if not self.symmetric:
            raise ValueError(
                "only an operator of one set of points has its diagonal at hand, this one has X and Z"
            )
        return self.source.diagonal().astype(np.float64)

    def _matmat(self, V: np.ndarray) -> np.ndarray:
        return self._product(_factor(V), transposed=False)

    def _rmatmat(self, V: np.ndarray) -> np.ndarray:
        return self._product(_factor(V), transposed=not self.symmetric)

    def _matvec(self, v: np.ndarray) -> np.ndarray:
        return self._matmat(v.reshape(-1, 1))

    def _rmatvec(self, v: np.ndarray) -> np.ndarray:
        return self._rmatmat(v.reshape(-1, 1))

    def _adjoint(self) -> LinearOperator:
        return self if self.symmetric else super()._adjoint()

    _transpose = _adjoint

    def _product(self, V: np.ndarray, transposed: bool) -> np.ndarray:
        """The matrix, or its transpose, times V (k, p): what the blocks give, added in a fixed order."""
        out = np.zeros((self.shape[1 if transposed else 0], V.shape[1]))

        def products(block: tuple[slice, slice]) -> tuple[np.ndarray | None, np.ndarray | None]:
            rows, columns = block
            both = self.symmetric and rows != columns
            right = None if transposed else V[columns]
            return self._block_products(block, right, V[rows] if transposed or both else None)

        blocks = _blocks(self.shape, self.symmetric)
        with kernel_threads() as threads:
            for (rows, columns), (down, across) in _in_order(products, blocks, threads):
                if down is not None:
                    out[rows] += down
                if across is not None:
                    out[columns] += across
        return out

    def _block_products(
        self, block: tuple[slice, slice], right: np.ndarray | None, left: np.ndarray | None
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """``B right`` and ``B^T left`` (where given) of one block B."""
        height, width = (side.stop - side.start for side in block)
        values = np.empty((height, width), self.source.dtype)
        self.source.fill(*block, values)
        down = None if right is None else np.empty((height, right.shape[1]))
        across = None if left is None else np.zeros((width, left.shape[1]))
        for first in range(0, height, _ROWS):
            part = slice(first, first + _ROWS)
            rows = values[part].astype(np.float64, copy=False)
            if right is not None and down is not None:
                np.matmul(rows, right, out=down[part])
            if left is not None and across is not None:
                across += rows.T @ left[part]
        return down, across


def gram_operator(
    X: npt.ArrayLike,
    Z: npt.ArrayLike | None = None,
    *,
    W: npt.ArrayLike | None = None,
    a: npt.ArrayLike | None = None,
    masks: Masks | tuple[Masks, Masks] | None = None,
    width: int | None = None,
    seed: int = 0,
    layers: str = "first",
    depth: int = 1,
    scale: float = 1.0,
    dtype: npt.DTypeLike = "float64",
) -> GramOperator:
    """The matrix of `limit_gram` or `gram` as a ``scipy.sparse.linalg.LinearOperator`` that never stores it.

    Without any of `W`, `masks` and `width` it is the limit at infinite width, ``limit_gram(X, Z, layers, depth,
    scale)``; with one of them the matrix of that network, ``gram(X, W, a, Z, ...)``.

    Parameters
    ----------
    X : array_like, shape (n, d)
    Z : array_like, shape (k, d), optional
        Second set of points; X itself by default, and then the operator is symmetric.
    W, a, masks, width, seed
        The network, as in `gram`.
    layers, depth, scale
        The kernel, as in `limit_gram`; `depth` and `scale` belong to the limit alone.
    dtype : {"float64", "float32"}
        Precision of the entries.  Products are in float64 either way, so the operator is linear to that precision.

    Returns
    -------
    GramOperator
        Of shape (n, k), with ``@``, ``matvec``, ``matmat``, their transposes, and ``diagonal()``.  Points on a GPU are
        copied to the host, where the products are computed.

    Raises
    ------
    ValueError, TypeError
        As `limit_gram` and `gram` do; if arguments of the limit and of a network are mixed.

    Warns
    -----
    SingularGramWarning
        As `limit_gram` does.

    Notes
    -----
    A product with p vectors costs one computation of all entries (one half of them if symmetric) and ``2 n k p``
    flops; so several vectors at once cost hardly more than one.  Memory: the points, the vectors, and for each
    thread a block of at most 1024 x 1024 entries.  Up to a few thousand points the stored matrix is the better
    choice: its products are ten times cheaper, or more.

    At finite width each block is a pass over the neurons, unless their patterns are given as `masks` or fit into
    256 MiB (n m < 10^9) and are kept: otherwise a product costs about ``n / 1024`` forward products of all points.

    Blocks are handed to threads, and what they give is added in a fixed order: results do not depend on the number
    of threads.  An operator may be used by several threads at once.

    Examples
    --------
    >>> import fastntk
    >>> H = fastntk.gram_operator([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    >>> H @ [1.0, 1.0, 2.0]
    array([ 2.75 ,  6.5  , 21.375])
    >>> H.diagonal()
    array([0.5, 2. , 9. ])
    """
    if on_one_gpu(X=X, Z=Z, W=W, a=a, **arrays_of(masks)):
        X, Z, W, a = map(on_host, (X, Z, W, a))
        masks = masks_on_host(masks)
    if W is None and masks is None and width is None:
        if a is not None:
            raise ValueError("a belongs to a network: give one of W, masks and width with it")
        source = limit_source(X, Z, layers, depth, scale, dtype)
        source.warn_if_singular()
        return GramOperator(source)
    if checks.integer(depth, "depth", 1) != 1 or scale != 1.0:
        raise ValueError(
            f"depth and scale belong to the limit: with W, masks or width they must be 1, got {depth} and {scale}"
        )
    return GramOperator(
        gram_source(X, W, a, Z, masks=masks, layers=layers, width=width, seed=seed, dtype=dtype)
    )


def _factor(V: Any) -> np.ndarray:
    """The right-hand side of a product, in float64."""
    V = host_array(V, "the factor", 2)
    if V.dtype.kind not in "biuf":
        raise TypeError(f"the operator multiplies real numbers, got dtype {V.dtype}")
    with np.errstate(over="ignore"):  # what is infinite spreads as in NumPy
        return np.ascontiguousarray(V, dtype=np.float64)


def _cuts(size: int) -> list[slice]:
    """``range(size)`` in equal parts no longer than an edge."""
    parts = -(-size // _EDGE)
    return [slice(size * part // parts, size * (part + 1) // parts) for part in range(parts)]


def _blocks(shape: tuple[int, int], symmetric: bool) -> list[tuple[slice, slice]]:
    """The blocks of the matrix; of a symmetric one those on and below the diagonal."""
    return [
        (rows, columns)
        for rows in _cuts(shape[0])
        for columns in _cuts(shape[1])
        if not symmetric or columns.start <= rows.start
    ]


def _in_order(
    function: Callable[[_Item], _Result], items: Sequence[_Item], threads: int
) -> Iterator[tuple[_Item, _Result]]:
    """Each item with its result, in order.

    Many items are computed one per thread, with kernels on one thread each: no item waits for the slowest part of
    another.  A few items are computed one after the other, by kernels on all threads; so are items on a threading
    layer that runs one kernel at a time, and in the first call, when the layer is not known yet.
    """
    if threads == 1 or len(items) < 4 * threads or threading_layer() not in ("tbb", "omp"):
        yield from ((item, function(item)) for item in items)
        return
    waiting: deque[tuple[_Item, Future[_Result]]] = deque()
    with ThreadPoolExecutor(threads, initializer=set_threads, initargs=(1,)) as pool:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > 2 * threads:  # bounds the results that wait, whatever the number of blocks
                first, result = waiting.popleft()
                yield first, result.result()
        for first, result in waiting:
            yield first, result.result()
