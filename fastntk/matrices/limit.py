"""Gram matrices of the tangent kernel at infinite width."""

import hashlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.arrays import host_array
from fastntk.base.progress import Progress
from fastntk.compilation.threads import kernel_threads
from fastntk.device import checks as device_checks
from fastntk.device.arrays import (
    DeviceArray,
    give_back,
    gpu_of,
    in_precision,
    library_of,
    on_host,
    on_one_gpu,
    upload,
    view,
)
from fastntk.device.dispatch import backend
from fastntk.kernels.cpu.limit import (
    BOTH,
    EDGES,
    FIRST,
    NEAR,
    SECOND,
    SUMS,
    TERM,
    Points,
    limit_tiles,
    through_layers,
)
from fastntk.kernels.scratch import thread_slots
from fastntk.matrices import rows
from fastntk.matrices.on_gpu import compute_on_gpu, is_host_target
from fastntk.matrices.tiled import GramSource, compute

_LAYERS = {"first": FIRST, "second": SECOND, "both": BOTH}

Layers = str | int
_SAFE = {
    "f": 40,
    "d": 400,
}  # products of rows with lengths within 2^-s ... 2^s neither overflow nor lose digits


def limit_gram(
    X: npt.ArrayLike,
    Z: npt.ArrayLike | None = None,
    layers: Layers = "first",
    depth: int = 1,
    scale: float = 1.0,
    dtype: npt.DTypeLike = "float64",
    out: Any = None,
    progress: Progress = False,
    *,
    client: Any = None,
) -> Any:
    """Limit of the Gram matrix at infinite width, ``E_w[x.z 1{w.x >= 0, w.z >= 0}] = x.z (pi - theta) / (2 pi)``.

    theta is the angle between x and z.  That is ``layers="first"`` (the matrix H_inf of Du et al.); "second" is
    ``E_w[relu(w.x) relu(w.z)] = |x||z| (sin theta + (pi - theta) cos theta) / (2 pi)``, the kernel of the network as
    a Gaussian process (NNGP); "both", their sum, is the tangent kernel (NTK) when both layers are trained.

    With `depth` L hidden layers, ``kappa_0(r) = (pi - arccos r) / pi`` and ``kappa_1(r) = (sqrt(1 - r^2) + r pi
    kappa_0(r)) / pi``: from ``r_0 = t_0 = cos theta``, ``r_h = kappa_1(r_{h-1})`` and ``t_h = r_h + t_{h-1}
    kappa_0(r_{h-1})``; "second" is the NNGP ``|x||z| c^L r_L`` and "both" the NTK of all layers ``|x||z| c^L t_L``,
    where ``c = scale^2 / 2``.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Points, of any length.
    Z : array_like, shape (k, d), optional
        Second set of points; X itself by default.
    layers : {"first", "second", "both"} or int
        "first" exists at depth 1 only.  A number h from 1 to L is the part of "both" that comes from the gradient of
        hidden layer h, ``|x||z| c^L r_{h-1} kappa_0(r_{h-1}) ... kappa_0(r_{L-1})``; L + 1 is "second".
    depth : int
        Number of hidden layers.
    scale : float
        The activation is ``scale * relu``: 1 is the network of Du et al., where each hidden layer halves the diagonal;
        sqrt(2), He's initialisation, keeps it.
    dtype : {"float64", "float32"}
        Precision of the products and of the result; nearly parallel pairs are computed in float64 always.
    out : ndarray, numpy.memmap, h5py.Dataset, zarr.Array or file name, optional
        Where to put the result, of shape (n, k) and `dtype`; all but an ndarray are written block by block, in bounded
        memory, and go on where a killed call stopped: see `fastntk.matrices.tiled.compute`.
    progress : bool or callable
        True shows a bar while blocks are written.
    client : distributed.Client, optional
        Workers of a Dask cluster compute and write the blocks, to the same bits; `out` must be on storage that they
        share.

    Returns
    -------
    ndarray, shape (n, k)
        `out` if given (for a file name ending in .npy the file mapped for reading, for others the path); else on a GPU
        if the points are there, which also take an `out` there (of any other one the host does the work).  Without Z
        exactly symmetric, with an exact diagonal: ``c^L |x_i|^2`` for "first" and "second" (by default
        ``|x_i|^2 / 2``), ``(L + 1) c^L |x_i|^2`` for "both".

    Raises
    ------
    ValueError, TypeError
        If an argument is empty, not finite, or of the wrong shape or kind; if the square of a row's length overflows.
    MemoryLimitError
        If the result does not fit in memory and no `out` is given.

    Warns
    -----
    SingularGramWarning
        If rows of X are zero, positive multiples of each other, or opposite, and no Z is given.

    Notes
    -----
    Cost: ``2 n k d`` flops of BLAS (half without Z) and, for each pair and layer, one square root and 13 (float64: 35)
    multiply-adds, in tiles, so that nothing of size n x k is held but the result.  Zero rows give zeros.

    Entries are wrong by less than ``1e-14 L`` (float32: ``1e-6 L``) times ``sqrt(H(x, x) H(z, z))``, L the depth.  This
    is measured against extended precision, up to d = 400000, and not proven: the rounding of an inner product of d
    numbers may add up to ``d eps``.  Pairs nearly parallel or antiparallel (within 0.8 degrees, float32: 2.6) are
    computed from the difference of the unit vectors, which keeps the relative accuracy of differences like
    ``|x|^2 - H_ij``: two unit points at distance 1e-4 have ``lambda_min = 1.59e-5`` in either precision.  The result is
    positive semi-definite up to n times the error of an
    entry.

    Sources: Du et al. (arXiv 1810.02054), Definition 3.1; Cho and Saul, "Kernel methods for deep learning" (2009),
    eq. (6) for the second layer; Jacot et al. (arXiv 1806.07572), Theorem 1, for the recursion.

    Examples
    --------
    >>> import fastntk
    >>> fastntk.limit_gram([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    array([[0.5  , 0.   , 1.125],
           [0.   , 2.   , 2.25 ],
           [1.125, 2.25 , 9.   ]])
    >>> fastntk.limit_gram([[1.0, 0.0]], [[0.0, 1.0]], layers="second").round(6)
    array([[0.159155]])
    >>> fastntk.limit_gram([[1.0, 0.0]], layers="both", depth=3, scale=2**0.5).round(12)
    array([[4.]])
    >>> fastntk.limit_gram([[1.0, 0.0]], [[0.6, 0.8]], layers=2, depth=3, scale=2**0.5).round(6)
    array([[0.380526]])
    """
    there = on_one_gpu(X=X, Z=Z)
    if there:
        _require_word(layers)
    if there and (client is not None or is_host_target(out)):
        X, Z, there = on_host(X), on_host(Z), False
    points, others, found, kind, options = _checked(X, Z, layers, depth, scale, dtype)
    if not there:
        source = LimitGram(points, others, found, kind, options)
        if source.symmetric:
            rows.warn_parallel_rows(points.exact, "X", found, opposite=depth == 1)
        return compute(source, out, progress=progress, client=client)
    shape = len(points.rows), len(others.rows)
    with backend() as gpu:
        limit = compute_on_gpu(
            shape, kind, X, out, progress,
            lambda target: gpu.limit_gram(points, others, *options[:2], kind, target),
        )  # fmt: skip
        if others is points:  # found by a sort, while the GPU is at work
            rows.warn_parallel_rows(points.exact, "X", found, opposite=depth == 1)
        return limit


