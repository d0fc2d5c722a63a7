"""What the Gram matrix of a network with several hidden layers will take, and training it."""

from __future__ import annotations

import functools
import time
from typing import Any

import numpy as np

from fastntk.base.memory import available_bytes
from fastntk.matrices.deep import deep_gram
from fastntk.matrices.plan_table import Plan
from fastntk.model.deep import DeepReLU, weights_bytes
from fastntk.model.layers import descent_bytes, forward_bytes
from fastntk.model.words import layer_numbers

__all__ = ["deep_plan"]

_DTYPE = np.dtype(np.float32)
_PROBE = 768  # samples, dimensions and neurons of each of two layers of the network that is timed


def deep_plan(n: int, d: int, widths: tuple[int, ...], layers: Any, dtype: np.dtype) -> Plan:
    """The plan of `fastntk.matrices.deep.deep_gram`, whose products are all but a small part of its work."""
    depth = len(widths)
    numbers = layer_numbers("hidden" if layers == "first" else layers, depth)
    weights = weights_bytes(d, widths, _DTYPE)
    size = n * n * dtype.itemsize
    deltas = n * sum(widths[numbers[0] - 1 :]) * _DTYPE.itemsize
    matrices = 4 * 8 * n * n + (size if dtype.itemsize < 8 else 0)
    products, bits = _operations(n, d, widths, numbers)
    return Plan(
        shape=(n, n),
        d=d,
        width=widths,
        layers=layers,
        depth=depth,
        dtype=dtype.name,
        result_bytes=size,
        resident_bytes=weights + forward_bytes(n, d, widths, _DTYPE) + deltas + matrices + 8 * d * n,
        multiply_adds=products,
        bit_products=bits,
        blocks=1,
        block=(n, n),
        seconds=products / _rate(),
        memory_available=available_bytes(),
        training_bytes=weights + descent_bytes(n, d, widths, _DTYPE),
    )


def _operations(n: int, d: int, widths: tuple[int, ...], numbers: tuple[int, ...]) -> tuple[int, int]:
    """Multiply-adds, and pairs of bits, of a network whose output weights are signs."""
    depth, pairs, inputs = len(widths), n * (n + 1) // 2, (d, *widths)
    found = n * sum(rows * columns for rows, columns in zip(widths, inputs, strict=False))
    found += n * sum(widths[h] * widths[h - 1] for h in range(numbers[0], depth))
    found += pairs * sum(inputs[layer - 1] for layer in numbers)
    found += pairs * sum(widths[layer - 1] for layer in numbers if layer < depth)
    return found, pairs * widths[-1] if depth in numbers else 0


@functools.cache
def _rate() -> float:
    """Multiply-adds in a second: a small network, timed once, the best of two after one that compiles."""
    X = np.random.default_rng(0).standard_normal((_PROBE, _PROBE))
    net = DeepReLU.init(_PROBE, _PROBE, 2)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        deep_gram(X, net, "hidden")
        times.append(time.perf_counter() - began)
    return _operations(_PROBE, _PROBE, net.widths, (1, 2))[0] / min(times)
