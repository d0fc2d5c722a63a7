"""The loss and its derivatives by the outputs, so that a step needs nothing from the host.

Layout: one block; a thread takes every 256th sample.
Cost: n samples of a few operations, a few microseconds: the latency of a launch.
Accumulation: float64, 256 interleaved sums added in order.
"""

import math

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cuda.reductions import THREADS

KINDS = {"squared": 0, "logistic": 1, "huber": 2}
_SQUARED, _LOGISTIC = KINDS["squared"], KINDS["logistic"]


@kernel
def loss_terms_kernel(kind, delta, u, y, derivatives, e, out, k):
    """See `loss_terms`."""
    sums = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    total = 0.0
    for i in range(thread, e.size, THREADS):
        derivative = 0.0
        if i < u.size:
            if kind == _LOGISTIC:
                margin = y[i] * u[i]
                small = math.exp(-abs(margin))
                total += math.log1p(small) - min(margin, 0.0)
                derivative = -y[i] * (small if margin > 0.0 else 1.0) / (1.0 + small)
            else:
                residual = u[i] - y[i]
                derivative = residual
                if kind != _SQUARED:
                    derivative = delta if residual > delta else -delta if residual < -delta else residual
                total += derivative * (residual - 0.5 * derivative)
            derivatives[i] = derivative
        e[i] = derivative
    sums[thread] = total
    cuda.syncthreads()
    if thread == 0:
        for t in range(1, THREADS):
            total += sums[t]
        out[k] = total


def loss_terms(kind, delta, u, y, derivatives, e, out, k, stream=0):
    """out[k] = the loss at outputs u for labels y (n,), both float64; derivatives (n,) float64, e the same, padded.

    ``kind`` is a value of `KINDS`; ``delta`` is that of Huber's loss, anything for the others. e has the working
    precision and becomes 0 from n on.
    """
    loss_terms_kernel[1, THREADS, stream](kind, delta, u, y, derivatives, e, out, k)


@kernel
def add_scaled_kernel(values, factor, totals):
    """See `add_scaled`."""
    i = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if i < values.size:
        totals[i] += factor * values[i]


def add_scaled(values, factor, totals, stream=0):
    """totals[:n] += factor * values, in float64: the running sum ``sum_k lr e(k)`` of the dual engine."""
    add_scaled_kernel[-(-values.size // THREADS), THREADS, stream](values, factor, totals)
