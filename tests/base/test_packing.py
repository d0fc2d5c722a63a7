"""The packed-bit contract."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastntk import PackedMasks

SIZES = (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129)


@given(hnp.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 140))))
def test_round_trip(dense):
    masks = PackedMasks.from_dense(dense)
    assert masks.shape == dense.shape
    assert masks.to_dense().dtype == bool
    assert np.array_equal(masks.to_dense(), dense)


@pytest.mark.parametrize("n", SIZES)
def test_layout(n, rng):
    for m in SIZES:
        dense = rng.integers(0, 2, (n, m)).astype(bool)
        bits = PackedMasks.from_dense(dense).bits
        assert bits.shape == (2 * -(-n // 16), 64 * -(-m // 64))
        i, r = rng.integers(n), rng.integers(m)
        assert (bits[i // 8, r] >> (i % 8)) & 1 == dense[i, r]
        assert np.unpackbits(bits).sum() == dense.sum()  # so the padding is 0
        assert bits.ctypes.data % 64 == 0


def test_copy_is_independent():
    masks = PackedMasks.from_dense(np.ones((3, 5), bool))
    copied = masks.copy()
    copied.bits[0, 0] = 0
    assert masks.to_dense().all()
    assert not copied.to_dense().all()


def test_conversion_and_pickle(rng):
    dense = rng.integers(0, 2, (9, 70)).astype(bool)
    masks = PackedMasks.from_dense(dense)
    assert np.array_equal(np.asarray(masks), dense)
    assert np.array_equal(np.array(masks, dtype=np.float32), dense.astype(np.float32))
    assert np.array_equal(pickle.loads(pickle.dumps(masks)).to_dense(), dense)
    assert masks.nbytes == masks.bits.nbytes == 2 * 128
    assert repr(masks) == "PackedMasks(n=9, m=70, 256 bytes)"
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(masks, copy=False)


@pytest.mark.parametrize(
    "dense",
    [np.ones((2, 2)), np.ones(3, bool), np.ones((0, 3), bool), np.ones((2, 0), bool), [[0, 1]]],
)
def test_from_dense_wants_booleans(dense):
    with pytest.raises(ValueError, match="dense must be a non-empty boolean matrix"):
        PackedMasks.from_dense(dense)


@pytest.mark.parametrize(
    "bits",
    [
        np.zeros((2, 64), np.int8),
        np.zeros((2, 63), np.uint8),
        np.zeros((1, 64), np.uint8),
        np.zeros((64, 2), np.uint8).T,
    ],
)
def test_bits_of_the_wrong_kind(bits):
    with pytest.raises(ValueError, match=r"bits must be a C-contiguous uint8 array of shape \(2, 64\)"):
        PackedMasks(bits, (3, 5))


@pytest.mark.parametrize(("row", "column", "byte"), [(0, 5, 1), (0, 63, 128), (0, 0, 0b1000), (1, 0, 1)])
def test_dirty_padding_would_be_counted(row, column, byte):
    bits = np.zeros((2, 64), np.uint8)
    bits[row, column] = byte
    with pytest.raises(ValueError, match="bits must be 0 beyond sample 3 and neuron 5"):
        PackedMasks(bits, (3, 5))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (-1, 3)])
def test_empty_shapes(shape):
    with pytest.raises(ValueError, match="shape must be at least"):
        PackedMasks.empty(*shape)
