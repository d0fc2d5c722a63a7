"""Activation patterns on a GPU: made, packed, unpacked, counted, compared."""

import numpy as np

from fastntk.base.packing import TILE, byte_rows, padded_width, tiles_of
from fastntk.cuda.copies import in_precision
from fastntk.cuda.forward import GpuForward, product_bytes
from fastntk.cuda.matrices.passes import Sums, piece_of, sum_over_masks
from fastntk.device.arrays import empty, zeros
from fastntk.device.dispatch import DeviceArray, DevicePattern
from fastntk.device.driver import require_memory
from fastntk.kernels.cuda import flips
from fastntk.kernels.cuda.conversion import pack, unpack
from fastntk.kernels.cuda.flip_marginals import flip_marginals as launch_flip_marginals
from fastntk.matrices.passes import Terms

_COUNTS = Terms(first=True, second=False)


def empty_bits(n: int, m: int, dtype: np.dtype) -> DeviceArray:
    """Bits of a pattern, after a look at the memory it takes beside the pre-activations."""
    size = byte_rows(n) * padded_width(m)
    require_memory(
        size + product_bytes(n, m, dtype), f"the activation pattern of n={n} samples and m={m} neurons"
    )
    return empty((byte_rows(n), padded_width(m)), np.uint8)


def activation_bits(X: DeviceArray, W: DeviceArray) -> DeviceArray:
    """The bits of `fastntk.activation_masks`."""
    n, m = len(X), len(W)
    bits = empty_bits(n, m, W.dtype)
    GpuForward(n, m, W.dtype, outputs=False).masks(in_precision(X, W.dtype), W, bits)
    return bits


def packed_bits(dense: DeviceArray) -> DeviceArray:
    """The bits of a boolean matrix."""
    n, m = dense.shape
    bits = empty((byte_rows(n), padded_width(m)), np.uint8)
    pack(dense, bits)
    return bits


def to_dense(masks: DevicePattern) -> DeviceArray:
    """Bits as a boolean matrix."""
    dense = empty(masks.shape, np.bool_)
    unpack(masks.bits, dense)
    return dense


def coactivation_counts(masks: DevicePattern) -> DeviceArray:
    """See `fastntk.coactivation_counts`."""
    n, m = masks.shape
    needed = Sums.bytes_needed(n, None, _COUNTS, piece_of(n, m), 0)
    require_memory(needed, f"the counts of n={n} samples")
    counts = sum_over_masks(masks, masks, _COUNTS).first
    assert counts is not None
    return counts


def flip_count(before: DevicePattern, after: DevicePattern) -> int:
    """See `fastntk.flip_count`."""
    count = zeros(1, np.int64)
    flips.flip_count(before.bits.view(np.uint32), after.bits.view(np.uint32), count, 0)
    return int(count.copy_to_host()[0])


def flip_marginals(before: DevicePattern, after: DevicePattern) -> tuple[DeviceArray, DeviceArray]:
    """See `fastntk.flip_marginals`."""
    n, m = before.shape
    samples, neurons = zeros(TILE * tiles_of(n), np.int64), empty(m, np.int64)
    launch_flip_marginals(before.bits, after.bits, samples, neurons)
    return samples[:n], neurons
