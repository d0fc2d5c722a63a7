"""Products with their scratch: our own kernels, and cuBLAS by a double that computes what cuBLAS documents.

The double reads the memory that the pointers name, column-major as cuBLAS does, and refuses what would not reach the
matrix units. On a device the same tests run the real library, where it is installed.
"""

import numpy as np
import pytest

from fastntk import reference
from fastntk.base.packing import TILE, PackedMasks, padded_width, tiles_of
from fastntk.compilation.jit_cuda import cuda, simulated
from fastntk.kernels.cuda import plans, vendor
from tests.cuda.emulation.cublas import Double


@pytest.fixture(params=["own", "vendor"])
def library(request, monkeypatch):
    """Which products are used; the double remembers what it was asked."""
    if request.param == "own":
        monkeypatch.setattr(vendor, "library", lambda: None)
        return None
    if not simulated():
        found = vendor.library()
        if isinstance(found, Double):
            found.kinds.clear()
        return found
    double = Double()
    monkeypatch.setattr(vendor, "library", lambda: double)
    monkeypatch.setattr(vendor, "address", lambda array: array.ctypes.data)
    return double


def packed(rng, n, m):
    dense = rng.random((n, m)) < 0.5
    return dense, cuda.to_device(PackedMasks.from_dense(dense).bits.view(np.uint32))


def aligned(shape, dtype):
    """What a device gives: memory that starts at a multiple of 256 bytes. NumPy's need not."""
    raw = np.zeros(int(np.prod(shape)) * np.dtype(dtype).itemsize + 256, np.uint8)
    start = -raw.ctypes.data % 256
    return cuda.to_device(raw)[start : start + raw.size - 256].view(dtype).reshape(shape)


@pytest.fixture(autouse=True)
def alignment(monkeypatch):
    if simulated():
        monkeypatch.setattr(cuda, "device_array", lambda shape, dtype, stream=0: aligned(shape, dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dense_products(rng, library, dtype):
    A, B = rng.integers(-3, 4, (5, 7)).astype(dtype), rng.integers(-3, 4, (7, 3)).astype(dtype)
    products, out = plans.Products(), cuda.to_device(np.full((5, 4), np.nan, dtype))
    products.nn(cuda.to_device(A), cuda.to_device(B), out)
    assert np.array_equal(out.copy_to_host()[:, :3], A @ B)
    products.nt(cuda.to_device(A), cuda.to_device(np.ascontiguousarray(B.T)), out)
    assert np.array_equal(out.copy_to_host()[:, :3], A @ B)
    assert np.isnan(out.copy_to_host()[:, 3]).all()


def test_dense_products_with_a_range_of_columns(rng, library):
    A, B = rng.integers(-3, 4, (5, 7)).astype(np.float32), rng.integers(-3, 4, (7, 9)).astype(np.float32)
    out = cuda.to_device(np.full((5, 4), np.nan, np.float32))
    plans.Products().nn(cuda.to_device(A), cuda.to_device(B)[:, 4:7], out[:, 1:])
    assert np.array_equal(out.copy_to_host()[:, 1:], A @ B[:, 4:7])
    assert np.isnan(out.copy_to_host()[:, 0]).all()


@pytest.mark.parametrize(("n", "m"), [(1, 1), (37, 200)])
def test_counts(rng, library, monkeypatch, n, m):
    monkeypatch.setattr(plans, "_PANEL", 16)  # three panels for 37 samples
    dense, words_of_bits = packed(rng, n, m)
    out = cuda.to_device(np.full((n, n), -1))
    counting = plans.Counting(n, padded_width(m))
    for _ in range(2):  # its scratch may be used again
        counting.counts(words_of_bits, out)
        assert np.array_equal(out.copy_to_host(), reference.coactivation_counts(dense))
    if isinstance(library, Double):
        assert library.kinds == [3] * (2 * -(-n // 16))


def test_counts_of_two_patterns_by_pieces_of_neurons(rng, library):
    n, k, m, width = 37, 5, 150, 128
    (dense, bits), (other, other_bits) = packed(rng, n, m), packed(rng, k, m)
    out, counting = cuda.to_device(np.full((n, k), -1)), plans.Counting(n, width, k=k)
    for first in range(0, m, width):
        counting.counts(bits, out, other_bits, first, add=first > 0)
    assert np.array_equal(out.copy_to_host(), dense.astype(int) @ other.T)
    if isinstance(library, Double):
        assert library.kinds == [3, 3]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masked_sums(rng, library, monkeypatch, dtype):
    n, p, m = 18, 5, 1100
    monkeypatch.setattr(plans, "_SUMS_BYTES", 1)  # ranges as short as they can be
    dense, words_of_bits = packed(rng, n, m)
    V, e = rng.standard_normal((n, p)).astype(dtype), np.zeros(TILE * tiles_of(n), dtype)
    e[:n] = rng.standard_normal(n)
    sums, S = plans.MaskedSums(n, p, m, dtype), np.full((p, m), np.nan)
    firsts = []
    for first, count, found in sums.blocks(words_of_bits, cuda.to_device(V), cuda.to_device(e)):
        S[:, first : first + count] = found.copy_to_host()[:, :count]
        firsts.append(first)
    scaled = e[:n, np.newaxis] * V
    expected = reference.masked_sums(dense, scaled.astype(np.float64)).T
    # Sums of 18 terms: 17 roundings at most, and those of three parts.
    bound = 20 * np.finfo(dtype).eps / 2 * np.abs(scaled).sum(axis=0)[:, np.newaxis]
    assert (np.abs(S - expected) <= bound).all()
    split = library is not None and dtype == np.float32
    assert firsts == [0, 1024 if split else 896]
    if isinstance(library, Double):
        assert library.kinds == ([14] * 6 if split else [])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scratch_takes_what_was_announced(library, monkeypatch, dtype):
    taken, allocate = [], cuda.device_array

    def counted(shape, dtype, stream=0):
        taken.append(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        return allocate(shape, dtype, stream=stream)

    monkeypatch.setattr(cuda, "device_array", counted)
    plans.MaskedSums(37, 5, 200, dtype)
    assert sum(taken) == plans.MaskedSums.bytes_needed(37, 5, 200, dtype)
    taken.clear()
    plans.Counting(37, 256)
    assert sum(taken) == plans.Counting.bytes_needed(37, 256)
    taken.clear()
    plans.Counting(37, 256, k=5)
    assert sum(taken) == plans.Counting.bytes_needed(37, 256, k=5)


def test_a_failing_call_names_itself(monkeypatch):
    double = Double()
    double.cublasGemmEx = lambda *arguments: 15
    monkeypatch.setattr(vendor, "library", lambda: double)
    monkeypatch.setattr(vendor, "address", lambda array: array.ctypes.data)
    with pytest.raises(RuntimeError, match="cublasGemmEx failed with status 15"):
        vendor.Blas().product(*(np.zeros((2, 2)) for _ in range(3)), (2, 2, 2))


def test_the_library_is_found_once_and_its_absence_is_no_error(monkeypatch):
    monkeypatch.setattr(vendor, "simulated", lambda: False)
    found = vendor.library.__wrapped__()
    assert found is None or found.cublasGemmEx.argtypes
    assert vendor.library() is vendor.library()