def limit_profile(rho: npt.ArrayLike, layers: Layers = "first", depth: int = 1, scale: float = 1.0) -> Any:
    """The limit kernel of unit vectors as a function of their cosine, ``rho (pi - arccos rho) / (2 pi)`` for "first".

    Parameters
    ----------
    rho : array_like
        Cosines of angles, between -1 and 1, of any shape.
    layers, depth, scale
        As for `limit_gram`.

    Returns
    -------
    ndarray of float64, of the shape of `rho`, or an array on its GPU

    Raises
    ------
    ValueError, TypeError
        If an entry is not a number between -1 and 1, or another argument is none of those known.

    Notes
    -----
    Cost: one square root and 35 multiply-adds an entry and layer, on one thread.  The argument is taken as exact; the
    relative error is a few units of rounding, also near -1 and 1, times the depth.

    Examples
    --------
    >>> import fastntk
    >>> fastntk.limit_profile([-1.0, 0.5, 1.0]).round(6)
    array([0.      , 0.166667, 0.5     ])
    """
    kind, depth, factor = options_of(layers, depth, scale)
    if gpu_of(rho) is not None:
        _require_word(layers)
        profile = _profile_on_gpu(rho, kind, depth, factor)
        if profile is not None:
            return give_back(profile, library_of(rho))
    found = host_array(on_host(rho), "rho", 1)
    cosines = checks.array(found.reshape(-1), "rho", 1, np.float64).copy()
    if np.abs(cosines).max() > 1.0:
        raise ValueError(f"rho must be between -1 and 1, got {cosines[np.argmax(np.abs(cosines))]}")
    through_layers(cosines, 1.0 - np.abs(cosines), kind, depth)
    return (factor * cosines + 0.0).reshape(found.shape)  # no negative zero


