"""What this machine can do at most, measured in the same run with loops that do nothing else.

The loops run from registers or the first-level cache on all threads and use the vectors of the kernels.  Twelve
independent chains hide the latency of the instructions (eight reach 88 % of that); each value depends on the one
before, so nothing is hoisted.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lane_bits import popcount
from fastntk.kernels.cpu.lanes import broadcast, load, store

WORD_BITS = 512  # bits of a vector of eight words
CHUNKS = 64
BEST_OF = 9


@dataclass(frozen=True)
class Limit:
    """A peak rate in units of 1e9 a second."""

    rate: float
    unit: str
    what: str


@kernel
def popcounts(words, at, repeats):
    c0, c1, c2, c3 = load(words, at), load(words, at + 8), load(words, at + 16), load(words, at + 24)
    c4, c5, c6, c7 = load(words, at + 32), load(words, at + 40), load(words, at + 48), load(words, at + 56)
    c8, c9, c10, c11 = c0 + c1, c2 + c3, c4 + c5, c6 + c7
    for _ in range(repeats):
        c0, c1, c2, c3 = popcount(c0), popcount(c1), popcount(c2), popcount(c3)
        c4, c5, c6, c7 = popcount(c4), popcount(c5), popcount(c6), popcount(c7)
        c8, c9, c10, c11 = popcount(c8), popcount(c9), popcount(c10), popcount(c11)
    store(words, at, c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + c10 + c11)


@kernel
def counting(words, at, repeats):
    c0, c1, c2, c3 = load(words, at), load(words, at + 8), load(words, at + 16), load(words, at + 24)
    c4, c5, c6, c7 = load(words, at + 32), load(words, at + 40), load(words, at + 48), load(words, at + 56)
    c8, c9, c10, c11 = c0 + c1, c2 + c3, c4 + c5, c6 + c7
    s = broadcast(words, at + 1)
    for _ in range(repeats):
        c0, c1, c2 = c0 + popcount(c0 & s), c1 + popcount(c1 & s), c2 + popcount(c2 & s)
        c3, c4, c5 = c3 + popcount(c3 & s), c4 + popcount(c4 & s), c5 + popcount(c5 & s)
        c6, c7, c8 = c6 + popcount(c6 & s), c7 + popcount(c7 & s), c8 + popcount(c8 & s)
        c9, c10, c11 = c9 + popcount(c9 & s), c10 + popcount(c10 & s), c11 + popcount(c11 & s)
    store(words, at, c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + c10 + c11)


@kernel
def adding(table, offset, repeats):
    """Sums of 64 rows of 16 floats, 4 KiB, again and again."""
    c0, c1, c2, c3 = (load(table, offset), load(table, offset), load(table, offset), load(table, offset))
    c4, c5, c6, c7 = c0, c1, c2, c3
    for _ in range(repeats):
        for k in range(0, 1024, 128):
            here = offset + k
            c0, c1 = c0 + load(table, here), c1 + load(table, here + 16)
            c2, c3 = c2 + load(table, here + 32), c3 + load(table, here + 48)
            c4, c5 = c4 + load(table, here + 64), c5 + load(table, here + 80)
            c6, c7 = c6 + load(table, here + 96), c7 + load(table, here + 112)
    store(table, offset, c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7)


@kernel(parallel=True)
def all_popcounts(words, repeats):
    for chunk in numba.prange(CHUNKS):
        popcounts(words, chunk * 64, repeats)


@kernel(parallel=True)
def all_counting(words, repeats):
    for chunk in numba.prange(CHUNKS):
        counting(words, chunk * 64, repeats)


@kernel(parallel=True)
def all_adding(table, repeats):
    for chunk in numba.prange(CHUNKS):
        adding(table, chunk * 1024, repeats)


@kernel
def triad_piece(a, b, c, factor, first, last):
    scale = broadcast(factor, 0)
    for i in range(first, last, 16):
        store(a, i, load(b, i) + scale * load(c, i))


@kernel(parallel=True)
def triad(a, b, c, factor):
    """a = b + factor c"""
    size = a.size // CHUNKS
    for chunk in numba.prange(CHUNKS):
        triad_piece(a, b, c, factor, chunk * size, (chunk + 1) * size)


def _best(call: Callable[[], object]) -> float:
    """Shortest of several timings: a limit is what the machine reaches when nothing disturbs it."""
    call()
    seconds = []
    for _ in range(BEST_OF):
        time.sleep(0.02)
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _gemm(dtype: str, size: int) -> float:
    A = np.random.default_rng(0).standard_normal((size, size)).astype(dtype)
    B, C = A.T.copy(), np.empty_like(A)
    return 2e-9 * size**3 / _best(lambda: np.dot(A, B, out=C))


def _memory(size: int) -> float:
    a, b, c = (aligned_zeros(size, np.float32) for _ in range(3))
    for array in (a, b, c):
        array[...] = 1.0  # untouched pages would all be the same page of zeros
    factor = np.full(1, 3.0, dtype=np.float32)
    return 12e-9 * size / _best(lambda: triad(a, b, c, factor))


def measure(quick: bool = False) -> dict[str, Limit]:
    """All limits, on the present numbers of threads of Numba and BLAS."""
    repeats = 20_000 if quick else 100_000
    words = np.random.default_rng(0).integers(0, 2**62, size=64 * CHUNKS).astype(np.uint64)
    vectors = 12e-9 * CHUNKS * repeats
    popcount_rate = vectors * WORD_BITS / _best(lambda: all_popcounts(words, repeats))
    counting_rate = vectors * WORD_BITS / _best(lambda: all_counting(words, repeats))
    table = aligned_zeros(1024 * CHUNKS, np.float32)
    sweeps = repeats // 10
    table_rate = 4096e-9 * CHUNKS * sweeps / _best(lambda: all_adding(table, sweeps))
    memory_rate = _memory(2**24 if quick else 2**25)
    gemm_size = 1024 if quick else 2048
    return {
        "popcount": Limit(popcount_rate, "Gbit/s", "512-bit population counts from registers"),
        "and+popcount+add": Limit(
            counting_rate, "Gbit/s", "the three instructions of a bit product, from registers"
        ),
        "table rows": Limit(table_rate, "GB/s", "64-byte loads with additions, from the first-level cache"),
        "memory": Limit(memory_rate, "GB/s", "triad a = b + 3 c, 12 bytes an entry"),
        "sgemm": Limit(_gemm("float32", gemm_size), "Gflop/s", f"float32 product of size {gemm_size}"),
        "dgemm": Limit(_gemm("float64", gemm_size), "Gflop/s", f"float64 product of size {gemm_size}"),
    }
