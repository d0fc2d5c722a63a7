"""The arguments of `gram`, checked: its points, the neurons or patterns of its network, and the second layer."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.device import checks as device_checks
from fastntk.device.arrays import on_host
from fastntk.matrices.neurons import DrawnNeurons, HeldNeurons, MappedNeurons, Neurons
from fastntk.matrices.passes import LAYERS
from fastntk.model.patterns import packed


def checked(
    X: Any,
    W: Any,
    a: Any,
    Z: Any,
    masks: Any,
    layers: str,
    width: int | None,
    seed: int,
    dtype: npt.DTypeLike,
) -> tuple[Any, Any, Any, np.ndarray, np.dtype]:
    """Both sets of points, which are one without Z; neurons or two patterns; the second layer; precision.

    Neurons in host memory are `Neurons`, those on a GPU their weights.
    """
    second = LAYERS[checks.choice(layers, "layers", tuple(LAYERS))][1]
    if second and masks is not None:
        raise ValueError(f"layers={layers!r} needs W or width, got masks: they do not tell the outputs")
    kind = checks.floating_dtype(dtype)
    points = others = device_checks.matrix(X, "X")
    if Z is not None:
        others = device_checks.matrix(Z, "Z")
        checks.same_columns(points, "X", others, "Z")
    given = _one_source(W=W, masks=masks, width=width)
    found: Any
    if masks is not None:
        found = _checked_pair(masks, len(points), None if Z is None else len(others))
        m = found[0].shape[1]
    else:
        found = _neurons(W, width, seed, points)
        for samples, name in ((points, "X"), (others, "Z")):
            device_checks.representable(samples, name, found.dtype)
        m = found.count if isinstance(found, Neurons) else len(found)
    weights = np.ones(1) if a is None else on_host(device_checks.vector(a, "a", m, given, np.float64))
    return points, others, found, weights, kind


def _one_source(**sources: Any) -> str:
    """The name of the only source of neurons that is given."""
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise ValueError(f"exactly one of W, masks and width must be given, got {got}")
    return given[0]


def _neurons(W: Any, width: int | None, seed: int, points: Any) -> Any:
    """The source of the neurons, known to have as many columns as the samples; weights on a GPU."""
    if width is not None:
        return DrawnNeurons(points.shape[1], width, seed)
    if isinstance(W, np.memmap):
        neurons = MappedNeurons(W)
        checks.same_columns(points, "X", W, "W")
        return neurons
    weights = device_checks.matrix(W, "W")
    checks.same_columns(points, "X", weights, "W")
    return HeldNeurons(weights) if isinstance(weights, np.ndarray) else weights


def _checked_pair(masks: Any, n: int, k: int | None) -> tuple[Any, Any]:
    """Patterns of rows and columns: the same object if there is no second set of samples."""
    if k is None:
        if isinstance(masks, tuple):
            raise TypeError("masks must be PackedMasks or a boolean matrix without Z, got a tuple")
        left = right = packed(masks, "masks")
    else:
        if not isinstance(masks, tuple) or len(masks) != 2:
            raise TypeError(f"masks must be a pair with Z, those of X and of Z, got {type(masks).__name__}")
        left, right = packed(masks[0], "masks[0]"), packed(masks[1], "masks[1]")
        if left.shape[1] != right.shape[1]:
            raise ValueError(
                f"masks must be of the same neurons, got {left.shape[1]} for X and {right.shape[1]} for Z"
            )
    for found, rows, name in ((left, n, "X"), (right, n if k is None else k, "Z")):
        if found.shape[0] != rows:
            raise ValueError(f"masks must have one row for each row of {name} ({rows}), got {found.shape[0]}")
    return left, right
