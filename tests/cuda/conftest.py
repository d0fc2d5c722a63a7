"""Where the tests of the CUDA path run: never among the others, since Numba simulates all of CUDA or nothing.

In a process with NUMBA_ENABLE_CUDASIM=1, when this folder is named: everything but what needs the compiler or is marked
``gpu``.  With FASTNTK_EMULATED_GPU=1 the same, with real device arrays and compiled kernels (`emulation`).  Without
either: ``test_ptx.py``, which needs no GPU, when it is named.  With ``-m gpu``: everything that the simulator runs and
what is marked ``gpu``, on the device; without a device that fails.
"""

import os
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0"
EMULATED = os.environ.get("FASTNTK_EMULATED_GPU", "0") != "0"


def _quicken():
    """Run simulated threads as greenlets instead of threads of the system: five times as fast.

    Between two barriers they run one after the other, in an order that is drawn anew, so that a kernel that lacks a
    barrier shows.
    """
    from greenlet import getcurrent, greenlet

    from fastntk.compilation.mends import mended

    with mended():
        from numba.cuda.simulator import kernel, kernelapi

    class Thread(greenlet):
        def syncthreads(self):
            self.parent.switch(True)

    order = random.Random(0)

    def run(block, grid_point, *args):
        width, height, _ = block._block_dim
        threads = []
        for x, y, z in np.ndindex(*block._block_dim):
            thread = Thread(block._f)
            thread.blockIdx, thread.threadIdx = kernelapi.Dim3(*grid_point), kernelapi.Dim3(x, y, z)
            thread.thread_id = x + width * (y + height * z)
            threads.append(thread)
        order.shuffle(threads)
        threads = [thread for thread in threads if thread.switch(*args)]
        while threads:
            order.shuffle(threads)
            threads = [thread for thread in threads if thread.switch()]

    kernel.BlockManager.run = run
    kernelapi.threading = SimpleNamespace(current_thread=getcurrent)


if SIMULATED or EMULATED:
    _quicken()


@pytest.fixture(scope="session", autouse=EMULATED)
def emulated_gpu():
    """A device of host memory, with a double of cuBLAS."""
    from tests.cuda.emulation.install import emulated

    with emulated():
        yield


def _on_device(config):
    wanted = config.option.markexpr
    return not (SIMULATED or EMULATED) and "gpu" in wanted and "not gpu" not in wanted


def pytest_ignore_collect(collection_path, config):
    """Not even imported unless named."""
    named = [Path(config.invocation_params.dir, str(arg).partition("::")[0]).resolve() for arg in config.args]
    return None if any(path == HERE or HERE in path.parents for path in named) else True


def _suits(item, config):
    """Whether a test of this folder runs in this process."""
    if item.path.name == "test_ptx.py":
        return not (SIMULATED or EMULATED or _on_device(config))
    return _on_device(config) or ((SIMULATED or EMULATED) and not item.get_closest_marker("gpu"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Deselect what does not run in this process; on a device the mark ``gpu`` is on all that does."""
    left_out = [item for item in items if HERE in item.path.parents and not _suits(item, config)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
    for item in items:
        if HERE in item.path.parents and item.path.name != "test_ptx.py" and _on_device(config):
            item.add_marker("gpu")


@pytest.fixture
def there():
    """Put an array on the GPU."""
    from fastntk.compilation.jit_cuda import cuda

    return lambda values: cuda.to_device(np.ascontiguousarray(values))


@pytest.fixture
def quick_products(monkeypatch):
    """In the simulator, for tests of what calls them: dense products by NumPy, counts in small tiles.

    Their kernels, which have tests of their own, compute 64 x 64 tiles, which takes 0.1 s however little is asked for.
    """
    from fastntk.kernels.cuda import coactivation, plans

    def product(transposed):
        def multiply(self, A, B, out):
            right = B._ary.T if transposed else B._ary
            out._ary[: A.shape[0], : right.shape[1]] = A._ary @ right

        return multiply

    if SIMULATED:
        monkeypatch.setattr(plans.Products, "nn", product(False))
        monkeypatch.setattr(plans.Products, "nt", product(True))
        for name, size in {"_TILE": 16, "_SIDE": 4, "_EACH": 4, "_CHUNK": 4, "_PITCH": 5}.items():
            monkeypatch.setattr(coactivation, name, size)
