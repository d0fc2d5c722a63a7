"""Products of dense matrices, ``A B`` and ``A B^T``, where there is no vendor library (see `vendor`).

Layout: row-major, out may have longer rows than the product. A block owns 64 x 64 elements, a thread 4 x 4 of them, 16
    apart; 16 columns of A and B at a time go through shared memory, transposed, rows padded so that no two threads of
    a warp meet in a bank.
Cost: one multiply-add each, and half a load from shared memory, which is the bound: half of what the multipliers could
    do. Not worth tuning: where speed counts there is the vendor's library.
Accumulation: working precision, in the order of the columns.
"""

from fastntk.compilation.jit_cuda import cuda, kernel

_TILE = 64
_CHUNK = 16
_SIDE = 16
_EACH = _TILE // _SIDE
_PITCH = _TILE + 1


def _product_kernel(transposed):
    @kernel
    def product_kernel(A, B, out):
        """See `product`."""
        left = cuda.shared.array((_CHUNK, _PITCH), A.dtype)
        right = cuda.shared.array((_CHUNK, _PITCH), A.dtype)
        sums = cuda.local.array((_EACH, _EACH), A.dtype)
        zero = A.dtype.type(0)
        rows, depth = A.shape
        columns = B.shape[0] if transposed else B.shape[1]
        top, first = cuda.blockIdx.y * _TILE, cuda.blockIdx.x * _TILE
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        thread = y * _SIDE + x
        for a in range(_EACH):
            for b in range(_EACH):
                sums[a, b] = zero
        for start in range(0, depth, _CHUNK):
            for a in range(_EACH):
                i = top + y + _SIDE * a
                left[x, y + _SIDE * a] = A[i, start + x] if i < rows and start + x < depth else zero
                if transposed:
                    j = first + y + _SIDE * a
                    right[x, y + _SIDE * a] = B[j, start + x] if j < columns and start + x < depth else zero
                else:
                    j, k = first + thread % _TILE, thread // _TILE + _EACH * a
                    right[k, thread % _TILE] = B[start + k, j] if j < columns and start + k < depth else zero
            cuda.syncthreads()
            for k in range(_CHUNK):
                for a in range(_EACH):
                    value = left[k, y + _SIDE * a]
                    for b in range(_EACH):
                        sums[a, b] += value * right[k, x + _SIDE * b]
            cuda.syncthreads()
        for a in range(_EACH):
            for b in range(_EACH):
                i, j = top + y + _SIDE * a, first + x + _SIDE * b
                if i < rows and j < columns:
                    out[i, j] = sums[a, b]

    return product_kernel


product_kernel = _product_kernel(False)
product_transposed_kernel = _product_kernel(True)


def product(A, B, out, stream=0):
    """out[:M, :N] = A (M, K) B (K, N), all of one precision."""
    grid = -(-B.shape[1] // _TILE), -(-A.shape[0] // _TILE)
    product_kernel[grid, (_SIDE, _SIDE), stream](A, B, out)


def product_transposed(A, B, out, stream=0):
    """out[:M, :N] = A (M, K) B (N, K)^T, all of one precision; of equal A and B exactly symmetric."""
    grid = -(-B.shape[0] // _TILE), -(-A.shape[0] // _TILE)
    product_transposed_kernel[grid, (_SIDE, _SIDE), stream](A, B, out)
