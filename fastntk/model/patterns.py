"""Activation patterns: making them, counting common activations, counting changes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base.checks import same_columns
from fastntk.base.memory import aligned_zeros, require_memory
from fastntk.base.packing import NEURONS_PER_WORD, SAMPLES_PER_BYTE, PackedMasks, byte_rows
from fastntk.compilation.threads import kernel_threads
from fastntk.device import checks
from fastntk.device.arrays import give_back, gpu_of, library_of, on_one_gpu, view
from fastntk.device.dispatch import backend
from fastntk.device.masks import DevicePackedMasks
from fastntk.kernels.cpu import coactivation, flips
from fastntk.kernels.cpu import flip_marginals as marginals
from fastntk.kernels.cpu.coactivation import BLOCK
from fastntk.kernels.scratch import block_pairs, thread_slots
from fastntk.model.forward import Forward

Masks = PackedMasks | DevicePackedMasks | npt.NDArray[np.bool_]


def activation_masks(X: npt.ArrayLike, W: npt.ArrayLike) -> Any:
    """Activation pattern ``M_ir = 1{w_r . x_i >= 0}``, packed to one bit an entry.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Samples.
    W : array_like, shape (m, d)
        Weights; its dtype (float32 or float64) is the precision of the product.

    Returns
    -------
    PackedMasks
        ``.shape == (n, m)``; ``.to_dense()`` gives booleans.  `DevicePackedMasks` of arrays on a GPU.

    Raises
    ------
    ValueError, TypeError
        If an argument is empty, not a real finite matrix, or the numbers of columns differ.
    MemoryLimitError
        If the packed pattern does not fit in memory.

    Notes
    -----
    Zero counts as active.  Cost: ``2 n d m`` flops of BLAS, bits packed while the product is in cache; the
    n-by-m product is never stored.  Entries equal ``(X @ W.T) >= 0`` unless ``|w_r . x_i|`` is within the rounding
    of the product.  The pattern of Du et al. (arXiv 1810.02054), Section 3.

    Examples
    --------
    >>> import fastntk
    >>> fastntk.activation_masks([[1.0, 0.0], [0.0, 1.0]], [[1.0, -1.0]]).to_dense()
    array([[ True],
           [False]])
    """
    on_gpu = on_one_gpu(X=X, W=W)
    weights = checks.matrix(W, "W")
    samples = checks.matrix(X, "X")
    same_columns(samples, "X", weights, "W")
    checks.representable(samples, "X", weights.dtype)
    if on_gpu:
        with backend() as gpu:
            bits = gpu.activation_bits(samples, weights)
        return DevicePackedMasks(bits, (len(samples), len(weights)), library_of(X))
    (n, _), m = samples.shape, len(weights)
    _require_pattern(samples, m)
    masks = PackedMasks.empty(n, m)
    with kernel_threads():
        Forward(samples, m, weights.dtype).signs(weights, 0, masks.bits)
    return masks


def forward_pass(X: np.ndarray, W: np.ndarray, a: np.ndarray) -> tuple[PackedMasks, np.ndarray]:
    """Masks and outputs ``u`` (float64) of checked arrays, in the precision of ``W``."""
    (n, _), m = X.shape, len(W)
    _require_pattern(X, m)
    masks = PackedMasks.empty(n, m)
    with kernel_threads():
        return masks, Forward(X, m, W.dtype).outputs(W, a, masks.bits)


def _require_pattern(X: np.ndarray, m: int) -> None:
    """Check that a pattern fits, beside a copy of the samples."""
    n = len(X)
    require_memory(n * m // 8 + X.nbytes, f"the activation pattern of n={n} samples and m={m} neurons")


def panels(masks: PackedMasks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input of the counting kernels: words in panels of eight samples, pairs of blocks, a block of counts a thread."""
    n, m = masks.shape
    blocks = -(-n // BLOCK)
    words = -(-m // NEURONS_PER_WORD)
    P = aligned_zeros((blocks * BLOCK // SAMPLES_PER_BYTE, words, SAMPLES_PER_BYTE), np.uint64)
    coactivation.to_panels(masks.bits, P)
    return P, block_pairs(blocks), aligned_zeros((thread_slots(), BLOCK, BLOCK), np.uint64)


def bits_of(masks: Any) -> Any:
    """The array that says where masks live."""
    return masks.bits if isinstance(masks, (PackedMasks, DevicePackedMasks)) else masks


def arrays_of(masks: Any) -> dict[str, Any]:
    """The arrays that say where masks live, by name: of one pattern, or of a pair."""
    pair = masks if isinstance(masks, tuple) else None
    named = {"masks": masks} if pair is None else {f"masks[{k}]": part for k, part in enumerate(pair)}
    return {name: bits_of(part) for name, part in named.items()}


def packed(masks: Any, name: str) -> Any:
    """The argument, if it is packed; boolean matrices are packed where they are."""
    if isinstance(masks, (PackedMasks, DevicePackedMasks)):
        return masks
    on_gpu = gpu_of(masks) is not None
    if not on_gpu and not isinstance(masks, np.ndarray):
        raise TypeError(f"{name} must be PackedMasks or a boolean matrix, got {type(masks).__name__}")
    dense = view(masks, name) if on_gpu else masks
    if dense.dtype != np.bool_ or dense.ndim != 2 or dense.size == 0:
        raise ValueError(
            f"{name} must be a non-empty boolean matrix, got {dense.dtype} of shape {tuple(dense.shape)}"
        )
    if isinstance(dense, np.ndarray):
        return PackedMasks.from_dense(dense)
    with backend() as gpu:
        bits = gpu.packed_bits(dense)
    return DevicePackedMasks(bits, tuple(dense.shape), library_of(masks))


def coactivation_counts(masks: Masks) -> Any:
    """Numbers of neurons active on both of two samples, ``C_ij = sum_r M_ir M_jr``.

    Parameters
    ----------
    masks : PackedMasks, DevicePackedMasks or boolean array, shape (n, m)
        Activation pattern, here or on a GPU.

    Returns
    -------
    ndarray of int64, shape (n, n), or an array on the GPU of a pattern there
        Exact and symmetric; the diagonal counts the active neurons of each sample.

    Raises
    ------
    TypeError, ValueError
        If ``masks`` is not an activation pattern.
    MemoryLimitError
        If the result does not fit in memory.

    Notes
    -----
    Cost: ``n^2 m / 2`` bit products (and + popcount, 512 an instruction triple), ``8 n^2`` bytes written.  Counts are
    integers: equal to NumPy's for every size and number of threads.  The sum in the Gram matrix of Du et al.
    (arXiv 1810.02054), Section 3.

    Examples
    --------
    >>> import fastntk
    >>> masks = fastntk.activation_masks([[1.0], [-1.0]], [[1.0], [2.0], [-1.0]])
    >>> fastntk.coactivation_counts(masks)
    array([[2, 0],
           [0, 1]])
    """
    pattern = packed(masks, "masks")
    if isinstance(pattern, DevicePackedMasks):
        with backend() as gpu:
            found = gpu.coactivation_counts(pattern)
        return give_back(found, pattern.library)
    n, m = pattern.shape
    require_memory(8 * n * n + pattern.nbytes, f"the counts of n={n} samples")
    counts = np.empty((n, n), dtype=np.int64)
    coactivation.coactivation_counts(*panels(pattern), counts.view(np.uint64))
    return counts


def flip_count(masks_a: Masks, masks_b: Masks) -> int:
    """Number of entries in which two activation patterns differ, ``sum_ir 1{A_ir != B_ir}``.

    Parameters
    ----------
    masks_a, masks_b : PackedMasks, DevicePackedMasks or boolean array, shape (n, m)
        Patterns of the same samples and neurons, both here or both on a GPU.

    Returns
    -------
    int
        Exact.

    Raises
    ------
    TypeError, ValueError
        If an argument is not an activation pattern or the shapes differ.

    Notes
    -----
    Cost: ``n m / 4`` bytes read.  The numerator of the pattern changes in Section 5 of Du et al. (arXiv 1810.02054).

    Examples
    --------
    >>> import numpy as np, fastntk
    >>> fastntk.flip_count(np.array([[True, False]]), np.array([[True, True]]))
    1
    """
    before, after = _packed_pair(masks_a, masks_b)
    if isinstance(before, DevicePackedMasks):
        with backend() as gpu:
            return gpu.flip_count(before, after)
    counts = np.empty(byte_rows(before.shape[0]), dtype=np.int64)
    flips.flip_count(before.words, after.words, counts)
    return int(counts.sum())


def _packed_pair(masks_a: Masks, masks_b: Masks) -> tuple[Any, Any]:
    """Two packed patterns of one shape, both here or both on a GPU."""
    on_one_gpu(masks_a=bits_of(masks_a), masks_b=bits_of(masks_b))
    before, after = packed(masks_a, "masks_a"), packed(masks_b, "masks_b")
    if before.shape != after.shape:
        raise ValueError(
            f"masks_a and masks_b must have the same shape, got {before.shape} and {after.shape}"
        )
    return before, after


def flip_fraction(masks_a: Masks, masks_b: Masks) -> float:
    """Fraction of the ``n m`` entries in which two activation patterns differ.

    Parameters
    ----------
    masks_a, masks_b : PackedMasks, DevicePackedMasks or boolean array, shape (n, m)
        Patterns of the same samples and neurons, both here or both on a GPU.

    Returns
    -------
    float
        `flip_count` divided by ``n m``, between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        As `flip_count`.

    Notes
    -----
    Cost as `flip_count`.  Section 5 of Du et al. (arXiv 1810.02054), with the sum over i running to n.

    Examples
    --------
    >>> import numpy as np, fastntk
    >>> fastntk.flip_fraction(np.array([[True, False]]), np.array([[True, True]]))
    0.5
    """
    count = flip_count(masks_a, masks_b)
    n, m = masks_a.shape
    return count / (n * m)


def flip_marginals(masks_a: Masks, masks_b: Masks) -> tuple[Any, Any]:
    """Numbers of entries in which two activation patterns differ, for each sample and for each neuron.

    ``sum_r 1{A_ir != B_ir}`` and ``sum_i 1{A_ir != B_ir}``.

    Parameters
    ----------
    masks_a, masks_b : PackedMasks, DevicePackedMasks or boolean array, shape (n, m)
        Patterns of the same samples and neurons, both here or both on a GPU.

    Returns
    -------
    samples : ndarray of int64, shape (n,)
    neurons : ndarray of int64, shape (m,)
        Exact; the sum of either is `flip_count`.  Arrays on the GPU for patterns there.

    Raises
    ------
    TypeError, ValueError
        As `flip_count`.

    Notes
    -----
    Cost: ``n m / 4`` bytes read, a small multiple of the time of `flip_count`.  The sets S_i of neurons whose pattern
    may change on sample i carry the proof of Lemma 3.2 of Du et al. (arXiv 1810.02054).

    Examples
    --------
    >>> import numpy as np, fastntk
    >>> fastntk.flip_marginals(np.array([[True, False], [True, True]]), np.array([[True, True], [True, True]]))
    (array([1, 0]), array([0, 1]))
    """
    before, after = _packed_pair(masks_a, masks_b)
    if isinstance(before, DevicePackedMasks):
        with backend() as gpu:
            found = gpu.flip_marginals(before, after)
        return give_back(found[0], before.library), give_back(found[1], before.library)
    n, m = before.shape
    rows, words = before.words.shape
    neurons = np.empty(SAMPLES_PER_BYTE * words, dtype=np.int64)
    shares = np.empty((-(-words // marginals.BLOCK), SAMPLES_PER_BYTE * rows), dtype=np.int64)
    scratch = aligned_zeros((thread_slots(), 2, marginals.BLOCK), np.uint64)
    marginals.flip_marginals(before.words, after.words, neurons, shares, scratch)
    return shares.sum(axis=0)[:n], neurons[:m]
