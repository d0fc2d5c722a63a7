"""A block of a matrix in its place, and its mirror image: ``out[top + i, left + j] = block[i, j]``.

Layout: both row-major; a thread block owns 32 x 32 elements, which pass through shared memory for the mirror image, so
    that reads and writes are whole lines.
Cost: bound by memory, one read and one or two writes.
"""

from fastntk.compilation.jit_cuda import cuda, kernel

_SIDE, _HEIGHT = 32, 8
_PITCH = _SIDE + 1


@kernel
def place_kernel(block, top, left, mirrored, out):
    """See `place`."""
    tile = cuda.shared.array((_SIDE, _PITCH), block.dtype)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    first, start = cuda.blockIdx.x * _SIDE, cuda.blockIdx.y * _SIDE  # row and column of the block
    height, width = block.shape
    for k in range(y, _SIDE, _HEIGHT):
        if first + k < height and start + x < width:
            value = block[first + k, start + x]
            out[top + first + k, left + start + x] = value
            tile[k, x] = value
    if mirrored:
        cuda.syncthreads()
        for k in range(y, _SIDE, _HEIGHT):
            if first + x < height and start + k < width:
                out[left + start + k, top + first + x] = tile[x, k]


def place(block, top, left, mirrored, out, stream=0):
    """Copy the block to its place in out, of the same dtype; with `mirrored` its transpose to the mirror image too."""
    grid = -(-block.shape[0] // _SIDE), -(-block.shape[1] // _SIDE)
    place_kernel[grid, (_SIDE, _HEIGHT), stream](block, top, left, mirrored, out)
