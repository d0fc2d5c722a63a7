"""Gram matrix of the gradients at finite width, of the first layer, the second or both."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.packing import PackedMasks
from fastntk.base.progress import Progress
from fastntk.device.arrays import on_host, on_one_gpu
from fastntk.device.dispatch import backend
from fastntk.device.masks import masks_on_host
from fastntk.kernels.cpu.coactivation import gram_from_panels
from fastntk.matrices.blocks import FiniteGram
from fastntk.matrices.deep import deep_gram
from fastntk.matrices.finite_arguments import checked
from fastntk.matrices.inner_products import products
from fastntk.matrices.neurons import StreamedNeurons
from fastntk.matrices.on_gpu import compute_on_gpu, is_host_target
from fastntk.matrices.passes import Terms, terms_of
from fastntk.matrices.rows import warn_parallel_rows
from fastntk.matrices.tiled import compute
from fastntk.model.deep import DeepReLU
from fastntk.model.network import TwoLayerReLU
from fastntk.model.patterns import Masks, arrays_of, panels
from fastntk.model.streamed import StreamedNetwork


def gram(
    X: npt.ArrayLike,
    W: npt.ArrayLike | None = None,
    a: npt.ArrayLike | None = None,
    Z: npt.ArrayLike | None = None,
    *,
    masks: Masks | tuple[Masks, Masks] | None = None,
    net: Any = None,
    layers: Any = "first",
    width: int | None = None,
    seed: int = 0,
    dtype: npt.DTypeLike = "float64",
    out: Any = None,
    progress: Progress = False,
    client: Any = None,
) -> Any:
    """Gram matrix ``H_ij = (1/m) x_i . x_j sum_r a_r^2 1{w_r . x_i >= 0, w_r . x_j >= 0}`` of the first layer.

    That is ``layers="first"``; "second" is ``(1/m) sum_r relu(w_r . x_i) relu(w_r . x_j)``; "both" is their sum, the
    tangent kernel of a network whose layers are both trained.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Samples.
    W : array_like, shape (m, d), optional
        Weights of the first layer; exactly one of ``W``, ``masks`` and ``width`` is given.  float32 or float64
        decides the precision of ``w_r . x_i``.  A `numpy.memmap` is read a piece at a time and may be larger than
        memory.
    a : array_like, shape (m,), optional
        Weights of the second layer; by default (and for signs) ``a_r^2 = 1``.
    Z : array_like, shape (k, d), optional
        Second set of samples, for the columns of the matrix; X itself by default.
    masks : PackedMasks or boolean ndarray, shape (n, m), optional
        Activation pattern, if it is known already; with ``Z`` a pair, those of X and of Z.  For "first" only.
    net : TwoLayerReLU or DeepReLU, optional
        Network, in place of ``W`` and ``a``.
    layers : {"first", "second", "both"}, or of a DeepReLU {"hidden", "output", "all"} or numbers of layers
        Of a `DeepReLU` the matrix is the sum over these layers of ``(x_i^(h-1) . x_j^(h-1)) (delta_i^(h) .
        delta_j^(h))``, with ``x_i^(H) . x_j^(H)`` for the output, number H + 1; by default that of the hidden layers.
    width, seed : int, optional
        Use the neurons of ``TwoLayerReLU.init(d, width, seed)``, drawn when they are needed and never stored.
    dtype : {"float64", "float32"}
        Precision of the result; its sums are those of float64.
    out : ndarray, memmap, HDF5 or Zarr array, or file name, optional
        Where to put the result, see `fastntk.matrices.tiled.compute`.
    progress : bool or callable
        Show a bar, or call with (entries done, entries in all).
    client : distributed.Client, optional
        Workers of a Dask cluster compute and write the blocks, to the same bits; `out` must be on storage that they
        share.  A `DeepReLU` has no such blocks.

    Returns
    -------
    ndarray of `dtype`, shape (n, k), or `out`
        Without Z exactly symmetric and, up to rounding, positive semi-definite.  Of arrays on a GPU, with masks there
        (`DevicePackedMasks`, or booleans), an array there; `out` may be one too.  With `width`, or another `out`, the
        host does the work.

    Raises
    ------
    ValueError, TypeError
        If not exactly one source of neurons is given, shapes disagree, or an entry is not finite.
    MemoryLimitError
        If the result or what must be held for it does not fit in memory.

    Warns
    -----
    SingularGramWarning
        Without Z, if rows are zero or positive multiples of each other, which makes the matrix singular; names them.

    Notes
    -----
    Cost: ``2 n d m`` flops for the pattern (none with ``masks``), ``n^2 m / 2`` bit products, ``n^2 d`` flops for
    ``X X^T`` in float64.  Counts are exact integers, however the neurons are cut into pieces, so entries of "first"
    have the rounding of ``x_i . x_j`` and two or three operations more.  Weights ``a`` whose squares differ, and
    "second", need ``n^2 m`` flops of BLAS each: the former in float64; the latter in the precision of ``W`` over 512
    neurons at a time, those sums in float64 (relative error near 3e-7 for float32).

    Beside the result up to 256 MiB of patterns are held.  Where they would take more, and for "second" or weights,
    neurons pass by in pieces of 64 MiB and every block of the result (one, in memory) is a pass over all of them, with
    its sums held at 8 bytes an entry and term, half without Z.  Du et al. (arXiv 1810.02054), Section 3 and, for both
    layers, Section 3.1.

    Examples
    --------
    >>> import fastntk
    >>> X, W = [[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [-1.0, 2.0]]
    >>> fastntk.gram(X, W)
    array([[0.5, 0.3],
           [0.3, 1. ]])
    >>> fastntk.gram(X, W, layers="second")
    array([[0.5 , 0.3 ],
           [0.3 , 0.68]])
    >>> fastntk.gram(X, width=1_000_000, seed=1).round(2)
    array([[0.5 , 0.21],
           [0.21, 0.5 ]])
    """
    if net is not None:
        if any(part is not None for part in (W, a, masks, width)):
            raise ValueError("net must be given alone, got W, a, masks or width beside it")
        if isinstance(net, DeepReLU):
            if client is not None:
                raise ValueError(
                    "client computes the matrices of networks with one hidden layer, got a DeepReLU"
                )
            return deep_gram(X, net, "hidden" if layers == "first" else layers, Z, dtype, out)
        if not isinstance(net, TwoLayerReLU):
            raise TypeError(f"net must be a TwoLayerReLU or a DeepReLU, got {type(net).__name__}")
        W, a = net.W, net.a
    on_gpu = on_one_gpu(X=X, W=W, a=a, Z=Z, **arrays_of(masks))
    if on_gpu and (
        width is not None or client is not None or is_host_target(out)
    ):  # what the host draws or writes it also computes
        X, W, a, Z = map(on_host, (X, W, a, Z))
        masks, on_gpu = masks_on_host(masks), False
    points, others, network, weights, kind = checked(X, W, a, Z, masks, layers, width, seed, dtype)
    if others is points and not (isinstance(network, tuple) and network[0] is not network[1]):
        warn_parallel_rows(points, "X", opposite=False)
    if not on_gpu:
        source = _host_source(points, others, network, terms_of(layers, weights), kind)
        return compute(source, out, progress=progress, client=client)
    with backend() as gpu:
        return compute_on_gpu(
            (len(points), len(others)), kind, X, out, progress,
            lambda target: gpu.gram(points, others, network, layers, weights, kind, target),
        )  # fmt: skip


def gram_of_network(X: npt.ArrayLike, net: TwoLayerReLU | DeepReLU, layers: Any) -> Any:
    """`gram` of the weights of a network, which need not be in memory."""
    if not isinstance(net, StreamedNetwork):
        return gram(X, net=net, layers=layers)
    points = checks.matrix(X, "X")
    warn_parallel_rows(points, "X", opposite=False)
    source = FiniteGram(
        points, points, StreamedNeurons(net), terms_of(layers, net.a), np.dtype(np.float64)
    )  # fmt: skip
    return compute(source)


def gram_source(
    X: npt.ArrayLike,
    W: npt.ArrayLike | None = None,
    a: npt.ArrayLike | None = None,
    Z: npt.ArrayLike | None = None,
    *,
    masks: Masks | tuple[Masks, Masks] | None = None,
    layers: str = "first",
    width: int | None = None,
    seed: int = 0,
    dtype: npt.DTypeLike = "float64",
) -> FiniteGram:
    """The checked arguments of `gram`, of the host, ready to compute any block."""
    points, others, network, weights, kind = checked(X, W, a, Z, masks, layers, width, seed, dtype)
    return _host_source(points, others, network, terms_of(layers, weights), kind)


def _host_source(
    points: np.ndarray, others: np.ndarray, network: Any, terms: Terms, kind: np.dtype
) -> FiniteGram:
    """The source, of numbers known not to overflow in the products of the samples."""
    if terms.first:
        for samples, name in ((points, "X"), (others, "Z")):
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
                squares = np.einsum("ij,ij->i", samples, samples, dtype=np.float64) * terms.largest
                summed = squares * _width_of(network)  # counts multiply before the width divides
            checks.representable(squares, f"the diagonal, from the rows of {name} and a,", kind)
            checks.representable(summed, f"the sums of the diagonal, from the rows of {name} and a,", float)
    return FiniteGram(points, others, network, terms, kind)


def _width_of(network: Any) -> int:
    """Neurons of a pair of patterns, or of a source."""
    return int(network[0].shape[1] if isinstance(network, tuple) else network.count)


class GramOfPatterns:
    """``masks -> H`` for fixed samples and second layer: what need not be computed again for each pattern."""

    def __init__(self, X: np.ndarray, a: np.ndarray) -> None:
        self._terms = terms_of("first", a)
        self._X = X
        if self._terms.counts:
            self._products = products(X) if self._terms.scale == 1.0 else products(X) * self._terms.scale

    def __call__(self, masks: PackedMasks, out: np.ndarray | None = None) -> npt.NDArray[np.float64]:
        """The Gram matrix of a pattern with the samples' n rows, in ``out`` if given."""
        n, m = masks.shape
        H = np.empty((n, n)) if out is None else out
        if self._terms.counts:
            P, pairs, scratch = panels(masks)
            blocks = np.empty(scratch.shape)
            words = blocks.view(np.uint64), H.view(np.uint64)
            gram_from_panels(P, self._products, float(m), pairs, scratch, blocks, *words)
        else:
            source = FiniteGram(self._X, self._X, (masks, masks), self._terms, H.dtype)
            source.fill(slice(0, n), slice(0, n), H)
        return H
