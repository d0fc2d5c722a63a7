"""One step of gradient descent on the weights, ``D += scale * S`` with ``S = M^T diag(e) X``, and ``W = W0 + D``.

Layout: W0, D, W (d, m or more) and S (d, count or more) transposed, neurons contiguous: the sums come like that, the
    forward product takes W like that, and the squared length of a neuron's change is a sum along one thread. A block
    owns 128 neurons and a range of columns. D is kept apart from W0 because it is small, and because the drift is then
    a plain norm.
Cost: S, W0 and D read, D and W written, 20 d m bytes in float32, bound by memory; the forward product n d m that
    follows takes n / 125 times as long.
Accumulation: squared drift in float64 over a range of columns; ranges are added in order.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cuda.forward import NEURONS

_AHEAD = 8  # columns whose operands are on their way at once: a store between loads would make them wait


@kernel
def primal_step_kernel(first, count, S, scale, W0, D, W, drift_shares):
    """See `primal_step`."""
    k = np.uint64(cuda.blockIdx.x * NEURONS + cuda.threadIdx.x)  # unsigned: see dual_step
    changes = cuda.local.array(_AHEAD, D.dtype)
    gains = cuda.local.array(_AHEAD, D.dtype)
    starts = cuda.local.array(_AHEAD, D.dtype)
    if k < np.uint64(count):
        r = np.uint64(first) + k
        step = scale[r]
        d = D.shape[0]
        part, ranges = cuda.blockIdx.y, cuda.gridDim.y
        begin, end = part * d // ranges, (part + 1) * d // ranges
        drift = 0.0
        for column in range(begin, end, _AHEAD):
            for q in range(_AHEAD):
                c = np.uint64(min(column + q, end - 1))
                changes[q], gains[q], starts[q] = D[c, r], S[c, k], W0[c, r]
            for q in range(_AHEAD):
                c = np.uint64(column + q)
                if column + q < end:
                    moved = changes[q] + step * gains[q]
                    D[c, r] = moved
                    W[c, r] = starts[q] + moved
                    drift += np.float64(moved) * np.float64(moved)
        drift_shares[part, r] = drift


def primal_step(first, count, S, scale, W0, D, W, drift_shares, stream=0):
    """Move the neurons first ... first + count - 1 by the sums S (d, count) of masked_sums.

    D moves in place, W is overwritten; drift_shares (ranges, width) receives |D_r|^2 of each range of columns.
    """
    grid = -(-count // NEURONS), drift_shares.shape[0]
    primal_step_kernel[grid, NEURONS, stream](first, count, S, scale, W0, D, W, drift_shares)
