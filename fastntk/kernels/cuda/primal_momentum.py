"""One step on the weights with momentum: ``V <- beta V + G``, ``D <- D + b V + c G``; the second layer's gradient.

Layout: as primal_step, with the velocity V (d, m or more) beside D; beta, b, c as in the CPU's dual_momentum. G is the
    step that primal_step would take, ``scale * S``. The gradient of the second layer is a product with the sums,
    ``sum_i e_i relu(w_r . x_i) = w_r . S_r``. A block owns 128 neurons and a range of columns, a thread one neuron.
Cost: S, W0, D and V read, D, V and W written, 28 d m bytes in float32, bound by memory; the products read S, which is
    still in cache, W0 and D (8 d m).
Accumulation: squared drift and products in float64 over a range of columns; ranges are added in order.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cuda.forward import NEURONS
from fastntk.kernels.cuda.primal_step import _AHEAD


@kernel
def weight_products_kernel(first, count, S, W0, D, shares):
    """See `weight_products`."""
    k = np.uint64(cuda.blockIdx.x * NEURONS + cuda.threadIdx.x)  # unsigned: see dual_step
    starts = cuda.local.array(_AHEAD, W0.dtype)
    changes = cuda.local.array(_AHEAD, W0.dtype)
    gains = cuda.local.array(_AHEAD, W0.dtype)
    if k < np.uint64(count):
        r, zero = np.uint64(first) + k, W0.dtype.type(0)
        d, moved = W0.shape[0], D.shape[0] > 0
        part, ranges = cuda.blockIdx.y, cuda.gridDim.y
        begin, end = part * d // ranges, (part + 1) * d // ranges
        total = 0.0
        for column in range(begin, end, _AHEAD):
            for q in range(_AHEAD):
                c = np.uint64(min(column + q, end - 1))
                starts[q], gains[q] = W0[c, r], S[c, k]
                changes[q] = D[c, r] if moved else zero
            for q in range(_AHEAD):
                if column + q < end:
                    total += np.float64(starts[q] + changes[q]) * np.float64(gains[q])
        shares[part, r] = total


def weight_products(first, count, S, W0, D, shares, stream=0):
    """shares (ranges, m or more): of ``w_r . S_r``, the columns of one range each; D without rows is zero."""
    grid = -(-count // NEURONS), shares.shape[0]
    weight_products_kernel[grid, NEURONS, stream](first, count, S, W0, D, shares)


@kernel
def primal_momentum_kernel(first, count, S, scale, beta, b, c, W0, D, V, W, drift_shares):
    """See `primal_momentum`."""
    k = np.uint64(cuda.blockIdx.x * NEURONS + cuda.threadIdx.x)
    changes = cuda.local.array(_AHEAD, D.dtype)
    velocities = cuda.local.array(_AHEAD, D.dtype)
    gains = cuda.local.array(_AHEAD, D.dtype)
    starts = cuda.local.array(_AHEAD, D.dtype)
    damping, ahead, direct = D.dtype.type(beta), D.dtype.type(b), D.dtype.type(c)
    if k < np.uint64(count):
        r = np.uint64(first) + k
        step = scale[r]
        d = D.shape[0]
        part, ranges = cuda.blockIdx.y, cuda.gridDim.y
        begin, end = part * d // ranges, (part + 1) * d // ranges
        drift = 0.0
        for start in range(begin, end, _AHEAD):
            for q in range(_AHEAD):
                column = np.uint64(min(start + q, end - 1))
                changes[q], velocities[q] = D[column, r], V[column, r]
                gains[q], starts[q] = S[column, k], W0[column, r]
            for q in range(_AHEAD):
                column = np.uint64(start + q)
                if start + q < end:
                    gradient = step * gains[q]
                    moving = damping * velocities[q] + gradient
                    moved = changes[q] + ahead * moving + direct * gradient
                    V[column, r] = moving
                    D[column, r] = moved
                    W[column, r] = starts[q] + moved
                    drift += np.float64(moved) * np.float64(moved)
        drift_shares[part, r] = drift


def primal_momentum(first, count, S, scale, coefficients, W0, D, V, W, drift_shares, stream=0):
    """Move the neurons first ... first + count - 1 as primal_step does; coefficients (beta, b, c).

    D and V move in place, W is overwritten; drift_shares (ranges, width) receives |D_r|^2 of each range of columns.
    """
    grid = -(-count // NEURONS), drift_shares.shape[0]
    primal_momentum_kernel[grid, NEURONS, stream](
        first, count, S, scale, *coefficients, W0, D, V, W, drift_shares
    )
