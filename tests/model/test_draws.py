"""The initial weights: functions of seed, neuron and column alone, and normal."""

import concurrent.futures

import numpy as np
import pytest
import scipy.stats

from fastntk import TwoLayerReLU, reference
from fastntk.compilation.threads import kernel_threads
from fastntk.model.draws import Draws
from fastntk.reference.draws import philox

# A value is a radius of at most 6.77 times a cosine, each within 2 ulp; NumPy's angle of up to 2 pi is rounded once.
WITHIN = 6.77 * (2 * np.pi + 4) * np.finfo(np.float64).eps


def weights(first, count, d, dtype=np.float64, **settings):
    out = np.full((count, d), np.nan, dtype)
    Draws(**{"seed": 5, **settings}).weights(first, out)
    return out


def test_philox_of_the_authors():
    """The known answers that come with the authors' library."""
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    assert [int(x) for x in philox(np.array(pi, np.uint64), (0xA4093822, 0x299F31D0))] == [
        0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1,
    ]  # fmt: skip
    ones = np.full(4, 2**32 - 1, np.uint64)
    assert [int(x) for x in philox(ones, (2**32 - 1, 2**32 - 1))] == [
        0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD,
    ]  # fmt: skip


@pytest.mark.parametrize("d", [1, 2, 15, 16, 17, 63, 64, 65, 127, 129, 200])
@pytest.mark.parametrize("first", [0, 7, 2**32 - 3, 2**40])
@pytest.mark.parametrize("count", [1, 64, 65])
def test_weights_are_those_of_the_reference(d, first, count):
    expected = reference.drawn_weights(5, first, count, d)
    assert np.abs(weights(first, count, d) - expected).max() <= WITHIN
    assert np.array_equal(weights(first, count, d, np.float32), weights(first, count, d).astype(np.float32))
    assert np.array_equal(weights(first, count, d, kappa=0.3), 0.3 * weights(first, count, d))


@pytest.mark.parametrize("first", [0, 1, 4095, 4096, 2**33 + 5])
@pytest.mark.parametrize("count", [1, 4096, 10000])
def test_signs_are_those_of_the_reference(first, count):
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        signs = Draws(5).signs(first, count, dtype)
        assert signs.dtype == dtype
        assert np.array_equal(signs, reference.drawn_signs(5, first, count))


def test_any_block_in_any_order_on_any_number_of_threads():
    whole = TwoLayerReLU.init(30, 1000, seed=9)
    draws = Draws(9)
    for first, last in ((900, 1000), (0, 1), (1, 900)):
        rows = np.empty((last - first, 30), np.float32)
        with kernel_threads(1):
            draws.weights(first, rows)
            signs = draws.signs(first, last - first, rows.dtype)
        assert np.array_equal(rows, whole.W[first:last])
        assert np.array_equal(signs, whole.a[first:last])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for net in pool.map(lambda _: TwoLayerReLU.init(30, 1000, seed=9), range(8)):
            assert np.array_equal(net.W, whole.W)


def test_pairs():
    paired, plain = Draws(3, paired=True), Draws(3)
    rows, alone = np.empty((9, 5)), np.empty((6, 5))
    paired.weights(3, rows)  # neurons 3 to 11 are the pairs 1 (second half) to 5
    plain.weights(0, alone)
    assert np.array_equal(rows, alone[[1, 2, 2, 3, 3, 4, 4, 5, 5]])
    signs = plain.signs(0, 6, rows.dtype)
    expected = np.stack((signs, -signs), axis=1).reshape(-1)
    assert np.array_equal(paired.signs(3, 9, rows.dtype), expected[3:12])


def test_numbers_are_normal_and_independent():
    rows = weights(0, 20000, 100)
    assert scipy.stats.kstest(rows.ravel(), "norm").pvalue > 1e-4
    squares = scipy.stats.kstest((rows**2).sum(1), scipy.stats.chi2(100).cdf)
    assert squares.pvalue > 1e-4
    columns = np.corrcoef(rows, rowvar=False) - np.eye(100)
    assert np.abs(columns).max() <= 5.5 / np.sqrt(len(rows))
    assert np.abs(np.corrcoef(rows[:100] ** 2) - np.eye(100)).max() <= 0.6
    beyond = (np.abs(rows) > 4.0).sum()
    expected = rows.size * 2 * scipy.stats.norm.sf(4.0)
    assert abs(beyond - expected) <= 5 * np.sqrt(expected)
    assert not np.array_equal(weights(0, 3, 4, seed=6), weights(0, 3, 4))
