"""Ranges of columns of device arrays."""

from types import SimpleNamespace

import numpy as np

from fastntk.compilation.jit_cuda import cuda
from fastntk.kernels.cuda import reductions, views


def test_a_range_of_columns(rng):
    values = rng.integers(-9, 10, (5, 40)).astype(np.float64)
    out = cuda.to_device(np.zeros(7))
    reductions.column_sums(views.columns(cuda.to_device(values), 3, 10), 1.0, out)
    assert np.array_equal(out.copy_to_host(), values[:, 3:10].sum(axis=0))


def test_a_range_is_the_memory_it_is_taken_from(monkeypatch):
    """What a device is told, of which the simulator knows nothing: no copy, and nothing that grows with the rows."""
    array = SimpleNamespace(
        shape=(4, 100),
        strides=(800, 4),
        dtype=np.dtype(np.float32),
        __cuda_array_interface__={"data": (4096, False)},
    )
    monkeypatch.setattr(views, "simulated", lambda: False)
    asked = SimpleNamespace(from_cuda_array_interface=lambda view, owner, sync: (view, owner, sync))
    monkeypatch.setattr(views, "cuda", asked)
    view, owner, sync = views.columns(array, 10, 30)
    assert owner is array
    assert not sync
    assert view["data"] == (4096 + 10 * 4, False)
    assert (view["shape"], view["strides"], view["typestr"]) == ((4, 20), (800, 4), "<f4")
