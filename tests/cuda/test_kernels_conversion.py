"""Conversion, copies and zeros of any layout; sizes on both sides of what one block and one round of the grid take."""

import numpy as np
import pytest

from fastntk.base.packing import PackedMasks
from fastntk.compilation.jit_cuda import cuda
from fastntk.kernels.cuda import conversion

ENTRIES = conversion._EACH * conversion.BLOCK


def uninitialised(shape, dtype):
    return cuda.to_device(np.full(shape, 7, dtype))


@pytest.mark.parametrize("shape", [(1,), (ENTRIES + 1,), (3, 5), (129, 64)])
@pytest.mark.parametrize(("source", "target"), [(np.int16, np.float64), (np.float64, np.float32)])
def test_convert(there, rng, shape, source, target):
    values = (100 * rng.standard_normal(shape)).astype(source)
    found, flags = uninitialised(shape, target), there(np.zeros(2, np.int32))
    conversion.convert(there(values), found, flags)
    assert np.array_equal(found.copy_to_host(), values.astype(target))
    assert not flags.copy_to_host().any()


@pytest.mark.parametrize(
    ("value", "flags"), [(np.nan, [1, 0]), (-np.inf, [1, 0]), (-1e39, [0, 1]), (3e38, [0, 0])]
)
@pytest.mark.parametrize("shape", [(9,), (4, 5)])
def test_what_does_not_convert(there, value, flags, shape):
    values = np.ones(shape)
    values.reshape(-1)[7] = value
    found = there(np.zeros(2, np.int32))
    conversion.convert(there(values), uninitialised(shape, np.float32), found)
    assert found.copy_to_host().tolist() == flags
    same = there(values)
    conversion.convert(same, same, found)  # looks, but leaves everything
    assert np.array_equal(same.copy_to_host(), values, equal_nan=True)


@pytest.mark.parametrize("several_rounds", [False, True])
def test_copy_zero_unpack_pack_and_mirror(there, rng, monkeypatch, several_rounds):
    if several_rounds:
        monkeypatch.setattr(conversion, "_MOST_BLOCKS", 1)
        monkeypatch.setattr(conversion, "_EACH", 1)
    values = rng.standard_normal((17, 30))
    strided, expected = there(values)[:, ::3], values[:, ::3]
    found = uninitialised(expected.shape, np.float64)
    conversion.copy(strided, found)
    assert np.array_equal(found.copy_to_host(), expected)
    line = uninitialised(17, np.float64)
    conversion.copy(there(values)[:, 2], line)
    assert np.array_equal(line.copy_to_host(), values[:, 2])
    conversion.zero(found)
    assert not found.copy_to_host().any()
    bits, dense = rng.integers(0, 256, (4, 64), dtype=np.uint8), uninitialised((19, 33), np.bool_)
    conversion.unpack(there(bits), dense)
    expected = np.unpackbits(bits[:, np.newaxis], axis=1, bitorder="little").reshape(-1, 64)
    assert np.array_equal(dense.copy_to_host(), expected[:19, :33].astype(np.bool_))
    bits = uninitialised((4, 128), np.uint8)
    dense = rng.random((19, 140)) < 0.5
    conversion.pack(there(dense)[:, ::2], bits)
    assert np.array_equal(bits.copy_to_host(), PackedMasks.from_dense(dense[:, ::2]).bits)
    square = rng.standard_normal((17, 17))
    there_square = there(square)
    conversion.mirror(there_square, 2.0)
    lower = 2.0 * np.tril(square)
    assert np.array_equal(there_square.copy_to_host(), lower + np.tril(lower, -1).T)
