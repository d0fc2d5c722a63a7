"""How fast this machine computes blocks of a Gram matrix and writes to a disk: short measurements of the real thing."""

from __future__ import annotations

import functools
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.optimize

from fastntk.matrices import deep
from fastntk.matrices.tiled.source import GramSource
from fastntk.model.deep import DeepReLU

_POINTS = 1600  # of the largest sample
_SECONDS = 0.1  # of one measurement
_DEEP = 768  # samples, dimensions and neurons of each of the two layers of a deep network
_FLOATS = 4_000_000  # of the largest sample's points
_WRITTEN = 2**26  # bytes


class Matrix(NamedTuple):
    """What the speed of a block depends on, besides its size."""

    d: int
    width: int | None
    layers: str
    depth: int
    dtype: str


@dataclass(frozen=True)
class BlockTimes:
    """Seconds per block, per pair, and per neuron: alone, times points, times pairs."""

    call: float
    pair: float
    neuron: float = 0.0
    activation: float = 0.0
    match: float = 0.0

    def seconds(self, passes: int, pairs: int, points: int, width: int) -> float:
        """Time of so many passes over the neurons, applied to so many points in all."""
        per_neuron = self.neuron * passes + self.activation * points + self.match * pairs
        return self.call * passes + self.pair * pairs + per_neuron * width


def fill_rates(matrix: Matrix, symmetric: bool) -> BlockTimes:
    """Times of the blocks of a matrix."""
    if matrix.width is None:
        return _limit_rates(matrix, symmetric)
    return _network_rates(matrix._replace(width=None))


@functools.cache
def _limit_rates(matrix: Matrix, symmetric: bool) -> BlockTimes:
    """Time two sizes; the larger one decides the time per pair."""
    from fastntk.matrices.limit import limit_source

    def sample(size: int) -> float:
        points = _sample(size, matrix.d)
        others = None if symmetric else _sample(size, matrix.d)
        options = matrix.layers, matrix.depth, 1.0, matrix.dtype
        return _fill_time(lambda: limit_source(points, others, *options))

    def pairs(size: int) -> int:
        return size * (size + 1) // 2 if symmetric else size * size

    few = 64
    call = sample(few)
    most = min(_POINTS, max(2 * few, _FLOATS // matrix.d))
    middle = max(2 * few, most // 4)
    seconds = sample(middle)
    size = int(min(most, middle * max(1.0, (_SECONDS / seconds) ** 0.5)))
    rate = max(sample(size) - call, 0.0) / (pairs(size) - pairs(few))
    return BlockTimes(max(call - rate * pairs(few), 0.0), rate)


@functools.cache
def _network_rates(matrix: Matrix) -> BlockTimes:
    """Time blocks that differ in points and neurons, and find the rates that explain them best."""
    from fastntk.matrices.finite import gram_source

    rows, seconds = [], []
    for points, neurons in ((32, 64), (32, 2**16), (512, 64), (512, 2048), (1024, 4096)):
        n, m = (max(1, min(size, _FLOATS // matrix.d)) for size in (points, neurons))
        pairs = n * (n + 1) // 2
        rows.append([1.0, pairs, m, m * n, m * pairs])
        make = functools.partial(gram_source, width=m, layers=matrix.layers, dtype=matrix.dtype)
        seconds.append(_fill_time(functools.partial(make, _sample(n, matrix.d))))
    # Relative errors count, and no rate is negative.
    weighted = np.array(rows) / np.array(seconds)[:, np.newaxis]
    scale = np.abs(weighted).max(axis=0)
    found, _ = scipy.optimize.nnls(weighted / scale, np.ones(len(rows)))
    return BlockTimes(*(float(rate) for rate in found / scale))


@functools.cache
def deep_rate() -> float:
    """Multiply-adds in a second of a small network with two hidden layers."""
    X, net = _sample(_DEEP, _DEEP), DeepReLU.init(_DEEP, _DEEP, 2)
    work = deep.estimate(_DEEP, _DEEP, net.widths, (1, 2), net.dtype, X.dtype)
    return work.multiply_adds / _best_time(lambda: deep.deep_gram(X, net, "hidden"))


def _sample(n: int, d: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, d))


def _fill_time(make: Callable[[], GramSource]) -> float:
    """Seconds of filling all of it, by a new source each time: they keep what they have computed."""
    sources = [make() for _ in range(3)]
    (n, k), dtype = sources[0].shape, sources[0].dtype
    return _best_time(lambda: sources.pop().fill(slice(0, n), slice(0, k), np.empty((n, k), dtype)))


def _best_time(work: Callable[[], object]) -> float:
    """Seconds, the best of two after one that compiles."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


@functools.cache
def write_rate(folder: Path) -> float:
    """Bytes per second that reach the disk of a folder; nothing is left there."""
    piece = np.random.default_rng(0).bytes(2**20)
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            began = time.perf_counter()
            for _ in range(_WRITTEN // len(piece)):
                file.write(piece)
            os.fsync(file.fileno())
            return _WRITTEN / (time.perf_counter() - began)
    except OSError as error:
        raise OSError(error.errno, f"out: {str(folder)!r} cannot be written ({error.strerror})") from None