def _profile_on_gpu(rho: Any, layers: int, depth: int, factor: float) -> DeviceArray | None:
    """The profile of an array on a GPU; None if that is none of numbers between -1 and 1."""
    found = view(rho, "rho")
    if found.dtype.kind not in "biuf" or found.size == 0:
        return None
    with backend() as gpu:
        return gpu.limit_profile(found, layers, depth, factor)


def limit_source(
    X: npt.ArrayLike,
    Z: npt.ArrayLike | None = None,
    layers: Layers = "first",
    depth: int = 1,
    scale: float = 1.0,
    dtype: npt.DTypeLike = "float64",
    name: str = "Z",
) -> "LimitGram":
    """The checked arguments of `limit_gram`, of the host, ready to compute any block; `name` is that of Z in errors."""
    return LimitGram(*_checked(X, Z, layers, depth, scale, dtype, name))


def _checked(
    X: Any, Z: Any, layers: Layers, depth: int, scale: float, dtype: npt.DTypeLike, name: str = "Z"
) -> tuple[Points, Points, rows.Lengths, np.dtype, tuple[int, int, float]]:
    """Both sets of points, which are one without Z, the lengths of the first, precision and options."""
    options = options_of(layers, depth, scale)
    kind = checks.floating_dtype(dtype)
    samples = device_checks.matrix(X, "X")
    found = rows.measure(samples, "X")
    points = _points(samples, found, "X", kind, *options)
    if Z is None:
        return points, points, found, kind, options
    second = device_checks.matrix(Z, name)
    others = _points(second, rows.measure(second, name), name, kind, *options)
    checks.same_columns(samples, "X", second, name)
    return points, others, found, kind, options


def limit_bytes(shape: tuple[int, int], symmetric: bool, d: int, dtype: np.dtype) -> int:
    """Memory of a `LimitGram` while it fills blocks, beside float64 points and the result."""
    samples, edge = shape[0] + (0 if symmetric else shape[1]), _edge(shape, EDGES[dtype.char])
    copy = 0 if dtype == np.float64 else samples * d * dtype.itemsize
    return copy + 5 * 8 * samples + thread_slots() * (edge * edge + edge) * dtype.itemsize


class LimitGram(GramSource):
    """Blocks of the limit."""

    def __init__(
        self,
        points: Points,
        others: Points,
        found: rows.Lengths,
        dtype: np.dtype,
        options: tuple[int, int, float],
    ) -> None:
        self.symmetric = others is points
        self.shape, self.dtype = (len(points.rows), len(others.rows)), dtype
        self._points, self._others, self._found = points, others, found
        self._layers, self._depth, self._factor = options

    def fill(self, rows: slice, columns: slice, out: np.ndarray) -> None:
        """Compute one block; equal ranges of a symmetric matrix by halves."""
        down, across = range(self.shape[0])[rows], range(self.shape[1])[columns]
        if not (down and across):
            return
        symmetric = self.symmetric and down == across
        left = Points(*(part[rows] for part in self._points))
        right = left if symmetric else Points(*(part[columns] for part in self._others))
        edge = _edge(self.shape, EDGES[self.dtype.char])
        tasks = _tasks(len(down), len(across), symmetric, edge)
        near = self.dtype.type(NEAR[self.dtype.char])
        with kernel_threads():
            slots = thread_slots()
            scratch, t = np.empty((slots, edge * edge), self.dtype), np.empty((slots, edge), self.dtype)
            sums = np.empty((slots, SUMS))
            limit_tiles(left, right, symmetric, self._layers, self._depth, near, tasks, scratch, t, sums, out)

    def diagonal(self) -> np.ndarray:
        """``c^L |x|^2``, times L + 1 for both layers."""
        return self._points.square * self.dtype.type(self._depth + 1 if self._layers == BOTH else 1)

    def fingerprint(self) -> str:
        """Digest of points, options and precision."""
        digest = hashlib.sha256(
            repr(
                (self.shape, self.symmetric, self.dtype.str, self._layers, self._depth, self._factor)
            ).encode()
        )
        for points in (self._points,) if self.symmetric else (self._points, self._others):
            digest.update(points.exact.dtype.str.encode())
            digest.update(points.exact)
        return digest.hexdigest()

    def warn_if_singular(self) -> None:
        """Warn, on behalf of the caller's caller, of rows that make lambda_min zero."""
        if self.symmetric:
            rows.warn_parallel_rows(
                self._points.exact, "X", self._found, opposite=self._depth == 1, stacklevel=4
            )


