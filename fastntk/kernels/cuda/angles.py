"""The angle between two rows and the first moment of two ReLUs: the polynomials of the CPU's `angles`, on a device.

Coefficients sit in constant memory, which all threads of a warp read at once; the loop has a fixed length, so it
unrolls into one chain of fused multiply-adds with an operand from there. Other warps fill the gaps of the chain.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, device_function
from fastntk.kernels.cpu.angles import ANGLE, MOMENT


def _series(coefficients, dtype):
    values = np.array(coefficients[8 * np.dtype(dtype).itemsize][::-1], dtype)
    count = len(values)

    @device_function
    def series(t):
        highest_first = cuda.const.array_like(values)
        value = highest_first[0]
        for k in range(1, count):
            value = value * t + highest_first[k]
        return value

    return series


angle_series = {name: _series(ANGLE, name) for name in (np.float32, np.float64)}
moment_series = {name: _series(MOMENT, name) for name in (np.float32, np.float64)}
