"""Inputs of the comparisons: the data of the experiment, networks, and patterns of fair coins."""

from typing import Any

import numpy as np

import fastntk
from benchmarks.case import Size
from fastntk.base.packing import NEURONS_PER_WORD, SAMPLES_PER_BYTE, PackedMasks


def data(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows and labels in the precision of the case."""
    X, y = fastntk.datasets.sphere(size.n, size.d, seed=0)
    return X.astype(size.dtype), y.astype(size.dtype)


def network(size: Size) -> fastntk.TwoLayerReLU:
    """The network of the experiment."""
    return fastntk.TwoLayerReLU.init(size.d, size.m, seed=0, dtype=size.dtype)


def pattern(size: Size, seed: int = 0) -> PackedMasks:
    """Fair coins, drawn eight at a time: much faster than a forward product, and no kernel's speed depends on it."""
    rng = np.random.default_rng(seed)
    masks = PackedMasks.empty(size.n, size.m)
    rows, width = masks.bits.shape
    masks.bits[...] = rng.integers(0, 256, size=(rows, width), dtype=np.uint8)
    masks.bits[:, size.m :] = 0
    for row in range(rows):  # padding samples are zero
        kept = min(max(size.n - SAMPLES_PER_BYTE * row, 0), SAMPLES_PER_BYTE)
        masks.bits[row] &= np.uint8((1 << kept) - 1)
    assert width % NEURONS_PER_WORD == 0
    return masks


def ones(masks: PackedMasks) -> np.ndarray:
    """The pattern as zeros and ones in float32, what BLAS needs."""
    return masks.to_dense().astype(np.float32)


def same(ours: Any, theirs: Any, what: str) -> None:
    """Exact equality."""
    if not np.array_equal(ours, theirs):
        raise AssertionError(f"{what} differ")


def close(ours: Any, theirs: Any, what: str, relative: float) -> None:
    """Equality up to `relative` times the largest entry."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    error, scale = float(np.abs(ours - theirs).max()), float(np.abs(theirs).max())
    if not error <= relative * scale:
        raise AssertionError(f"{what} differ by {error:.3g} at a largest entry of {scale:.3g}")


def rounding(dtype: str) -> float:
    """Relative difference allowed between two orders of summation of a few thousand terms."""
    return 1e-4 if dtype == "float32" else 1e-12
