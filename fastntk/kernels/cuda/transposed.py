"""The transpose of a matrix times one factor per row of the result, ``out[r, c] = scale[r] S[c, r]``.

Layout: both row-major; a block owns 32 x 32 elements, which pass through shared memory so that reads and writes are
    whole lines.
Cost: bound by memory, one read and one write.
"""

from fastntk.compilation.jit_cuda import cuda, kernel

_SIDE, _HEIGHT = 32, 8
_PITCH = _SIDE + 1


@kernel
def scaled_transpose_kernel(S, scale, out):
    """See `scaled_transpose`."""
    tile = cuda.shared.array((_SIDE, _PITCH), S.dtype)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    top, left = cuda.blockIdx.x * _SIDE, cuda.blockIdx.y * _SIDE  # of out
    for k in range(y, _SIDE, _HEIGHT):
        if left + k < out.shape[1] and top + x < out.shape[0]:
            tile[k, x] = S[left + k, top + x]
    cuda.syncthreads()
    for k in range(y, _SIDE, _HEIGHT):
        if top + k < out.shape[0] and left + x < out.shape[1]:
            out[top + k, left + x] = scale[top + k] * tile[x, k]


def scaled_transpose(S, scale, out, stream=0):
    """out (m, d) from S (d, m or more) and scale (m or more,): the gradient by neuron from the sums of masked_sums."""
    grid = -(-out.shape[0] // _SIDE), -(-out.shape[1] // _SIDE)
    scaled_transpose_kernel[grid, (_SIDE, _HEIGHT), stream](S, scale, out)
