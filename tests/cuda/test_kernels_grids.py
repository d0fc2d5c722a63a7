"""Grids: a device takes 65535 blocks along y and warns of few, the simulator takes any number."""

from types import SimpleNamespace

import numpy as np
import pytest

from fastntk.base.packing import byte_rows, padded_width
from fastntk.compilation import jit_cuda
from fastntk.kernels.cuda import (
    activation,
    coactivation,
    combinations,
    dual_flow,
    dual_momentum,
    dual_second,
    dual_step,
    expansion,
    flips,
    forward,
    gram_sums,
    limit,
    losses,
    masked_sums,
    primal_momentum,
    primal_step,
    products,
    reductions,
    rows,
    second_layer,
    stage_error,
    transposed,
)

N, D, M = 10**6, 10**6, 8 * 10**6


def of(*shape):
    """What a launcher looks at: nothing of this size is allocated."""
    return SimpleNamespace(shape=shape, size=int(np.prod(shape)), dtype=np.dtype(np.float32))


BITS, WORDS, COUNTS = (
    of(byte_rows(N), padded_width(M)),
    of(byte_rows(N), padded_width(M) // 4),
    of(2 * 10**5, 2 * 10**5),
)
FLAT = SimpleNamespace(size=N * M, ravel=lambda: None)
POINTS = SimpleNamespace(exact=None, inverse=None, length=None, square=None, size=None)
LAUNCHES = [
    (activation, "activation", (None, N, M, BITS)),
    (coactivation, "to_words", (WORDS, 0, of(N, padded_width(M) // 32))),
    (coactivation, "coactivation_counts", (None, None, True, False, COUNTS)),
    (coactivation, "write_counts", (None, True, False, COUNTS)),
    (combinations, "mean", (1.0, FLAT, FLAT)),
    (combinations, "add", (FLAT, FLAT, FLAT)),
    (dual_flow, "dual_mean", (N, M, 1.0, *[None] * 4, BITS, None)),
    (dual_flow, "change_norms", (N, M, None, None, of(32, M))),
    (dual_momentum, "dual_momentum", (N, M, 0, M, BITS, None, None, None, (0.9, 1.0, 0.0), *[None] * 4)),
    (dual_second, "positive_products", (N, M, None, None, None, of(32, M))),
    (dual_second, "add_coefficients", (N, M, BITS, None, None, None)),
    (dual_second, "add_damped_coefficients", (N, M, BITS, None, None, (0.9, 1.0, 0.0), None, None)),
    (dual_step, "sample_coefficients", (N, M, BITS, None, None, None)),
    (dual_step, "dual_step", (N, M, 0, M, *[None] * 9, of(32, M))),
    (expansion, "to_bytes", (WORDS, 0, of(N, padded_width(M) // 4))),
    (expansion, "to_bf16", (WORDS, 0, of(N, padded_width(M) // 2))),
    (expansion, "scale_rows", (None, None, of(N, D))),
    (expansion, "split", (None, of(3, N, D))),
    (flips, "flip_count", (WORDS, WORDS, None, 0)),
    (flips, "record_flips", (BITS, BITS, None, None)),
    (forward, "forward", (None, N, M, None, BITS, None)),
    (gram_sums, "positive", (of(N, 512), 512)),
    (gram_sums, "weigh", (BITS, 0, 512, None, of(N, 512))),
    (gram_sums, "add_sums", (None, COUNTS)),
    (gram_sums, "gram_entries", (None, None, None, True, 1.0, 1.0, COUNTS)),
    (limit, "limit_tiles", (POINTS, POINTS, True, 0, 1, 0.0, of(N, N))),
    (limit, "limit_profile", (None, 0, 1, 1.0, of(N * 1000), None)),
    (losses, "add_scaled", (of(N), 1.0, None)),
    (masked_sums, "masked_sums", (WORDS, of(N, D), None, 0, M, of(D, M))),
    (primal_momentum, "weight_products", (0, M, None, None, None, of(32, M))),
    (primal_momentum, "primal_momentum", (0, M, None, None, (0.9, 1.0, 0.0), *[None] * 4, of(32, M))),
    (primal_step, "primal_step", (0, M, *[None] * 5, of(32, M))),
    (products, "product", (of(N, D), of(D, M), None)),
    (products, "product_transposed", (of(N, D), of(M, D), None)),
    (reductions, "add_shares", (None, of(M))),
    (reductions, "column_sums", (None, 1.0, of(N))),
    (reductions, "largest_magnitude", (None, M, None, 0)),
    (rows, "row_lengths", (of(N, D), None, None, None, None)),
    (second_layer, "move_second", (None, 1.0, (0.9, 1.0, 0.0), None, None, None, of(M))),
    (second_layer, "blend_second", (0.5, None, None, None, of(M))),
    (second_layer, "signed_step", (of(M), 1.0, None)),
    (stage_error, "stage_error", (None, None, None, of(N), None, None)),
    (transposed, "scaled_transpose", (None, None, of(M, D))),
]


@pytest.mark.parametrize(("module", "name", "arguments"), LAUNCHES, ids=[name for _, name, _ in LAUNCHES])
def test_grids_of_large_problems_fit(monkeypatch, module, name, arguments):
    grids = []

    class Kernel:
        def __getitem__(self, configuration):
            grids.append(configuration[0])
            return lambda *given: None

    for kernel in [kernel for kernel in vars(module) if kernel.endswith("_kernel")]:
        monkeypatch.setattr(module, kernel, Kernel())
    getattr(module, name)(*arguments)
    (grid,) = grids
    across, down = grid if isinstance(grid, tuple) else (grid, 1)
    assert 0 < across < 2**31
    assert 0 < down <= 65535


def test_small_grids_are_no_reason_to_warn(monkeypatch):
    from numba.cuda.core import config

    monkeypatch.setattr(config, "CUDA_LOW_OCCUPANCY_WARNINGS", 1)
    monkeypatch.delenv("NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS", raising=False)
    jit_cuda._load()
    assert config.CUDA_LOW_OCCUPANCY_WARNINGS == 0
