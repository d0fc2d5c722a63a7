"""The products with a bit matrix, dense ones, and what goes between formats."""

import ctypes.util
import sys

import numpy as np
import pytest

from fastntk import reference
from fastntk.base.packing import TILE, PackedMasks, tiles_of
from fastntk.compilation.jit_cuda import cuda
from fastntk.kernels.cuda import coactivation, expansion, masked_sums, products, transposed, vendor


def packed(rng, n, m):
    """Random masks, dense and as words of 4 neurons on the device."""
    dense = rng.random((n, m)) < 0.5
    return dense, cuda.to_device(PackedMasks.from_dense(dense).bits.view(np.uint32))


def garbage(shape, dtype):
    """An array on the device full of what nobody wants to read."""
    return cuda.to_device(np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 77, dtype))


# One block and its edges; two blocks each way and a chunk of words that is not whole.
@pytest.mark.parametrize(("n", "m"), [(1, 1), (63, 1024), (64, 65), (65, 1090)])
def test_counts_are_exact(rng, n, m):
    dense, words_of_bits = packed(rng, n, m)
    words = garbage((TILE * tiles_of(n), words_of_bits.shape[1] // 8), np.uint32)
    counts = garbage((n, n), np.int64)
    coactivation.to_words(words_of_bits, 0, words)
    expected = reference.coactivation_counts(dense)
    for add in (False, True):
        coactivation.coactivation_counts(words, words, True, add, counts)
        assert np.array_equal(counts.copy_to_host(), (1 + add) * expected)


@pytest.mark.parametrize(("n", "k", "m"), [(1, 65, 70), (65, 3, 1090)])
def test_counts_of_two_patterns_are_exact(rng, n, k, m):
    (dense, bits), (other, other_bits) = packed(rng, n, m), packed(rng, k, m)
    words = [garbage((TILE * tiles_of(rows), bits.shape[1] // 8), np.uint32) for rows in (n, k)]
    for some, of in zip((bits, other_bits), words, strict=True):
        coactivation.to_words(some, 0, of)
    counts, expected = garbage((n, k), np.int64), dense.astype(np.int64) @ other.T
    for add in (False, True):
        coactivation.coactivation_counts(*words, False, add, counts)
        assert np.array_equal(counts.copy_to_host(), (1 + add) * expected)


@pytest.mark.parametrize("first", [0, 96])
def test_words_hold_the_bits_of_a_sample(rng, first):
    dense, words_of_bits = packed(rng, 20, 130)
    words = garbage((32, words_of_bits.shape[1] // 8), np.uint32)  # from 96 on, more than are left
    coactivation.to_words(words_of_bits, first, words)
    bits = np.unpackbits(words.copy_to_host().view(np.uint8), axis=1, bitorder="little")
    assert np.array_equal(bits[:20, : 130 - first], dense[:, first:])
    assert not bits[20:].any()
    assert not bits[:, 130 - first :].any()


def test_counts_are_written_and_added(rng):
    part = rng.integers(0, 99, (48, 48)).astype(np.int32)
    square = part[:33, :33].astype(np.int64)
    for symmetric, k, whole in (
        (True, 33, np.tril(square) + np.tril(square, -1).T),
        (False, 5, square[:, :5]),
    ):
        out = garbage((33, k), np.int64)
        for add in (False, True):
            coactivation.write_counts(cuda.to_device(part), symmetric, add, out)
            assert np.array_equal(out.copy_to_host(), (1 + add) * whole)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
# A column tile is 32 floats or 16 doubles; a group of threads has 56 or 28 neurons.
@pytest.mark.parametrize(
    ("n", "p", "m", "first"), [(1, 1, 1, 0), (8, 16, 56, 0), (16, 32, 960, 64), (17, 33, 129, 64)]
)
def test_masked_sums_of_integers_are_exact(rng, n, p, m, first, dtype):
    dense, words_of_bits = packed(rng, n, m)
    V = rng.integers(-3, 4, (n, p)).astype(dtype)
    e = np.zeros(TILE * tiles_of(n), dtype)
    e[:n] = rng.integers(-2, 3, n)
    out = garbage((p, m - first + 2), dtype)
    masked_sums.masked_sums(words_of_bits, cuda.to_device(V), cuda.to_device(e), first, m - first, out)
    expected = reference.masked_sums(dense, e[:n, np.newaxis] * V)[first:].T
    assert np.array_equal(out.copy_to_host()[:, : m - first], expected)
    assert np.isnan(out.copy_to_host()[:, m - first :]).all()


def test_masked_sums_reach_a_second_block_of_neurons(rng):
    n, m = 3, masked_sums.NEURONS + 64 + 7
    dense, words_of_bits = packed(rng, n, m)
    V, e = rng.standard_normal((n, 2)).astype(np.float32), rng.standard_normal(n).astype(np.float32)
    out = garbage((2, m), np.float32)
    masked_sums.masked_sums(words_of_bits, cuda.to_device(V), cuda.to_device(e), 0, m, out)
    expected = reference.masked_sums(dense, (e[:, np.newaxis] * V).astype(np.float64)).T
    # Three terms: two roundings of the sum, one of the product.
    bound = 3 * 2.0**-24 * np.abs(e[:, np.newaxis] * V).sum(axis=0)[:, np.newaxis]
    assert (np.abs(out.copy_to_host() - expected) <= bound).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "columns", "depth"), [(1, 1, 1), (64, 64, 16), (63, 65, 17)])
def test_dense_products_of_integers_are_exact(rng, rows, columns, depth, dtype):
    A = rng.integers(-3, 4, (rows, depth)).astype(dtype)
    B = rng.integers(-3, 4, (depth, columns)).astype(dtype)
    for function, factor in ((products.product, B), (products.product_transposed, np.ascontiguousarray(B.T))):
        out = garbage((rows, columns + 2), dtype)
        function(cuda.to_device(A), cuda.to_device(factor), out)
        assert np.array_equal(out.copy_to_host()[:, :columns], A @ B)
        assert np.isnan(out.copy_to_host()[:, columns:]).all()


def test_scaled_transpose(rng):
    S, scale = rng.standard_normal((33, 70)), rng.standard_normal(66)
    out = garbage((65, 33), np.float64)
    transposed.scaled_transpose(cuda.to_device(S), cuda.to_device(scale), out)
    assert np.array_equal(out.copy_to_host(), scale[:65, np.newaxis] * S[:, :65].T)


@pytest.mark.parametrize("first", [0, 64])
def test_masks_as_bytes(rng, first):
    dense, words_of_bits = packed(rng, 17, 70)
    ones = garbage((32, words_of_bits.shape[1]), np.uint32)  # from 64 on, more than are left
    expansion.to_bytes(words_of_bits, first, ones)
    found = ones.copy_to_host().view(np.int8)
    assert np.array_equal(found[:17, : 70 - first], dense[:, first:])
    assert found.sum() == dense[:, first:].sum()  # padding is zero


@pytest.mark.parametrize("first", [0, 64])
def test_masks_as_bf16(rng, first):
    dense, words_of_bits = packed(rng, 17, 150)
    ones = garbage((32, 80), np.uint32)  # 160 neurons: more than are left
    expansion.to_bf16(words_of_bits, first, ones)
    found = (ones.copy_to_host().view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    assert np.array_equal(found[:17, : 150 - first], dense[:, first:])
    assert found.sum() == dense[:, first:].sum()


def test_three_parts_are_the_whole(rng):
    V = (rng.standard_normal((3, 130)) * 10.0 ** rng.integers(-25, 25, (3, 130))).astype(np.float32)
    V[0, :4] = [0.0, -0.0, 2.0**-100 * (2 - 2.0**-23), np.float32(np.finfo(np.float32).max)]
    parts = garbage((3, 3, 130), np.uint16)
    expansion.split(cuda.to_device(V), parts)
    halves = (parts.copy_to_host().astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    assert np.array_equal(halves.sum(axis=0), V)
    assert (np.abs(halves[0]) <= np.abs(halves[1])).all()
    assert (np.abs(halves[1]) <= np.abs(halves[2])).all()


def test_scaled_rows_end_in_zeros(rng):
    V, e = rng.standard_normal((3, 5)).astype(np.float32), rng.standard_normal(16).astype(np.float32)
    out = garbage((16, 8), np.float32)
    expansion.scale_rows(cuda.to_device(V), cuda.to_device(e), out)
    expected = np.zeros((16, 8), np.float32)
    expected[:3, :5] = e[:3, np.newaxis] * V
    assert np.array_equal(out.copy_to_host(), expected)


def test_cublas_is_found_inside_torch_where_nothing_else_has_it(tmp_path, monkeypatch):
    library = tmp_path / "torch" / "lib" / "libcublas.so.12"
    library.parent.mkdir(parents=True)
    (tmp_path / "torch" / "__init__.py").touch()
    library.touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(vendor, "simulated", lambda: False)
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)  # cannot be imported
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    loaded = []
    monkeypatch.setattr(ctypes, "CDLL", lambda path: loaded.append(path) or path)
    assert vendor.load("cublas") == str(library)
    library.unlink()
    assert vendor.load("cublas") is None
    assert loaded == [str(library)]
