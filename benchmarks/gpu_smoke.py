"""The three things without which nothing else runs on a GPU: a transfer, a kernel, a product."""

import sys
import time
import traceback

import numpy as np

from benchmarks import gpu_record


def transfer() -> bool:
    """There and back."""
    from fastntk.device.arrays import upload

    values = np.arange(1000, dtype=np.float32)
    return bool(np.array_equal(upload(values).copy_to_host(), values))


def kernel() -> bool:
    """Flips of two patterns, an integer."""
    import fastntk
    from fastntk.device.masks import DevicePackedMasks

    dense = np.random.default_rng(0).integers(0, 2, (2, 70, 200)).astype(np.bool_)
    patterns = [DevicePackedMasks.from_host(fastntk.PackedMasks.from_dense(each)) for each in dense]
    return fastntk.flip_count(*patterns) == int((dense[0] != dense[1]).sum())


def product() -> bool:
    """Of small integers, so that it is exact: by cuBLAS or by our own kernel."""
    from fastntk.device.arrays import empty, upload
    from fastntk.kernels.cuda.plans import Products

    A, B = np.random.default_rng(0).integers(-4, 5, (2, 64, 64)).astype(np.float32)
    out = empty((64, 64), np.float32)
    Products().nn(upload(A), upload(B), out)
    return bool(np.array_equal(out.copy_to_host(), A @ B))


def main() -> None:
    """Try each, whatever came of the one before."""
    failed = False
    for step in (transfer, kernel, product):
        began, text = time.perf_counter(), ""
        try:
            right = step()
        except Exception as error:
            right, text = False, f"{type(error).__name__}: {error}"[:500]
            traceback.print_exc()
        failed |= not right
        gpu_record.add(smoke=step.__name__, right=right, seconds=time.perf_counter() - began, text=text)
    sys.exit(failed)


if __name__ == "__main__":
    main()
