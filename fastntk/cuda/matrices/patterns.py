"""Activation patterns on a GPU: made, packed, unpacked, counted, compared."""

from typing import Any

import numpy as np

from fastntk.base.packing import TILE, byte_rows, padded_width, tiles_of
from fastntk.cuda.forward import Forward, product_bytes
from fastntk.cuda.matrices.passes import Sums, piece_of, sum_over_masks
from fastntk.device.arrays import empty, give_back, gpu_of, library_of, require_memory, view, zeros
from fastntk.device.masks import DevicePackedMasks
from fastntk.kernels.cuda import flips
from fastntk.kernels.cuda.conversion import pack, unpack
from fastntk.kernels.cuda.flip_marginals import flip_marginals as flip_marginals_there
from fastntk.matrices.passes import Terms

_COUNTS = Terms(first=True, second=False)


def empty_bits(n: int, m: int, dtype: np.dtype) -> Any:
    """Bits of a pattern, after a look at the memory it takes beside the pre-activations."""
    size = byte_rows(n) * padded_width(m)
    require_memory(
        size + product_bytes(n, m, dtype), f"the activation pattern of n={n} samples and m={m} neurons"
    )
    return empty((byte_rows(n), padded_width(m)), np.uint8)


def pattern(samples: Any, weights: Any, library: str) -> DevicePackedMasks:
    """The pattern of checked arrays."""
    n, m = len(samples), len(weights)
    bits = empty_bits(n, m, weights.dtype)
    Forward(n, m, weights.dtype, outputs=False).masks(samples, weights, bits)
    return DevicePackedMasks(bits, (n, m), library)


def packed(masks: Any, name: str) -> DevicePackedMasks:
    """The argument, if it is packed; boolean matrices on the GPU are packed there."""
    if isinstance(masks, DevicePackedMasks):
        return masks
    if gpu_of(masks) is None:
        raise TypeError(f"{name} must be DevicePackedMasks or a boolean matrix, got {type(masks).__name__}")
    dense = view(masks, name)
    if dense.dtype != np.bool_ or dense.ndim != 2 or dense.size == 0:
        raise ValueError(
            f"{name} must be a non-empty boolean matrix, got {dense.dtype} of shape {tuple(dense.shape)}"
        )
    n, m = dense.shape
    bits = empty((byte_rows(n), padded_width(m)), np.uint8)
    pack(dense, bits)
    return DevicePackedMasks(bits, (n, m), library_of(masks))


def to_dense(masks: DevicePackedMasks) -> Any:
    """See `DevicePackedMasks.to_dense`."""
    dense = empty(masks.shape, np.bool_)
    unpack(masks.bits, dense)
    return give_back(dense, masks.library)


def coactivation_counts(masks: DevicePackedMasks) -> Any:
    """See `fastntk.coactivation_counts`."""
    n, m = masks.shape
    needed = Sums.bytes_needed(n, None, _COUNTS, piece_of(n, m), 0)
    require_memory(needed, f"the counts of n={n} samples")
    return give_back(sum_over_masks(masks.bits, masks.bits, n, n, m, _COUNTS).first, masks.library)


def flip_count(masks_a: DevicePackedMasks, masks_b: DevicePackedMasks) -> int:
    """See `fastntk.flip_count`."""
    count = zeros(1, np.int64)
    flips.flip_count(masks_a.bits.view(np.uint32), masks_b.bits.view(np.uint32), count, 0)
    return int(count.copy_to_host()[0])


def flip_marginals(masks_a: DevicePackedMasks, masks_b: DevicePackedMasks) -> tuple[Any, Any]:
    """See `fastntk.flip_marginals`."""
    n, m = masks_a.shape
    samples, neurons = zeros(TILE * tiles_of(n), np.int64), empty(m, np.int64)
    flip_marginals_there(masks_a.bits, masks_b.bits, samples, neurons)
    return give_back(samples[:n], masks_a.library), give_back(neurons, masks_a.library)
