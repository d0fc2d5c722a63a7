"""One step of the outputs of a path, read out at the pattern of the start.

Formula: ``g_i = sum_l K_li C_li f_l`` with ``C_li = sum_r a_r^2 M_lr(s) M_ir(0)``: a change of (l, r) adds
    plus or minus ``a_r^2`` times the first pattern of neuron r to row l.
Layout: K, C ``[l][columns]``, columns a multiple of 64; mask bytes ``[neuron][bytes]``; events of the step
    by sample.
Owner: a task has a range of rows l, and its own share of g.
Cost: an event columns / 16 masked additions, a step n^2 multiply-adds.
Bound: K and C are read once a step.
Machine: any; vectors of sixteen lanes.
Accumulation: C exact (integers below 2^24 in float32, below 2^53 in float64); g over the rows of a range in
    working precision, then float64 over ranges.
Rejected: 64-bit integers for C, converted at each step (half the lanes); rows in the order of the neurons
    (each event loads and stores its row).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.forward import lanes_at
from fastntk.kernels.cpu.lane_bits import keep
from fastntk.kernels.cpu.lanes import load, multiply_add, spread, store, zeros


@kernel
def add_patterns(C, rows, row, first, last, neurons, on, weights):
    """Row `row` of C += sum over the events first ... last - 1 of plus or minus a_r^2 (the same if given once) M_r."""
    columns, octets, flat = C.shape[1], rows.shape[1], rows.reshape(-1)
    for at in range(0, columns, 64):
        base = row * columns + at
        c0, c1, c2, c3 = load(C, base), load(C, base + 16), load(C, base + 32), load(C, base + 48)
        for x in range(first, last):
            weight = weights[neurons[x] if weights.size > 1 else 0]
            value = spread(C, weight if on[x] else -weight)
            place = np.uint64(neurons[x]) * np.uint64(octets) + np.uint64(at // 8)
            b0 = np.uint16(lanes_at(flat, flat[1:], place))
            b1 = np.uint16(lanes_at(flat, flat[1:], place + np.uint64(2)))
            b2 = np.uint16(lanes_at(flat, flat[1:], place + np.uint64(4)))
            b3 = np.uint16(lanes_at(flat, flat[1:], place + np.uint64(6)))
            c0, c1 = c0 + keep(b0, value), c1 + keep(b1, value)
            c2, c3 = c2 + keep(b2, value), c3 + keep(b3, value)
        store(C, base, c0)
        store(C, base + 16, c1)
        store(C, base + 32, c2)
        store(C, base + 48, c3)


@kernel
def add_row(share, K, C, row, factor):
    """share += factor times the product of the rows of K and C."""
    columns = K.shape[1]
    f = spread(share, factor)
    for at in range(0, columns, 16):
        product = load(K, row * columns + at) * load(C, row * columns + at)
        store(share, at, multiply_add(f, product, load(share, at)))


@kernel(parallel=True)
def path_step(K, C, rows, first, neurons, on, weights, factors, shares):
    """Bring C up to date with the events of a step, first (n + 1,); shares (ranges, columns) of its products with K."""
    n, ranges = K.shape[0], shares.shape[0]
    for part in numba.prange(ranges):
        for at in range(0, shares.shape[1], 16):
            store(shares, part * shares.shape[1] + at, zeros(shares))
        for row in range(part * n // ranges, (part + 1) * n // ranges):
            if first[row] < first[row + 1]:
                add_patterns(C, rows, row, first[row], first[row + 1], neurons, on, weights)
            add_row(shares[part], K, C, row, factors[row])


@kernel(parallel=True)
def path_patterns(C, rows, first, neurons, on, weights):
    """Bring C up to date with the events of a step."""
    n = C.shape[0]
    for row in numba.prange(n):
        if first[row] < first[row + 1]:
            add_patterns(C, rows, row, first[row], first[row + 1], neurons, on, weights)
