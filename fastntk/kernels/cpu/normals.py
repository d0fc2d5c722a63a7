"""Normal numbers that depend on a seed and a place alone, for the weights of any neuron.

Formula: counter ``(16 t + l, layer, r mod 2^32, r >> 32)`` of neuron r gives four words by Philox-4x32-10 (Salmon et
    al., SC 2011); with ``u = (word + 1/2) / 2^32`` of words 0 and 2, v of 1, 3, ``sqrt(-2 log u) (cos, sin)(2 pi v)``
    are columns ``64 t + l + 16 (0, 1, 2, 3)`` of w_r (Box and Muller): none exceeds ``sqrt(66 log 2) = 6.77``, which
    cuts off one normal number in 10^11.
Layout: rows of ``out`` C-contiguous, float32 or float64; a scratch of words and of doubles for one row a thread.
Owner: a task has ROWS neurons.
Cost: 2.5 64-bit multiplications and 15 multiply-adds a number, 4 or 8 bytes written.
Bound: arithmetic.
Machine: Zen 5, 2 cores: 1.15 ns a float32 number, 2.4 ns a float64, where NumPy's generator takes 14 on one core.
Accumulation: none.  Logarithm and sine as FDLIBM's, in double, within 2 ulp; no fused operations, so the same bits on
    every processor.
Rejected: one word a number through the inverse distribution (tails need a branch).
"""

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastntk.compilation.jit import kernel

LANES = 16
TILE = 4 * LANES  # columns of one group of counters
ROWS = 64  # neurons of a task
WORDS, VALUES = 4, 4  # arrays of scratch for one row
SIGNS = 4096  # neurons of a task of `signs`

_LOW = np.uint64(0xFFFFFFFF)
_HALF_WORD = np.uint64(32)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


@intrinsic
def _bits(typingctx, value):
    """The bits of a double."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(64))

    return types.uint64(types.float64), codegen


@intrinsic
def _double(typingctx, bits):
    """The double of these bits."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.uint64), codegen


@kernel
def words(count, layer, neuron, key0, key1, x):
    """Philox-4x32-10: four words for each of ``count`` counters of a neuron, one array each."""
    high = neuron >> _HALF_WORD
    low = neuron & _LOW
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    for i in range(count):
        c0, c1, c2, c3 = np.uint64(i), layer, low, high
        k0, k1 = key0, key1
        for _ in range(10):
            p, q = _M0 * c0, _M1 * c2
            c0, c2 = (q >> _HALF_WORD) ^ c1 ^ k0, (p >> _HALF_WORD) ^ c3 ^ k1
            c1, c3 = q & _LOW, p & _LOW
            k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
        x0[i] = np.uint32(c0)
        x1[i] = np.uint32(c1)
        x2[i] = np.uint32(c2)
        x3[i] = np.uint32(c3)


@kernel
def _log(x):
    """Natural logarithm of a normal positive double: FDLIBM's polynomial."""
    bits = _bits(x) + np.uint64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
    exponent = np.float64(np.int64(bits >> np.uint64(52)) - 1023)
    f = _double((bits & np.uint64(0x000FFFFFFFFFFFFF)) + np.uint64(0x3FE6A09E667F3BCD)) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (0.3999999999940941908 + w * (0.2222219843214978396 + w * 0.1531383769920937332))
    odd = z * (
        0.6666666666666735130
        + w * (0.2857142874366239149 + w * (0.1818357216161805012 + w * 0.1479819860511658591))
    )
    half = 0.5 * f * f
    return exponent * 6.93147180369123816490e-01 - (
        (half - (s * (half + (even + odd)) + exponent * 1.90821492927058770002e-10)) - f
    )


@kernel
def pairs(count, x, y, first, second):
    """Two normal numbers of each pair of words."""
    for i in range(count):
        radius = np.sqrt(-2.0 * _log((np.float64(x[i]) + 0.5) * 2.0**-32))
        turned = np.uint32(y[i] + np.uint32(0x20000000))  # an eighth of a turn more
        quarter = turned >> np.uint32(30)
        t = (np.float64(turned & np.uint32(0x3FFFFFFF)) - (2.0**29 - 0.5)) * (np.pi * 2.0**-31)
        z = t * t
        sine = t + t * z * (
            -1.66666666666666324348e-01
            + z
            * (
                8.33333333332248946124e-03
                + z
                * (
                    -1.98412698298579493134e-04
                    + z
                    * (
                        2.75573137070700676789e-06
                        + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)
                    )
                )
            )
        )
        cosine = (
            1.0
            - 0.5 * z
            + z
            * z
            * (
                4.16666666666666019037e-02
                + z
                * (
                    -1.38888888888741095749e-03
                    + z
                    * (
                        2.48015872894767294178e-05
                        + z
                        * (
                            -2.75573143513906633035e-07
                            + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)
                        )
                    )
                )
            )
        )
        swap = (quarter & np.uint32(1)) == np.uint32(1)
        c = -sine if swap else cosine
        s = cosine if swap else sine
        sign = 1.0 - np.float64(quarter & np.uint32(2))
        first[i] = radius * sign * c
        second[i] = radius * sign * s


@kernel
def normal_row(layer, neuron, key0, key1, kappa, row, word, value):
    """Write ``kappa`` times the weights of one neuron."""
    d = row.size
    tiles = (d + TILE - 1) // TILE
    count = LANES * tiles
    words(count, np.uint64(layer), np.uint64(neuron), key0, key1, word)
    pairs(count, word[0], word[1], value[0], value[1])
    pairs(count, word[2], word[3], value[2], value[3])
    for part in range(4):
        numbers = value[part]
        for tile in range(tiles):
            column = TILE * tile + LANES * part
            for lane in range(min(LANES, max(d - column, 0))):
                row[column + lane] = kappa * numbers[LANES * tile + lane]


@kernel(parallel=True)
def normals(layer, first, pairing, key0, key1, kappa, out, x, values):
    """Write ``kappa`` times the weights of the neurons from ``first`` on to the rows of ``out``.

    With ``pairing`` 1 neurons 2j and 2j + 1 have the weights of j, with 0 each has its own.
    """
    m = out.shape[0]
    for task in numba.prange((m + ROWS - 1) // ROWS):
        slot = numba.get_thread_id()
        for r in range(task * ROWS, min(m, (task + 1) * ROWS)):
            neuron = (first + r) >> pairing
            normal_row(layer, neuron, key0, key1, kappa, out[r], x[slot], values[slot])


@kernel(parallel=True)
def signs(first, key0, key1, negative, x):
    """Whether ``a_r = -1``, for the neurons from ``first`` on: the lowest bit of word 0 in layer 1."""
    m = len(negative)
    start = first // SIGNS
    for task in numba.prange((first + m - 1) // SIGNS - start + 1):
        word = x[numba.get_thread_id()]
        words(SIGNS, np.uint64(1), np.uint64(start + task), key0, key1, word)
        base = (start + task) * SIGNS - first
        for r in range(max(base, 0), min(m, base + SIGNS)):
            negative[r] = (word[0, r - base] & np.uint32(1)) == np.uint32(1)
