"""Activation masks and the two products with them, on boolean arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.reference.network import pre_activations

# float32 holds every integer up to here, so a sum of at most this many zeros and ones is exact in any order.
_EXACT_FLOAT32 = 2**24


def activation_masks(X: NDArray[Any], W: NDArray[Any]) -> NDArray[np.bool_]:
    """Which neurons are active on which samples: ``M_ir = 1{w_r . x_i >= 0}``.

    Zero counts as active, also for a sample or a weight vector that is zero itself.

    Parameters
    ----------
    X : array, shape (n, d)
        Samples.
    W : array, shape (m, d)
        First-layer weights.

    Returns
    -------
    array of bool, shape (n, m)

    Notes
    -----
    2 n m d flops (one BLAS product). The indicator in eq. (4) of Du et al. (arXiv 1810.02054).

    Examples
    --------
    >>> activation_masks(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[2.0, 1.0], [0.0, 5.0], [-1.0, 0.0]]))
    array([[ True,  True, False],
           [ True,  True,  True]])
    """
    return pre_activations(X, W) >= 0


def coactivation_counts(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many neurons two samples share: ``C_ij = sum_r M_ir M_jr``, exactly.

    Parameters
    ----------
    masks : array of bool, shape (n, m)

    Returns
    -------
    array of int64, shape (n, n)
        Symmetric; the diagonal holds the number of active neurons of each sample.

    Notes
    -----
    n^2 m integer multiply-adds without BLAS: fine for tests, slow in earnest. See `strong_coactivation_counts`.

    Examples
    --------
    >>> coactivation_counts(np.array([[True, True, False], [True, False, False]]))
    array([[2, 1],
           [1, 1]])
    """
    ones = masks.astype(np.int64)
    return ones @ ones.T


def strong_coactivation_counts(masks: NDArray[Any]) -> NDArray[np.int64]:
    """`coactivation_counts` by the fastest means NumPy has: float32 BLAS on zeros and ones.

    Parameters
    ----------
    masks : array of bool, or of float32 holding 0 and 1, shape (n, m)
        A float32 array is used as it is, so that a benchmark may leave the expansion out.

    Returns
    -------
    array of int64, shape (n, n)
        Exact for every m: neurons are taken in blocks short enough for float32 to count without rounding.

    Notes
    -----
    n^2 m flops: NumPy sees that both factors are one array and calls ssyrk, half the work of a general product.

    Examples
    --------
    >>> strong_coactivation_counts(np.array([[True, True, False], [True, False, False]]))
    array([[2, 1],
           [1, 1]])
    """
    n, m = masks.shape
    counts = np.zeros((n, n), dtype=np.int64)
    for start in range(0, m, _EXACT_FLOAT32):
        ones = np.asarray(masks[:, start : start + _EXACT_FLOAT32], dtype=np.float32)
        counts += (ones @ ones.T).astype(np.int64)
    return counts


def flip_count(masks_a: NDArray[np.bool_], masks_b: NDArray[np.bool_]) -> int:
    """In how many of their n m entries two masks differ, exactly.

    Parameters
    ----------
    masks_a, masks_b : array of bool, shape (n, m)

    Returns
    -------
    int

    Raises
    ------
    ValueError
        When the shapes differ (NumPy would broadcast them).

    Examples
    --------
    >>> flip_count(np.array([[True, False]]), np.array([[True, True]]))
    1
    """
    if masks_a.shape != masks_b.shape:
        raise ValueError(f"masks_a and masks_b must have one shape, got {masks_a.shape} and {masks_b.shape}")
    return int(np.count_nonzero(masks_a != masks_b))


def flip_fraction(masks_a: NDArray[np.bool_], masks_b: NDArray[np.bool_]) -> float:
    """`flip_count` as a fraction of the n m entries: the pattern changes of Du et al., section 5.

    Parameters
    ----------
    masks_a, masks_b : array of bool, shape (n, m)

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        When the shapes differ.

    Examples
    --------
    >>> flip_fraction(np.array([[True, False]]), np.array([[True, True]]))
    0.5
    """
    return flip_count(masks_a, masks_b) / masks_a.size


def masked_sums(masks: NDArray[np.bool_], V: NDArray[Any]) -> NDArray[Any]:
    """For every neuron the sum of the rows of V on which it is active: ``S_r = sum_i M_ir V_i``, that is ``M^T V``.

    Parameters
    ----------
    masks : array of bool, shape (n, m)
    V : array, shape (n, p)

    Returns
    -------
    array, shape (m, p)
        In the dtype of V; exact when V holds integers.

    Notes
    -----
    2 n m p flops. With ``V = diag(e) X`` this is the loss gradient up to a factor per neuron, with
    ``V = diag(e) X X^T`` the change of the pre-activations.

    Examples
    --------
    >>> masked_sums(np.array([[True, False], [True, True]]), np.array([[1, 2], [10, 20]]))
    array([[11, 22],
           [10, 20]])
    """
    return masks.T.astype(V.dtype) @ V


def strong_masked_sums(masks: NDArray[Any], V: NDArray[Any]) -> NDArray[np.float32]:
    """`masked_sums` in float32 on a mask that may be expanded beforehand, so that only the BLAS product is left.

    Parameters
    ----------
    masks : array of bool, or of float32 holding 0 and 1, shape (n, m)
        A float32 array is used as it is.
    V : array, shape (n, p)
        Rounded to float32.

    Returns
    -------
    array of float32, shape (m, p)

    Notes
    -----
    2 n m p flops in sgemm, which reads the transposed factor in place.

    Examples
    --------
    >>> strong_masked_sums(np.array([[True, False], [True, True]]), np.array([[1.0, 2.0], [10.0, 20.0]]))
    array([[11., 22.],
           [10., 20.]], dtype=float32)
    """
    return np.asarray(masks, dtype=np.float32).T @ np.asarray(V, dtype=np.float32)
