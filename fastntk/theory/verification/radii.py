"""Lemma 3.2: how far weights may move before the Gram matrix has changed by lambda_0 / 4.

Three radii, for each initialisation. *Certified*: for every perturbation of length at most R, only the entries with
``|w_r . x_i| <= R |x_i|`` can flip, so ``|H - H(0)| <= B`` entry by entry with ``B_ij = |x_i . x_j| / m`` times the
number of neurons that have such an entry at i or at j; as B has no negative entry, ``|H - H(0)|_2 <= |B|_2``, and
a R with ``|B|_2 < lambda_0 / 4`` holds for all weights: inner products are taken in float64 and with their rounding.
*Adversarial*: the smaller radius of two attacks, every neuron moving by R towards its nearest kink, or every neuron
that is active at the longest sample moving by R against it (which adds up, while flips of both signs cancel).
*Random*: every neuron moves by R in a random direction. The true radius lies between the first two, but for entries
within rounding of zero in the pattern that the attacks start from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.base.packing import PackedMasks
from fastntk.compilation.threads import one_blas_thread
from fastntk.matrices.finite import GramOfPatterns
from fastntk.matrices.inner_products import products
from fastntk.model.network import TwoLayerReLU
from fastntk.model.patterns import coactivation_counts
from fastntk.spectra import spectral_norm

__all__ = ["radii"]

_PRECISION = 1.02  # ratio of the two ends at which the bisection stops
_SMALLEST = 1e-9
_NEURONS = 4096  # whose distances are found at a time
_EPS = float(np.finfo(np.float64).eps)


def radii(X: NDArray[np.float64], net: TwoLayerReLU, goal: float, seed: int) -> dict[str, float]:
    """Largest radii with ``|H - H(0)|_2 < goal``: certified, adversarial and random."""
    samples = X.astype(net.W.dtype)
    Z = samples @ net.W.T
    lengths = np.linalg.norm(X, axis=1).astype(Z.dtype)
    distances = np.abs(Z) / np.where(lengths > 0.0, lengths, 1.0)[:, np.newaxis]
    distances[lengths == 0.0] = np.inf
    start = PackedMasks.from_dense(Z >= 0)
    gram, reach, B = GramOfPatterns(X, np.ones(1)), least_distances(X, net.W), largest_products(X)
    H = gram(start)
    far = float(np.linalg.norm(net.W, axis=1).max()) * 100.0

    def certified(radius: float) -> float:
        """Not below ``|B|_2``: entries that can flip are those that are not out of reach at both samples."""
        out_of_reach = coactivation_counts(PackedMasks.from_dense(reach > np.float64(radius)))
        return spectral_norm(B * (1.0 - out_of_reach / net.width)).upper_bound * (1.0 + 4.0 * _EPS)

    nearest = np.argmin(distances, axis=0)
    sides = np.where(Z[nearest, np.arange(net.width)] >= 0.0, -1.0, 1.0).astype(Z.dtype)
    unit = samples / np.where(lengths > 0.0, lengths, 1.0)[:, np.newaxis]
    drawn = np.random.default_rng(seed).standard_normal(net.W.shape).astype(Z.dtype)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)

    def moved(moves: NDArray[np.floating]) -> Callable[[float], float]:
        """Not above ``|H - H(0)|_2`` when the pre-activations move by the radius times `moves`."""
        return lambda radius: (
            spectral_norm(gram(PackedMasks.from_dense(Z + radius * moves >= 0)), H).lower_bound
        )

    target = int(np.argmax(lengths))
    attacks = (
        (samples @ unit.T)[:, nearest] * sides,
        np.where(Z[target] >= 0.0, -(samples @ unit[target])[:, np.newaxis], Z.dtype.type(0)),
    )
    return {
        "certified": _largest(certified, goal, far),
        "adversarial": min(_largest(moved(attack), goal, far) for attack in attacks),
        "random": _largest(moved(samples @ drawn.T), goal, far),
    }


def least_distances(X: NDArray[np.float64], W: NDArray[Any]) -> NDArray[np.float32]:
    """At most ``|w_r . x_i| / |x_i|``, (n, m), rounding included; infinite for a zero row, which never changes.

    An inner product of d numbers errs by at most ``(d + 2) u |w| |x|``, u = eps / 2, and norms by a few roundings.
    """
    n, d = X.shape
    lengths = np.linalg.norm(X, axis=1)
    unit = X / np.where(lengths > 0.0, lengths, 1.0)[:, np.newaxis]
    found = np.empty((n, len(W)), np.float32)
    for first in range(0, len(W), _NEURONS):
        some = W[first : first + _NEURONS].astype(np.float64)
        with one_blas_thread():
            Z = np.abs(unit @ some.T)
        Z -= (2 * d + 16) * _EPS * np.linalg.norm(some, axis=1)
        found[:, first : first + _NEURONS] = np.nextafter(
            np.maximum(Z, 0.0).astype(np.float32), np.float32(-1.0)
        )
    found[lengths == 0.0] = np.inf
    return found


def largest_products(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """At least ``|x_i . x_j|``, (n, n), rounding included."""
    lengths = np.linalg.norm(X, axis=1)
    return np.abs(products(X)) + (X.shape[1] + 16) * _EPS * np.outer(lengths, lengths)


def _largest(change: Callable[[float], float], goal: float, far: float) -> float:
    """The largest radius up to `far` at which `change` is below `goal`, by bisection; a radius found to be below it."""
    low, high = _SMALLEST, far
    if change(high) < goal:
        return high
    if change(low) >= goal:
        return 0.0
    while high > _PRECISION * low:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if change(middle) < goal else (low, middle)
    return low
