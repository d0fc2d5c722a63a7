"""One step of gradient descent on the weights, ``D += scale * M^T diag(e) X`` with ``W = W0 + D``.

Layout: D ``[tile of 16 columns][neuron][16]``, X in column tiles, W0 row-major. A task owns a range of tiles
    and a block of neurons. D is kept apart from W0 because it is small, and because the drift is then a plain
    norm.
Cost: n d m / 128 table rows (see masked_sums); D read and written once, 8 d m bytes in float32. The forward
    product that follows (forward.forward_moved) assembles row-major blocks of W0 + D in cache.
Accumulation: squared drift in float64 over tiles, combined over fixed ranges in a fixed order.
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lanes import broadcast, load, store, total
from fastntk.kernels.cpu.masked_sums import tile_sums


@kernel(parallel=True)
def primal_step(m, bits, X, e, scale, D, tables, sums, drift_shares):
    """D (tiles, width, 16) moves in place; drift_shares (ranges, width) receives |D_r|^2 of each range of columns."""
    tiles, width = D.shape[0], D.shape[1]
    ranges = drift_shares.shape[0]
    block = sums.shape[1]
    for task in numba.prange(ranges * ((m + block - 1) // block)):
        part, first = task % ranges, (task // ranges) * block
        count = min(block, m - first)
        thread = numba.get_thread_id()
        S = sums[thread]
        for k in range(count):
            drift_shares[part, first + k] = 0.0
        for tile in range(part * tiles // ranges, (part + 1) * tiles // ranges):
            tile_sums(bits, X, e, tile, first, count, tables[thread], S)
            for k in range(count):
                offset = (tile * width + first + k) * 16
                moved = load(D, offset) + broadcast(scale, first + k) * load(S, k * 16)
                store(D, offset, moved)
                drift_shares[part, first + k] += np.float64(total(moved * moved))
