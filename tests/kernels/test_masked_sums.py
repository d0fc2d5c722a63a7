"""The bits-times-dense kernel ``S = M^T diag(e) V`` against the reference."""

import numpy as np
import pytest

from fastntk import PackedMasks, reference
from fastntk.kernels import scratch
from fastntk.kernels.cpu.masked_sums import NARROW, NARROW_ROWS, NEURON_BLOCK, WIDE, WIDE_ROWS
from fastntk.kernels.scratch import column_tiles
from fastntk.model.masked_sums import scaled_sums

SIZES = (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129)
DTYPES = (np.float32, np.float64)
CACHES = {WIDE_ROWS: 48 * 2**10, NARROW_ROWS: 32 * 2**10}


@pytest.fixture(params=CACHES, autouse=True)
def rows(request, monkeypatch):
    """Rows of the tables, on a machine with a first-level cache of that size."""
    monkeypatch.setattr(scratch, "first_level_cache", lambda: CACHES[request.param])
    scratch.table_rows.cache_clear()
    yield request.param
    scratch.table_rows.cache_clear()


def sums(dense, V, e, dtype):
    masks = PackedMasks.from_dense(dense)
    out = np.full((dense.shape[1], V.shape[1]), np.nan, dtype)
    scale = (2.0 ** (np.arange(dense.shape[1]) % 3)).astype(dtype)
    finite = scaled_sums(masks.bits, column_tiles(V, np.dtype(dtype)), e.astype(dtype), scale, out)
    assert finite == np.isfinite(out).all()
    return out / scale[:, None]  # by powers of two: exact


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_exact_on_integers(n, dtype, rng):
    for m in SIZES:
        for p in (1, 15, 16, 17, 33):
            dense = rng.integers(0, 2, (n, m)).astype(bool)
            V, e = rng.integers(-9, 10, (n, p)).astype(dtype), rng.integers(-9, 10, n).astype(dtype)
            expected = reference.masked_sums(dense, e[:, None] * V)
            assert np.array_equal(sums(dense, V, e, dtype), expected), (n, m, p)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [NEURON_BLOCK - 1, NEURON_BLOCK, NEURON_BLOCK + 1, 2 * NEURON_BLOCK + 65])
@pytest.mark.parametrize("n", [1, 40])
def test_exact_across_blocks_of_neurons(n, m, dtype, rng):
    dense = rng.integers(0, 2, (n, m)).astype(bool)
    V, e = rng.integers(-9, 10, (n, 18)).astype(dtype), rng.integers(-9, 10, n).astype(dtype)
    assert np.array_equal(sums(dense, V, e, dtype), reference.masked_sums(dense, e[:, None] * V))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 8, 129, 1000])
def test_rounding(n, dtype, rng):
    dense = rng.integers(0, 2, (n, 130)).astype(bool)
    V, e = rng.standard_normal((n, 20)).astype(dtype), rng.standard_normal(n).astype(dtype)
    exact = reference.masked_sums(dense, e[:, None].astype(np.float64) * V)
    size = reference.masked_sums(np.ones_like(dense), np.abs(e[:, None].astype(np.float64) * V))
    # a product, 6 additions in a table, then at most 8 for each word of 64 samples
    bound = (7 + 8 * -(-n // 64)) * np.finfo(dtype).eps / 2 * size * 1.001
    assert (np.abs(sums(dense, V, e, dtype) - exact) <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_table_row_is_one_subset(dtype, rows):
    """All subsets of the samples of each table: powers of two make every sum different."""
    sizes, first = WIDE if rows == WIDE_ROWS else NARROW, 0
    for size in sizes:
        dense = np.zeros((64, 1 << size), bool)
        dense[first : first + size] = (np.arange(1 << size) >> np.arange(size)[:, None]) & 1
        e = np.zeros(64)
        e[first : first + size] = 2.0 ** np.arange(size)
        out = sums(dense, np.ones((64, 1)), e, dtype)
        assert np.array_equal(out[:, 0], np.arange(1 << size))
        first += size
    assert first == 64


def test_tables_follow_the_cache(monkeypatch, rows):
    assert scratch.table_rows() == rows
    assert 64 * rows <= CACHES[rows]
    monkeypatch.setattr(scratch, "first_level_cache", lambda: None)  # not told: what is right on all
    scratch.table_rows.cache_clear()
    assert scratch.table_rows() == NARROW_ROWS


def test_unused_samples_do_not_leak():
    """A NaN reaches the neurons that are active on its sample, and their column, alone."""
    dense = np.zeros((20, 70), bool)
    dense[3, 5] = dense[11] = True
    V = np.ones((20, 3))
    V[3, 1] = np.nan
    out = sums(dense, V, np.ones(20), np.float64)
    assert np.isnan(out[5, 1])
    assert np.isnan(out).sum() == 1
