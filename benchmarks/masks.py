"""Cases on packed bits: coactivation counts, flips, and masked sums."""

import numpy as np

import fastntk
from benchmarks import with_torch
from benchmarks.case import BLAS, NUMPY, OURS, TORCH, Case, Measure, Side, Size, Work
from benchmarks.inputs import close, ones, pattern, rounding, same
from fastntk import reference
from fastntk.kernels.cpu.masked_sums import NARROW, WIDE, WIDE_ROWS
from fastntk.kernels.scratch import column_tiles, table_rows
from fastntk.model.masked_sums import scaled_sums

_NAIVE = 2e9  # bit products beyond which NumPy's integer product takes longer than anybody would wait

GROWTH_IN_M = (500, 2000, 8000, 131072)
GROWTH_IN_N = (100, 300, 1000, 4000)


def table_reads(n: int, columns: int, m: int, itemsize: int) -> Measure:
    """The rows of tables that masked sums read, with the tables of this machine."""
    tables = len(WIDE if table_rows() == WIDE_ROWS else NARROW)
    amount = n / 64 * tables * m * columns * itemsize
    return Measure(amount, f"{tables}/64 n m entries a column, of table rows read", "table rows")


def counts(size: Size) -> Work:
    """``C_ij = sum_r M_ir M_jr`` from a packed pattern, against products of what each side likes best."""
    masks = pattern(size)
    expanded = ones(masks)
    sides = {
        OURS: Side(lambda: fastntk.coactivation_counts(masks)),
        BLAS: Side(lambda: expanded @ expanded.T),
    }
    if size.n**2 * size.m <= _NAIVE:
        dense = masks.to_dense()
        sides[NUMPY] = Side(lambda: reference.coactivation_counts(dense))
    if with_torch.available():
        sides[TORCH] = Side(with_torch.product(expanded, expanded.T))

    def check() -> None:
        expected = reference.strong_coactivation_counts(expanded)
        same(fastntk.coactivation_counts(masks), expected, "counts")

    amount = size.n * (size.n + 1) / 2 * size.m
    formula = "n (n + 1) / 2 x m bit products"
    limits = ("popcount", "and+popcount+add")
    return Work(sides, check, tuple(Measure(amount, formula, limit) for limit in limits))


def flips(size: Size) -> Work:
    """Differing entries of two patterns, one in a hundred of them."""
    before, after = pattern(size), pattern(size)
    rare = pattern(size, 1).bits & pattern(size, 2).bits & pattern(size, 3).bits & pattern(size, 4).bits
    after.bits ^= rare & pattern(size, 5).bits & pattern(size, 6).bits
    dense_before, dense_after = before.to_dense(), after.to_dense()
    sides = {
        OURS: Side(lambda: fastntk.flip_count(before, after)),
        NUMPY: Side(lambda: reference.flip_count(dense_before, dense_after)),
    }
    if size.m >= 8:
        words_before, words_after = before.bits.view(np.uint64), after.bits.view(np.uint64)
        sides[BLAS] = Side(lambda: int(np.bitwise_count(words_before ^ words_after).sum()))

    def check() -> None:
        same(
            fastntk.flip_count(before, after), reference.flip_count(dense_before, dense_after), "flip counts"
        )

    return Work(sides, check, (Measure(size.n * size.m / 4, "n m / 4 bytes read", "memory"),))


def marginals(size: Size) -> Work:
    """Differing entries of two patterns of fair coins for each sample and each neuron; many or few cost the same."""
    before, after = pattern(size), pattern(size, 1)
    dense_before, dense_after = before.to_dense(), after.to_dense()
    sides = {
        OURS: Side(lambda: fastntk.flip_marginals(before, after)),
        NUMPY: Side(lambda: reference.flip_marginals(dense_before, dense_after)),
    }

    def check() -> None:
        expected = reference.flip_marginals(dense_before, dense_after)
        for found, wanted in zip(fastntk.flip_marginals(before, after), expected, strict=True):
            same(found, wanted, "marginals")

    return Work(sides, check, (Measure(size.n * size.m / 4, "n m / 4 bytes read", "memory"),))


