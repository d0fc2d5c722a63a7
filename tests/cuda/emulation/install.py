"""The emulated GPU in the place of CUDA, with a double of cuBLAS."""

import contextlib
import functools

import pytest

from tests.cuda.emulation import cublas, device


@contextlib.contextmanager
def emulated():
    """Until the end of the block everything runs there."""
    from fastntk.compilation import jit_cuda
    from fastntk.kernels.cuda import vendor

    with pytest.MonkeyPatch.context() as patch:
        device.install(patch)
        double = cublas.Double()
        patch.setattr(jit_cuda, "problem", lambda: None)
        patch.setattr(vendor, "library", functools.wraps(vendor.library)(lambda: double))
        # torch, if it is there, computes on the host
        patch.setattr("benchmarks.gpu_sides.simulated", lambda: True)
        yield
