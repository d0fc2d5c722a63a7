"""The estimated error of a Runge-Kutta step, and how large the derivatives are that it is compared with.

Layout: one block; a thread takes every 256th sample.
Cost: n samples of a few operations, a few microseconds: the latency of a launch.
Accumulation: float64, 256 interleaved sums added in order.
"""

import math

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cuda.reductions import THREADS


@kernel
def stage_error_kernel(start, far, middle, u, derivatives, out):
    """See `stage_error`."""
    errors = cuda.shared.array(THREADS, np.float64)
    sizes = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    error, size = 0.0, 0.0
    for i in range(thread, u.size, THREADS):
        difference = u[i] - middle[i] - (far[i] - start[i]) / 3.0
        error += difference * difference
        size += derivatives[i] * derivatives[i]
    errors[thread], sizes[thread] = error, size
    cuda.syncthreads()
    if thread == 0:
        for t in range(1, THREADS):
            error += errors[t]
            size += sizes[t]
        out[0] = math.sqrt(error)
        out[1] = math.sqrt(size)


def stage_error(start, far, middle, u, derivatives, out, stream=0):
    """out[0] = ``|u - middle - (far - start) / 3|_2``, out[1] = ``|derivatives|_2``, all (n,) float64.

    See `fastntk.engines.step_sizes` for the names of the outputs of the stages.
    """
    stage_error_kernel[1, THREADS, stream](start, far, middle, u, derivatives, out)
