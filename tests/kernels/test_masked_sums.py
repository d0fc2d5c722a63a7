"""The bits-times-dense kernel ``S = M^T diag(e) V`` against the reference."""

import numpy as np
import pytest

from fastntk import PackedMasks, reference
from fastntk.kernels.cpu.masked_sums import NEURON_BLOCK, masked_sums
from fastntk.kernels.scratch import column_tiles, padded_vector, table_scratch

SIZES = (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129)
DTYPES = (np.float32, np.float64)


def sums(dense, V, e, dtype):
    masks = PackedMasks.from_dense(dense)
    out = np.full((dense.shape[1], V.shape[1]), np.nan, dtype)
    padded = padded_vector(e, 8 * len(masks.bits), np.dtype(dtype))
    scratch = table_scratch(dense.shape[1], np.dtype(dtype))
    masked_sums(masks.bits, column_tiles(V, np.dtype(dtype)), padded, *scratch, out)
    return out


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
    # a product and 8 additions in a table, then one addition for each byte of samples
    bound = (9 + n / 8) * np.finfo(dtype).eps * size
    assert (np.abs(sums(dense, V, e, dtype) - exact) <= bound).all()


def test_each_table_row_is_one_subset():
    """All 256 patterns of eight samples at once: powers of two make every subset sum different."""
    dense = np.unpackbits(np.arange(256, dtype=np.uint8)[None], axis=0, bitorder="little").astype(bool)
    out = sums(dense, np.ones((8, 1)), 2.0 ** np.arange(8), np.float64)
    assert np.array_equal(out[:, 0], np.arange(256))


def test_unused_samples_do_not_leak():
    """A NaN reaches the neurons that are active on its sample, and their column, alone."""
    dense = np.zeros((20, 70), bool)
    dense[3, 5] = dense[11] = True
    V = np.ones((20, 3))
    V[3, 1] = np.nan
    out = sums(dense, V, np.ones(20), np.float64)
    assert np.isnan(out[5, 1])
    assert np.isnan(out).sum() == 1
