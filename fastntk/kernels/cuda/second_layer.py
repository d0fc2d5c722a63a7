"""The weights of the second layer while they move, and the step of the first layer, which is scaled by them.

Layout: vectors of the m neurons; change and velocity of the second layer in float64, its weights rounded to working
    precision. A thread owns a neuron.
Cost: the shares are read once, 8 bytes each, and 40 m bytes beside: the latency of a launch.
Accumulation: shares in float64, in their order.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cuda.reductions import THREADS


@kernel
def move_second_kernel(shares, factor, beta, b, c, initial, change, velocity, a):
    """See `move_second`."""
    r = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if r < a.size:
        total = 0.0
        for part in range(shares.shape[0]):
            total += shares[part, r]
        gradient = factor * total
        # Without momentum nothing is left of the velocity, not even of one that has overflowed.
        moving = beta * velocity[r] + gradient if beta > 0.0 else gradient
        moved = change[r] + b * moving + c * gradient
        velocity[r] = moving
        change[r] = moved
        a[r] = np.float64(initial[r]) + moved


def move_second(shares, factor, coefficients, initial, change, velocity, a, stream=0):
    """One step along ``g = factor * shares.sum(axis=0)``: ``v <- beta v + g``, ``change += b v + c g``.

    shares (ranges, m or more) of ``sum_i e_i relu(z_ir)``; coefficients (beta, b, c); a = initial + change, rounded.
    """
    move_second_kernel[-(-a.size // THREADS), THREADS, stream](
        shares, factor, *coefficients, initial, change, velocity, a
    )


@kernel
def blend_second_kernel(share, rest, initial, kept, change, a):
    """See `blend_second`."""
    r = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if r < a.size:
        mixed = share * kept[r] + rest * change[r]
        change[r] = mixed
        a[r] = np.float64(initial[r]) + mixed


def blend_second(share, initial, kept, change, a, stream=0):
    """``change = share kept + (1 - share) change``, and a = initial + change, rounded."""
    blend_second_kernel[-(-a.size // THREADS), THREADS, stream](share, 1.0 - share, initial, kept, change, a)


@kernel
def signed_step_kernel(a, factor, scale):
    """See `signed_step`."""
    r = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if r < a.size:
        scale[r] = np.float64(a[r]) * factor


def signed_step(a, factor, scale, stream=0):
    """scale[:m] = factor * a, rounded once: with ``factor = -lr / sqrt(m)`` the step of the first layer."""
    signed_step_kernel[-(-a.size // THREADS), THREADS, stream](a, factor, scale)
