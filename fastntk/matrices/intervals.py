"""How far a Gram matrix at finite width can be from its limit: confidence intervals from the exact counts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from fastntk.base import checks
from fastntk.base.memory import require_memory
from fastntk.compilation.threads import one_blas_thread
from fastntk.device.arrays import on_host, together
from fastntk.device.masks import masks_on_host
from fastntk.matrices.finite import gram_source
from fastntk.matrices.inner_products import products
from fastntk.model.patterns import Masks, arrays_of


@dataclass(frozen=True)
class GramInterval:
    """A Gram matrix with an interval for every entry of its limit.

    Attributes
    ----------
    gram, lower, upper : ndarray of float64, shape (n, k)
        `fastntk.gram` and the two ends; exactly symmetric if ``gram`` is.
    level : float
        Confidence level of each interval on its own.
    """

    gram: Any
    lower: Any
    upper: Any
    level: float


def gram_interval(
    X: npt.ArrayLike,
    W: npt.ArrayLike | None = None,
    Z: npt.ArrayLike | None = None,
    *,
    masks: Masks | tuple[Masks, Masks] | None = None,
    width: int | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> GramInterval:
    """Confidence intervals ``x_i . x_j [p_lower, p_upper]`` for the entries of the limit of the first layer's `gram`.

    For neurons ``w_r ~ N(0, I)`` the count ``C_ij = sum_r 1{w_r . x_i >= 0, w_r . x_j >= 0}`` is binomial with m
    trials and ``p = (pi - theta_ij) / (2 pi)``; its Clopper-Pearson interval times ``x_i . x_j`` holds ``H_inf_ij``
    with at least the given probability, at every width.

    Parameters
    ----------
    X, W, Z, masks, width, seed
        As for `fastntk.gram` with ``layers="first"`` and signs in the second layer.
    level : float
        Probability, above 0 and below 1.

    Returns
    -------
    GramInterval
        ``.gram``, ``.lower``, ``.upper``, ``.level``.

    Raises
    ------
    ValueError, TypeError, MemoryLimitError
        As `fastntk.gram`; if `level` is out of range.

    Notes
    -----
    The neurons must be random and independent of the samples: after training, an interval is of the matrix of nothing.
    Entries share their neurons, so they are wrong together; of many intervals about ``1 - level`` miss.  A zero row
    gives [0, 0].  The interval of the probability covers in exact arithmetic; the ends are rounded, and so is the
    product ``x_i . x_j`` they are multiplied with, as in `gram`.

    Arrays on a GPU are copied to the host, which does the work.

    Cost: as `fastntk.gram`, and two inverse incomplete beta functions for each distinct count.
    Five matrices of 8 bytes an entry are held.  Clopper and Pearson, "The use of confidence or fiducial limits
    illustrated in the case of the binomial" (1934); the probability is that of Du et al. (arXiv 1810.02054),
    Assumption 3.1.

    Examples
    --------
    >>> import fastntk
    >>> found = fastntk.gram_interval([[1.0, 0.0], [0.6, 0.8]], width=10_000)
    >>> limit = fastntk.limit_gram([[1.0, 0.0], [0.6, 0.8]])
    >>> bool(((found.lower <= limit) & (limit <= found.upper)).all())
    True
    """
    level = checks.positive(level, "level")
    if level >= 1.0:
        raise ValueError(f"level must be below 1, got {level}")
    if together(X=X, W=W, Z=Z, **arrays_of(masks)):
        X, W, Z = map(on_host, (X, W, Z))
        masks = masks_on_host(masks)
    source = gram_source(X, W, None, Z, masks=masks, width=width, seed=seed)
    n, k = source.shape
    require_memory(5 * 8 * n * k, f"the {n} x {k} Gram matrix with its intervals")
    counts = source.counts(slice(0, n), slice(0, k))
    least, most = int(counts.min()), int(counts.max())
    inner = products(source.points) if source.symmetric else _cross_products(source.points, source.others)
    H = inner * counts / source.width
    if most - least < counts.size:  # a table of all counts in between; else of those that occur
        distinct = np.arange(least, most + 1)
        counts -= least
    else:
        distinct, place = np.unique(counts, return_inverse=True)
        counts = place.reshape(counts.shape)
    lower, upper = (ends[counts] for ends in clopper_pearson(distinct, source.width, level))
    lower *= inner
    upper *= inner
    negative = inner < 0.0
    lower[negative], upper[negative] = upper[negative], lower[negative]
    return GramInterval(H, lower, upper, level)


def clopper_pearson(counts: np.ndarray, m: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of the exact interval for the probability behind ``counts`` successes in ``m`` trials."""
    tail = (1.0 - level) / 2.0
    lower, upper = np.zeros(counts.shape), np.ones(counts.shape)
    some, short = counts > 0, counts < m
    lower[some] = betaincinv(counts[some], m - counts[some] + 1, tail)
    upper[short] = betaincinv(counts[short] + 1, m - counts[short], 1.0 - tail)
    return lower, upper


@one_blas_thread()
def _cross_products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """``X Z^T`` in float64."""
    return left.astype(np.float64, copy=False) @ right.astype(np.float64, copy=False).T
