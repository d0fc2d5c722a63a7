"""Gram matrices of the tangent kernel at infinite width."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.arrays import host_array
from fastntk.base.progress import Progress
from fastntk.device.arrays import give_back, gpu_of, library_of, on_host, on_one_gpu, view
from fastntk.device.dispatch import DeviceArray, backend
from fastntk.kernels.cpu.limit import through_layers
from fastntk.matrices import rows
from fastntk.matrices.limit_blocks import LimitGram
from fastntk.matrices.limit_points import Layers, checked, options_of
from fastntk.matrices.on_gpu import compute_on_gpu, is_host_target
from fastntk.matrices.tiled import compute


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
    on_gpu = on_one_gpu(X=X, Z=Z)
    if on_gpu:
        _require_word(layers)
    if on_gpu and (client is not None or is_host_target(out)):
        X, Z, on_gpu = on_host(X), on_host(Z), False
    points, others, found, kind, options = checked(X, Z, layers, depth, scale, dtype)
    if not on_gpu:
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
    """The profile of an array on a GPU; None if it has an entry that is not between -1 and 1."""
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
    return LimitGram(*checked(X, Z, layers, depth, scale, dtype, name))


def _require_word(layers: Layers) -> None:
    """ValueError for the number of a layer, which is not computed on a GPU."""
    if not isinstance(layers, str):
        raise ValueError(f"layers must be a word for arrays on a GPU, got {layers!r}: copy them to the host")
