"""Every kernel compiles for real devices and assembles, without a GPU: the simulator has no types to get wrong.

Compiling a kernel that calls device functions asks for the current device; a stand-in answers.
"""

import importlib
import pkgutil
import re
import subprocess
from types import SimpleNamespace

import pytest
from cuda import pathfinder
from numba import types

import fastntk.kernels.cuda
from fastntk.jit_cuda import cuda

ARCHITECTURES = [(8, 0), (9, 0)]
REGISTERS = 65536  # of a multiprocessor, on both
SPILLED = 16  # bytes a thread: three values of masked_sums on sm_80
SHARED = 48 * 1024  # that a kernel may have without asking for more


def vector(dtype):
    return types.Array(dtype, 1, "C")


def matrix(dtype):
    return types.Array(dtype, 2, "C")


BITS, WORDS, COUNTS = matrix(types.uint8), matrix(types.uint32), matrix(types.int64)
VALUES, SHARES = vector(types.float64), matrix(types.float64)
SIZE, REAL = types.int64, types.float64


def of_precision(t):
    """Arguments of the kernels that exist in two precisions."""
    v, M = vector(t), matrix(t)
    flags = vector(types.int32)
    limit = (M, M, M, v, v, VALUES, VALUES, v, v, v, v, types.boolean, SIZE, SIZE, t)
    sums = (WORDS, M, v, SIZE, SIZE, M)
    return {
        "activation.activation_kernel": (M, SIZE, SIZE, BITS),
        "conversion.convert_kernel": (M, M, types.boolean, REAL, flags),
        "conversion.convert_vector_kernel": (v, v, types.boolean, REAL, flags),
        "conversion.copy_kernel": (types.Array(t, 2, "A"), M),
        "conversion.copy_vector_kernel": (types.Array(t, 1, "A"), v),
        "conversion.mirror_kernel": (M, REAL),
        "conversion.zero_kernel": (v,),
        "dual_step.dual_step_kernel": (SIZE,) * 4 + (BITS, BITS, M, v, v, v, M, M, SHARES, SHARES),
        "dual_step.sample_coefficients_kernel": (SIZE, SIZE, BITS, VALUES, M, M),
        "flips.record_flips_kernel": (BITS, BITS, VALUES, M),
        "forward.forward_kernel": (M, SIZE, SIZE, v, BITS, SHARES),
        f"limit.limit_{t}_kernel": limit,
        "losses.loss_terms_kernel": (SIZE, REAL, VALUES, VALUES, VALUES, v, VALUES, SIZE),
        f"masked_sums.masked_sums_{t}_kernel": sums,
        "primal_step.primal_step_kernel": (SIZE, SIZE, M, v, M, M, M, SHARES),
        "products.product_kernel": (M, M, M),
        "products.product_transposed_kernel": (M, M, M),
        "rows.row_lengths_kernel": (M, VALUES, VALUES),
        "transposed.scaled_transpose_kernel": (M, v, M),
    }


OF_INTEGERS = {
    "conversion.unpack_kernel": (BITS, matrix(types.boolean)),
    "coactivation.coactivation_counts_kernel": (WORDS, COUNTS),
    "coactivation.gram_from_counts_kernel": (SHARES, COUNTS, REAL, SHARES),
    "coactivation.mirror_kernel": (matrix(types.int32), COUNTS),
    "coactivation.to_words_kernel": (WORDS, WORDS),
    "expansion.scale_rows_kernel": (matrix(types.float32), vector(types.float32), matrix(types.float32)),
    "expansion.split_kernel": (matrix(types.float32), types.Array(types.uint16, 3, "C")),
    "expansion.to_bf16_kernel": (WORDS, SIZE, WORDS),
    "expansion.to_bytes_kernel": (WORDS, WORDS),
    "flips.flip_count_kernel": (WORDS, WORDS, vector(types.int64), SIZE),
    "losses.add_scaled_kernel": (VALUES, REAL, VALUES),
    "reductions.add_shares_kernel": (SHARES, VALUES),
    "reductions.column_sums_kernel": (SHARES, REAL, VALUES),
    "reductions.largest_root_kernel": (VALUES, SIZE, VALUES, SIZE),
}
SIGNATURES = [
    *of_precision(types.float32).items(),
    *of_precision(types.float64).items(),
    *OF_INTEGERS.items(),
]
# Threads of the blocks that a kernel is launched with: 256 or fewer but for this one.
THREADS = {"masked_sums_kernel": 512}


def kernels():
    """Everything that can be launched, as module.name."""
    found = {}
    for module in pkgutil.iter_modules(fastntk.kernels.cuda.__path__):
        names = vars(importlib.import_module(f"fastntk.kernels.cuda.{module.name}"))
        for name, value in names.items():
            if (
                name.endswith("_kernel")
                and hasattr(value, "py_func")
                and value.py_func.__module__.endswith(module.name)
            ):
                found[f"{module.name}.{name}"] = value
    return found


KERNELS = kernels()


def compiled(name, arguments, architecture, monkeypatch):
    kernel = KERNELS[name]
    device = SimpleNamespace(compute_capability=architecture)
    monkeypatch.setattr("numba.cuda.dispatcher.get_current_device", lambda: device)
    ptx, _ = cuda.compile(
        kernel.py_func, types.void(*arguments), cc=architecture, device=False, abi="numba", output="ptx",
        launch_bounds=kernel.targetoptions.get("launch_bounds"),
    )  # fmt: skip
    return ptx


def test_no_kernel_is_left_out():
    assert {name for name, _ in SIGNATURES} == set(KERNELS)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda cc: f"sm_{cc[0]}{cc[1]}")
@pytest.mark.parametrize(
    ("name", "arguments"), SIGNATURES, ids=[f"{name}-{args[0]}" for name, args in SIGNATURES]
)
def test_kernel_assembles_and_fits(name, arguments, architecture, monkeypatch, tmp_path):
    source, ptx = tmp_path / "kernel.ptx", compiled(name, arguments, architecture, monkeypatch)
    assert not re.search(r"(atom|red)[.a-z]*\.add[.a-z]*\.f", ptx)  # only integers may be added in any order
    source.write_text(ptx)
    done = subprocess.run(
        [pathfinder.find_nvidia_binary_utility("ptxas"), f"-arch=sm_{architecture[0]}{architecture[1]}", "-v", source,
         "-o", tmp_path / "kernel.cubin"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    registers = int(re.search(r"Used (\d+) registers", done.stderr)[1])
    spilled = int(re.search(r"(\d+) bytes spill stores", done.stderr)[1])
    shared = re.search(r"(\d+) bytes smem", done.stderr)
    threads = THREADS.get(KERNELS[name].py_func.__name__, 256)
    # Registers are handed out to warps in portions of 8 a thread.
    assert -(-registers // 8) * 8 * threads <= REGISTERS
    assert spilled <= SPILLED
    assert shared is None or int(shared[1]) <= SHARED


def test_splitting_is_not_fused(monkeypatch):
    """x - high - middle in one rounding each, or the three parts would not be the whole."""
    arguments = OF_INTEGERS["expansion.split_kernel"]
    assert "fma" not in compiled("expansion.split_kernel", arguments, (9, 0), monkeypatch)
