"""Which samples and which neurons change their activation pattern, and when, on boolean arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def flip_marginals(
    masks_a: NDArray[np.bool_], masks_b: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """In how many entries two masks differ: for each sample, and for each neuron.

    Parameters
    ----------
    masks_a, masks_b : array of bool, shape (n, m)

    Returns
    -------
    samples : array of int64, shape (n,)
    neurons : array of int64, shape (m,)

    Raises
    ------
    ValueError
        When the shapes differ (NumPy would broadcast them).

    Examples
    --------
    >>> flip_marginals(np.array([[True, False]]), np.array([[True, True]]))
    (array([1]), array([0, 1]))
    """
    if masks_a.shape != masks_b.shape:
        raise ValueError(f"masks_a and masks_b must have one shape, got {masks_a.shape} and {masks_b.shape}")
    changed = masks_a != masks_b
    return changed.sum(axis=1, dtype=np.int64), changed.sum(axis=0, dtype=np.int64)


def flip_history(masks: Sequence[NDArray[np.bool_]], steps: Sequence[int]) -> dict[str, NDArray[np.int64]]:
    """Pattern changes over a run, from its masks at some steps.

    Parameters
    ----------
    masks : sequence of arrays of bool, shape (n, m)
    steps : sequence of int
        The step of each.

    Returns
    -------
    dict
        "net", entries that differ from the first mask, and "changed", entries that differ from the mask before, both
        with one entry per mask. For each sample and each neuron (``sample_`` and ``neuron_`` before the name): "net" at the
        last mask; "total", the changes from mask to mask, added; "first", the step of the first change, -1 for none.

    Examples
    --------
    >>> log = flip_history([np.array([[True, bit]]) for bit in (True, False, True)], [0, 1, 2])
    >>> log["net"], log["neuron_net"], log["neuron_total"], log["neuron_first"]
    (array([0, 1, 0]), array([0, 0]), array([0, 2]), array([-1,  1]))
    """
    previous = [masks[0], *masks[:-1]]
    log = {
        "net": np.array([np.count_nonzero(now != masks[0]) for now in masks]),
        "changed": np.array([np.count_nonzero(now != old) for now, old in zip(masks, previous, strict=True)]),
    }
    for axis, name in enumerate(("sample", "neuron")):
        changes = np.array([flip_marginals(old, now)[axis] for now, old in zip(masks, previous, strict=True)])
        first = np.asarray(steps)[np.argmax(changes > 0, axis=0)]
        log[f"{name}_net"] = flip_marginals(masks[0], masks[-1])[axis]
        log[f"{name}_total"] = changes.sum(axis=0)
        log[f"{name}_first"] = np.where(changes.any(axis=0), first, -1)
    return log
