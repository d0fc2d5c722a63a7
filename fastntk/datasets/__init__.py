"""Data: points on the sphere, the data of the published experiment, and CSV files.

Every function deals in ``X (n, d)`` and ``y (n,)``, both float64.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastntk.base import checks
from fastntk.datasets.files import load_csv, save_csv
from fastntk.device.arrays import give_back, gpu_of, library_of, on_host, upload

__all__ = ["labels", "load_csv", "save_csv", "slides", "sphere"]

Data = tuple[NDArray[np.float64], NDArray[np.float64]]


def sphere(n: int, d: int, seed: int = 0) -> Data:
    """Uniform points on the unit sphere with standard normal labels.

    Parameters
    ----------
    n, d : int
        Number of points and their dimension, at least 1.
    seed : int
        Seed of ``numpy.random.default_rng``.

    Returns
    -------
    X : array of float64, shape (n, d)
        Rows of length 1 (to rounding).
    y : array of float64, shape (n,)

    Raises
    ------
    TypeError, ValueError
        When n, d or seed is not an integer, or is too small.

    Notes
    -----
    n (d + 1) normal draws. The setting of Du et al. (arXiv 1810.02054), section 5.

    Examples
    --------
    >>> X, y = sphere(5, 3, seed=1)
    >>> X.shape, y.shape, bool(np.allclose(np.linalg.norm(X, axis=1), 1))
    ((5, 3), (5,), True)
    """
    n, d, seed = checks.integer(n, "n", 1), checks.integer(d, "d", 1), checks.integer(seed, "seed", 0)
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X, rng.standard_normal(n)


def slides(n: int = 1000, d: int = 1000, seed: int = 1234) -> Data:
    """Draw the data of the published experiment: `sphere` from the legacy random stream of NumPy.

    It repeats, digit for digit, ``np.random.seed(1234); X = np.random.normal(size=(1000, 1000));
    X /= np.linalg.norm(X, axis=1, keepdims=True); y = np.random.normal(size=1000)`` without touching the global state.

    Parameters
    ----------
    n, d : int
        Number of points and their dimension, at least 1.
    seed : int
        Seed of ``numpy.random.RandomState``, from 0 to 2**32 - 1.

    Returns
    -------
    X : array of float64, shape (n, d)
    y : array of float64, shape (n,)

    Raises
    ------
    TypeError, ValueError
        When n, d or seed is not an integer, or is out of range.

    Notes
    -----
    NumPy keeps this stream frozen: the numbers are the same in every version. A smaller n or d gives other points, not
    a part of these.

    Examples
    --------
    >>> X, y = slides()
    >>> X.shape, y.shape
    ((1000, 1000), (1000,))
    """
    n, d, seed = checks.integer(n, "n", 1), checks.integer(d, "d", 1), checks.integer(seed, "seed", 0)
    if seed >= 2**32:
        raise ValueError(f"seed must be below 2**32 for the legacy stream, got {seed}")
    stream = np.random.RandomState(seed)
    X = stream.normal(size=(n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X, stream.normal(size=n)


def labels(X: ArrayLike, kind: str = "gaussian", index: int = 0, seed: int = 0) -> Any:
    """Labels for given samples: noise, signs, or a direction that gradient descent learns at one rate.

    Parameters
    ----------
    X : array_like, shape (n, d)
    kind : {"gaussian", "sign", "eigenvector"}
        ``y ~ N(0, I)``; ``y_i ~ unif{-1, +1}``; or ``sqrt(n) v`` for a unit eigenvector v of the limit kernel H_inf, so
        that its entries are of order 1 like the others, with the first entry that is not small positive.
    index : int
        Which eigenvector: 0 belongs to the smallest eigenvalue, which is the slowest direction, 1 to the next, and
        -1 to the largest.
    seed : int
        Seed of ``numpy.random.default_rng`` for the random kinds.

    Returns
    -------
    array of float64, shape (n,)
        On the GPU for samples there, which are copied to the host.

    Raises
    ------
    TypeError, ValueError
        For an unknown kind, or an index outside -n, ..., n - 1.

    Notes
    -----
    With labels ``v_i`` the linearised loss falls as ``(1 - lr lambda_i)^{2k}``: Du et al. (arXiv 1810.02054) bound the
    slowest of these rates, Arora et al. (arXiv 1901.08584) use them all. An eigenvector costs O(n^3).

    Examples
    --------
    >>> labels([[1.0, 0.0], [0.6, 0.8]], "eigenvector", index=-1).round(6)
    array([1., 1.])
    """
    found = _labels(checks.matrix(on_host(X), "X"), kind, index, seed)
    return found if gpu_of(X) is None else give_back(upload(found), library_of(X))


def _labels(samples: NDArray[Any], kind: str, index: int, seed: int) -> NDArray[np.float64]:
    """`labels` of checked samples in host memory."""
    n = len(samples)
    checks.choice(kind, "kind", ("gaussian", "sign", "eigenvector"))
    seed = checks.integer(seed, "seed", 0)
    if kind != "eigenvector":
        rng = np.random.default_rng(seed)
        drawn = rng.standard_normal(n) if kind == "gaussian" else 2 * rng.integers(0, 2, n) - 1
        return np.asarray(drawn, dtype=np.float64)
    from scipy.linalg import eigh

    from fastntk.compilation.threads import one_blas_thread
    from fastntk.matrices.limit import limit_gram

    index = checks.integer(index, "index", -n)
    if index >= n:
        raise ValueError(f"index must be below the number of samples ({n}), got {index}")
    place = index % n
    with one_blas_thread():
        vector = eigh(limit_gram(samples), subset_by_index=[place, place])[1][:, 0]
    first = int(np.argmax(np.abs(vector) > 1e-6))
    return np.asarray(math.sqrt(n) * np.copysign(1.0, vector[first]) * vector, dtype=np.float64)
