"""Outputs and gradients of networks on a GPU."""

import numpy as np

from fastntk.base.packing import TILE, tiles_of
from fastntk.cuda.copies import in_precision
from fastntk.cuda.forward import GpuForward
from fastntk.cuda.matrices.patterns import empty_bits
from fastntk.device.arrays import empty, upload
from fastntk.device.dispatch import DeviceArray
from fastntk.kernels.cuda.losses import KINDS, loss_terms
from fastntk.kernels.cuda.plans import MaskedSums
from fastntk.kernels.cuda.transposed import scaled_transpose


def forward_pass(X: DeviceArray, W: DeviceArray, a: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
    """Bits of the pattern, and outputs ``u`` (float64)."""
    n, m = len(X), len(W)
    bits, u = empty_bits(n, m, W.dtype), empty(n, np.float64)
    GpuForward(n, m, W.dtype)(in_precision(X, W.dtype), W, a, bits, u)
    return bits, u


def loss_gradient(X: DeviceArray, y: DeviceArray, W: DeviceArray, a: DeviceArray) -> DeviceArray:
    """See `fastntk.loss_gradient`."""
    (n, d), m, dtype = X.shape, len(W), W.dtype
    bits, u = forward_pass(X, W, a)
    e, derivatives, loss = empty(TILE * tiles_of(n), dtype), empty(n, np.float64), empty(1, np.float64)
    loss_terms(KINDS["squared"], 0.0, u, y, derivatives, e, loss, 0)
    gradient, scale = empty((m, d), dtype), upload(a.copy_to_host() / np.sqrt(dtype.type(m)))
    samples = in_precision(X, dtype)
    for first, count, sums in MaskedSums(n, d, m, dtype).blocks(bits.view(np.uint32), samples, e):
        scaled_transpose(sums, scale[first : first + count], gradient[first : first + count])
    return gradient
