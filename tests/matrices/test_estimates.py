"""What `estimate` says of a source is what the source does: its blocks, its work, its memory."""

import math
import tracemalloc

import numpy as np
import pytest

import fastntk
from fastntk.matrices import blocks, deep, passes
from fastntk.matrices.blocks import FiniteGram
from fastntk.matrices.finite import gram_source
from fastntk.matrices.limit import limit_source
from fastntk.matrices.limit_blocks import LimitGram
from fastntk.matrices.neurons import DrawnNeurons
from fastntk.matrices.passes import terms_of
from fastntk.matrices.tiled import blocks as tiling
from fastntk.matrices.tiled import compute
from fastntk.matrices.tiled.blocks import Blocks
from fastntk.matrices.tiled.whole import blocks_of
from fastntk.model.forward import Forward
from tests.matrices.tiled_targets import TARGETS, N

SHAPES = [(300, None, 300), (300, 200, 300), (300, None, 140), (300, 200, 140)]  # n, k, edge of the blocks
TERMS = [("first", True), ("first", False), ("both", False)]  # layers, whether patterns are kept


def points(n, k, d, rng):
    return rng.standard_normal((n, d)), None if k is None else rng.standard_normal((k, d))


def filled(make, cut, dtype):
    """Fill all blocks of a new source."""
    source, out = make(), np.empty(math.prod(cut.largest), dtype)
    for place in cut:
        rows, columns = cut.slices(place)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        source.fill(rows, columns, out[: height * width].reshape(height, width))


def peak(work, *arguments):
    """Bytes held at the most by a call, after one that compiles; the least of three: other threads take some too."""
    work(*arguments)
    found = []
    for _ in range(3):
        tracemalloc.start()
        try:
            work(*arguments)
            found.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return min(found)


@pytest.mark.parametrize(
    ("target", "k"),
    [*((name, None) for name in (None, *TARGETS)), ("npy", 30), ("zarr", 30), ("hdf5 chunks", 30)],
)
def test_blocks_are_those_that_are_computed(target, k, tmp_path, rng, monkeypatch):
    monkeypatch.setattr(tiling, "_BYTES", 12 * 12 * 8)
    monkeypatch.setitem(tiling.UNIT, 8, 4)
    source = limit_source(*points(N, k, 3, rng))
    out = None if target is None else TARGETS[target](tmp_path, source)
    cut = blocks_of(out, source.shape, k is None, source.dtype)
    done, fill = [], source.fill
    monkeypatch.setattr(source, "fill", lambda *block: (done.append(block[:2]), fill(*block)))
    compute(source, out)
    assert done == [cut.slices(place) for place in cut]
    assert (len(cut) == 1) == (target is None)
    sizes = [(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in done]
    assert cut.largest == tuple(np.max(sizes, axis=0))
    assert target != "zarr shards" or cut.largest == (8, 8)  # a shard is written as a whole


@pytest.mark.parametrize(("n", "k", "edge"), SHAPES)
@pytest.mark.parametrize(("layers", "kept"), TERMS)
def test_neurons_are_drawn_and_applied_as_often(n, k, edge, layers, kept, rng, monkeypatch):
    m, d = 1000, 3
    monkeypatch.setattr(blocks, "KEPT_BYTES", n * m if kept else 0)
    monkeypatch.setattr(passes, "_PIECE_BYTES", 1)  # several pieces
    drawn = applied = 0
    signs, pieces = Forward.signs, DrawnNeurons.pieces

    def counted_signs(self, W, first, bits):
        nonlocal applied
        applied += self._n * len(W)
        signs(self, W, first, bits)

    def counted_pieces(self, size):
        nonlocal drawn
        for W in pieces(self, size):
            drawn += len(W)
            yield W

    monkeypatch.setattr(Forward, "signs", counted_signs)
    monkeypatch.setattr(DrawnNeurons, "pieces", counted_pieces)
    X, Z = points(n, k, d, rng)
    cut = Blocks((n, k or n), k is None, edge, edge)
    filled(lambda: gram_source(X, Z=Z, width=m, layers=layers), cut, np.float64)
    work = FiniteGram.estimate(cut, d, m, terms_of(layers, np.ones(1)))
    assert (work.passes * m, work.points * m) == (drawn, applied)


@pytest.mark.parametrize(("n", "k", "edge"), SHAPES)
@pytest.mark.parametrize(("layers", "kept"), TERMS)
def test_memory_of_a_finite_width(n, k, edge, layers, kept, rng, monkeypatch):
    m, d = 30_000, 20
    monkeypatch.setattr(blocks, "KEPT_BYTES", n * m if kept else 0)
    monkeypatch.setattr(passes, "_PIECE_BYTES", 2**22)
    X, Z = points(n, k, d, rng)
    cut = Blocks((n, k or n), k is None, edge, edge)
    work = FiniteGram.estimate(cut, d, m, terms_of(layers, np.ones(1)))
    taken = peak(filled, lambda: gram_source(X, Z=Z, width=m, layers=layers), cut, np.float64)
    assert 0.9 < work.filling_bytes / (taken - 8 * math.prod(cut.largest)) < 1.1
    assert work.lasting_bytes <= work.filling_bytes


@pytest.mark.parametrize(("n", "k", "edge"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_memory_of_a_limit(n, k, edge, dtype, rng):
    X, Z = points(10 * n, k and 10 * k, 200, rng)
    cut = Blocks((10 * n, 10 * (k or n)), k is None, 10 * edge, 10 * edge)
    work = LimitGram.estimate(cut, 200, 1, np.dtype(dtype))
    taken = peak(filled, lambda: limit_source(X, Z, dtype=dtype), cut, dtype)
    assert 0.9 < work.filling_bytes / (taken - np.dtype(dtype).itemsize * math.prod(cut.largest)) < 1.1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("layers", "numbers"), [("all", (1, 2, 3, 4)), ((2,), (2,)), ("output", (4,))])
def test_memory_of_a_deep_network(layers, numbers, dtype, rng):
    n, d = 500, 40
    X, net = rng.standard_normal((n, d)), fastntk.DeepReLU.init(d, 1500, 3)
    work = deep.estimate(n, d, net.widths, numbers, net.dtype, np.dtype(dtype))
    taken = peak(deep.deep_gram, X, net, layers, None, dtype)
    assert 0.9 < (work.filling_bytes + n * n * np.dtype(dtype).itemsize) / taken < 1.1