def _require_word(layers: Layers) -> None:
    """ValueError for the number of a layer, which is not computed on a GPU."""
    if not isinstance(layers, str):
        raise ValueError(f"layers must be a word for arrays on a GPU, got {layers!r}: copy them to the host")


def options_of(layers: Layers, depth: int, scale: float) -> tuple[int, int, float]:
    """The checked options: which layers, how many, and the factor ``(scale^2 / 2)^depth``."""
    depth = checks.integer(depth, "depth", 1)
    if isinstance(layers, str):
        kind = _LAYERS[checks.choice(layers, "layers", tuple(_LAYERS))]
    else:
        number = checks.integer(layers, "layers", 1)
        if number > depth + 1:
            raise ValueError(f"layers must be at most {depth + 1} for depth {depth}, got {number}")
        ends = {depth + 1: SECOND, depth: FIRST if depth == 1 else TERM + depth}
        kind = ends.get(number, TERM + number)
    if kind == FIRST and depth > 1:
        raise ValueError(f"depth must be 1 for layers='first' (deeper: 'second' or 'both'), got {depth}")
    try:
        factor = (checks.positive(scale, "scale") ** 2 / 2) ** depth
    except OverflowError:
        factor = math.inf
    if not 0.0 < factor < math.inf:
        raise ValueError(
            f"scale must keep (scale^2 / 2)^depth within float64, got scale={scale!r} at depth {depth}: {factor}"
        )
    return kind, depth, factor


def _points(
    exact: Any, found: rows.Lengths, name: str, kind: np.dtype, layers: int, depth: int, factor: float
) -> Points:
    """Points in the precision of the result, where they are; what is known of their lengths is the host's."""
    exponents, *vectors = lengths_for(found, name, kind, layers, depth, factor)
    unit = exact
    if exponents is not None:
        unit = np.ldexp(on_host(exact).astype(np.float64), -exponents[:, np.newaxis])
        unit = unit if isinstance(exact, np.ndarray) else upload(unit)
    return Points(in_precision(unit, kind), exact, *vectors)


def lengths_for(
    found: rows.Lengths, name: str, kind: np.dtype, layers: int, depth: int, factor: float
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What the kernel wants to know of the lengths of rows: the last four parts of `Points`.

    Before them the powers of two by which the rows must be divided for the product, if they must.
    """
    squares, lengths = found.squares * factor, found.lengths
    checks.representable(
        squares * (depth + 1 if layers == BOTH else 1), f"the diagonal, from the rows of {name},", kind
    )
    used, exponents = lengths, None
    present = lengths[lengths > 0.0]
    if present.size and present.min() < np.finfo(np.float64).tiny:  # its inverse would be infinite
        raise ValueError(
            f"{name} must have rows that are zero or longer than 2.3e-308, got one of {present.min():.3g}"
        )
    if present.size and not (
        2.0 ** -_SAFE[kind.char] < present.min() and present.max() < 2.0 ** _SAFE[kind.char]
    ):
        exponents = np.frexp(lengths)[1]  # powers of two change no digit
        used = np.ldexp(lengths, -exponents)
    inverse = np.divide(1.0, used, out=np.zeros_like(used), where=used > 0.0)
    size = lengths * math.sqrt(factor)
    return exponents, inverse.astype(kind), lengths, size.astype(kind), squares.astype(kind)


def _edge(shape: tuple[int, int], edges: tuple[int, ...]) -> int:
    """The smallest edge that leaves at most 64 tiles: it follows from the whole matrix, not from blocks or threads."""
    return next((edge for edge in edges if shape[0] * shape[1] <= 64 * edge * edge), edges[-1])


def _tasks(n: int, k: int, symmetric: bool, edge: int) -> np.ndarray:
    """Tiles as rows of top, left, height, width."""
    small = -(-edge // max(1, edge // 128))  # on the diagonal half of a tile is wasted: take smaller ones
    tasks = []
    for top in range(0, n, edge):
        height = min(edge, n - top)
        for left in range(0, top if symmetric else k, edge):
            tasks.append((top, left, height, min(edge, k - left)))
        for a in range(top, top + height, small) if symmetric else ():
            for b in range(top, a + 1, small):
                tasks.append((a, b, min(small, top + height - a), min(small, top + height - b)))
    return np.array(tasks)