def sums(size: Size) -> Work:
    """``M^T diag(e) V`` with V (n, d): from packed bits, and from zeros and ones that are expanded already."""
    masks = pattern(size)
    dtype = np.dtype(size.dtype)
    rng = np.random.default_rng(0)
    V = rng.standard_normal((size.n, size.d)).astype(dtype)
    e = rng.standard_normal(size.n).astype(dtype)
    expanded = masks.to_dense().astype(dtype)
    ones_of_neurons = np.ones(size.m, dtype)

    def ours() -> np.ndarray:
        out = np.empty((size.m, size.d), dtype)
        scaled_sums(masks.bits, column_tiles(V, dtype), e, ones_of_neurons, out)
        return out

    sides = {OURS: Side(ours), BLAS: Side(lambda: expanded.T @ (e[:, np.newaxis] * V))}
    if size.n * size.m <= 2**27:
        dense = masks.to_dense()
        sides[NUMPY] = Side(lambda: reference.masked_sums(dense, e[:, np.newaxis] * V))
    if with_torch.available():
        sides[TORCH] = Side(with_torch.product(expanded.T, e[:, np.newaxis] * V))

    def check() -> None:
        close(ours(), expanded.T @ (e[:, np.newaxis] * V), "sums", rounding(size.dtype))

    return Work(sides, check, (table_reads(size.n, size.d, size.m, dtype.itemsize),))


def _sizes_in_m(n: int, d: int = 0) -> tuple[Size, ...]:
    return tuple(Size(n, m, d) for m in GROWTH_IN_M)


def _sizes_in_n(m: int, d: int = 0) -> tuple[Size, ...]:
    return tuple(Size(n, m, d) for n in GROWTH_IN_N)


COUNTS = Case(
    "coactivation counts",
    "bits times bits: C = M M^T as int64, from packed bits",
    {
        NUMPY: "int64 product of the pattern",
        BLAS: "M @ M.T (ssyrk) on a float32 pattern that is expanded already, result left in float32",
        TORCH: "M @ M.T in float32",
    },
    counts,
    Size(200, 2000),
    (Size(300, 8000), Size(1000, 8000), Size(1000, 65536), Size(4000, 8192)),
    {
        (Size(1000, 8000), BLAS): 20.0,
        (Size(1000, 65536), BLAS): 20.0,
        (Size(4000, 8192), BLAS): 12.0,
    },
    _sizes_in_n(8192),
    _sizes_in_m(1000),
)

FLIPS = Case(
    "flip count",
    "entries in which two packed patterns differ",
    {NUMPY: "on boolean patterns", BLAS: "bitwise_count of the xor of packed words"},
    flips,
    Size(200, 2000),
    (Size(1000, 8000), Size(1000, 131072)),
    {},
    _sizes_in_n(8192),
    _sizes_in_m(1000),
)

MARGINALS = Case(
    "flip marginals",
    "entries in which two packed patterns differ, for each sample and each neuron",
    {NUMPY: "on boolean patterns"},
    marginals,
    Size(200, 2000),
    (Size(1000, 8000), Size(1000, 131072)),
)

SUMS = Case(
    "masked sums",
    "bits times dense: M^T diag(e) V with V (n, d), layout of V and allocation included",
    {
        NUMPY: "expands the pattern, then one BLAS product",
        BLAS: "the BLAS product alone, on a pattern expanded to 0 and 1 beforehand",
        TORCH: "the same product in torch",
    },
    sums,
    Size(200, 2000, 100),
    (Size(1000, 8000, 1000), Size(4000, 8000, 500), Size(1000, 8000, 1000, "float64")),
    {(Size(1000, 8000, 1000), BLAS): 2.8},
    _sizes_in_n(8192, 500),
    _sizes_in_m(1000, 500),
)
