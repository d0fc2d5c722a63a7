"""Every kernel compiles for real devices and assembles, without a GPU: the simulator has no types to get wrong."""

import importlib
import pkgutil
import re
import shutil
import subprocess
from types import SimpleNamespace

import pytest
from cuda import pathfinder
from numba import types

import fastntk.kernels.cuda
from fastntk.compilation import jit_cuda, kernel_cache
from fastntk.compilation.jit_cuda import cuda
from fastntk.kernels.cuda import losses

ARCHITECTURES = [(8, 0), (9, 0)]
REGISTERS = 65536  # of a multiprocessor, on both
SPILLED = 16  # bytes a thread: three values of masked_sums on sm_80
SHARED = 48 * 1024  # that a kernel may have without asking for more


def signatures(types):
    """Kernels, as module.name, and the types of their arguments, twice for those that exist in two precisions."""

    def vector(dtype):
        return types.Array(dtype, 1, "C")

    def matrix(dtype):
        return types.Array(dtype, 2, "C")

    size, real, flags = types.int64, types.float64, vector(types.int32)
    bits, words, counts = matrix(types.uint8), matrix(types.uint32), matrix(types.int64)
    values, shares = vector(types.float64), matrix(types.float64)
    v32, M32 = vector(types.float32), matrix(types.float32)
    some_bits, some = types.Array(types.uint8, 2, "A"), types.Array(types.float32, 2, "A")
    some_shares = types.Array(types.float64, 2, "A")
    entries = (shares, shares, *[types.boolean] * 3, real, real)
    yield from {
        "coactivation.coactivation_counts_kernel": (words, words, types.boolean, types.boolean, counts),
        "coactivation.to_words_kernel": (words, size, words),
        "coactivation.write_counts_kernel": (matrix(types.int32), types.boolean, types.boolean, counts),
        "conversion.pack_kernel": (types.Array(types.boolean, 2, "A"), bits),
        "conversion.unpack_kernel": (bits, matrix(types.boolean)),
        "expansion.scale_rows_kernel": (M32, v32, M32),
        "expansion.split_kernel": (M32, types.Array(types.uint16, 3, "C")),
        "expansion.to_bf16_kernel": (words, size, words),
        "expansion.to_bytes_kernel": (words, size, words),
        "flip_marginals.neuron_flips_kernel": (bits, bits, vector(types.int64)),
        "flip_marginals.sample_flips_kernel": (words, words, vector(types.int64)),
        "flips.flip_count_kernel": (words, words, vector(types.int64), size),
        "gram_sums.weigh_kernel": (bits, size, size, values, shares),
        "limit.limit_profile_kernel": (values, size, size, real, values, flags),
        "losses.add_scaled_kernel": (values, real, values),
        "reductions.add_shares_kernel": (shares, values),
        "reductions.column_sums_kernel": (shares, real, values),
        "reductions.largest_magnitude_kernel": (values, size, values, size),
        "reductions.largest_root_kernel": (values, size, values, size),
        "stage_error.stage_error_kernel": (*[values] * 5, values),
    }.items()
    yield from {  # ranges of neurons
        "activation.activation_kernel": (M32, size, size, some_bits),
        "conversion.zero_kernel": (vector(types.int64),),
        "gram_sums.add_sums_kernel": (shares, some_shares),
        "dual_step.sample_coefficients_kernel": (size, size, some_bits, values, some, M32),
        "forward.forward_kernel": (M32, size, size, v32, some_bits, shares),
        "products.product_kernel": (M32, some, M32),
    }.items()
    yield from {
        "conversion.zero_kernel": (vector(types.uint8),),
        "gram_sums.gram_entries_kernel": (shares, *entries, shares),
        "products.product_kernel": (some_shares, shares, shares),
        "products.product_transposed_kernel": (some_shares, shares, shares),
    }.items()
    for t in (types.float32, types.float64):
        v, M = vector(t), matrix(t)
        points = (v, v, values, values, v, v, v, v)
        yield from {
            "activation.activation_kernel": (M, size, size, bits),
            "combinations.add_kernel": (v, v, v),
            "combinations.mean_kernel": (real, real, v, v),
            "conversion.convert_kernel": (M, M, types.boolean, real, flags),
            "conversion.convert_vector_kernel": (v, v, types.boolean, real, flags),
            "conversion.copy_kernel": (types.Array(t, 2, "A"), M),
            "conversion.copy_vector_kernel": (types.Array(t, 1, "A"), v),
            "conversion.mirror_kernel": (M, real),
            "conversion.zero_kernel": (v,),
            "dual_flow.change_norms_kernel": (size, size, M, M, shares),
            "dual_flow.dual_mean_kernel": (size, size, real, real, v, M, M, M, bits, shares),
            "dual_momentum.dual_momentum_kernel": (
                *[size] * 4,
                bits,
                M,
                v,
                v,
                real,
                real,
                real,
                M,
                M,
                M,
                shares,
            ),
            "dual_second.add_coefficients_kernel": (size, size, bits, v, v, M),
            "dual_second.add_damped_coefficients_kernel": (size, size, bits, v, v, real, real, real, M, M),
            "dual_second.positive_products_kernel": (size, size, v, M, M, shares),
            "dual_step.dual_step_kernel": (*[size] * 4, bits, bits, M, v, v, v, M, M, shares, shares),
            "dual_step.sample_coefficients_kernel": (size, size, bits, values, M, M),
            "flips.record_flips_kernel": (bits, bits, values, M),
            "forward.forward_kernel": (M, size, size, v, bits, shares),
            f"limit.limit_{t}_kernel": (M, M, M, *points, types.boolean, size, size, t),
            "gram_sums.add_sums_kernel": (M, shares),
            "gram_sums.gram_entries_kernel": (shares, counts, *entries[1:], M),
            "gram_sums.positive_kernel": (M, size),
            "losses.loss_terms_kernel": (size, real, values, values, values, v, values, size),
            f"masked_sums.masked_sums_{t}_kernel": (words, M, v, size, size, M),
            "primal_momentum.primal_momentum_kernel": (
                size,
                size,
                M,
                v,
                real,
                real,
                real,
                M,
                M,
                M,
                M,
                shares,
            ),
            "primal_momentum.weight_products_kernel": (size, size, M, M, M, shares),
            "primal_step.primal_step_kernel": (size, size, M, v, M, M, M, shares),
            "products.product_kernel": (M, M, M),
            "products.product_transposed_kernel": (M, M, M),
            "rows.row_lengths_kernel": (M, values, values, values, values),
            "second_layer.blend_second_kernel": (real, real, v, values, values, v),
            "second_layer.move_second_kernel": (shares, real, real, real, real, v, values, values, v),
            "second_layer.signed_step_kernel": (v, real, v),
            "transposed.scaled_transpose_kernel": (M, v, M),
        }.items()


SIGNATURES = list(signatures(types))
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


def compiled(name, arguments, architecture, void=types.void):
    """The kernel as PTX."""
    kernel = KERNELS[name]
    ptx, _ = cuda.compile(
        kernel.py_func, void(*arguments), cc=architecture, device=False, abi="numba", output="ptx",
        launch_bounds=kernel.targetoptions.get("launch_bounds"),
    )  # fmt: skip
    return ptx


def assembled(ptx, architecture, folder):
    """What the assembler reports, without an error."""
    source = folder / "kernel.ptx"
    source.write_text(ptx)
    done = subprocess.run(
        [pathfinder.find_nvidia_binary_utility("ptxas"), f"-arch=sm_{architecture[0]}{architecture[1]}", "-v", source,
         "-o", folder / "kernel.cubin"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def check(name, arguments, architecture, folder, void=types.void):
    """Compile and assemble; fail if the kernel does not fit or its result could depend on an order of threads."""
    ptx = compiled(name, arguments, architecture, void)
    assert not re.search(r"(atom|red)[.a-z]*\.add[.a-z]*\.f", ptx)  # only integers may be added in any order
    report = assembled(ptx, architecture, folder)
    registers = int(re.search(r"Used (\d+) registers", report)[1])
    spilled = int(re.search(r"(\d+) bytes spill stores", report)[1])
    shared = re.search(r"(\d+) bytes smem", report)
    threads = THREADS.get(KERNELS[name].py_func.__name__, 256)
    # Registers are handed out to warps in portions of 8 a thread.
    assert -(-registers // 8) * 8 * threads <= REGISTERS
    assert spilled <= SPILLED
    assert shared is None or int(shared[1]) <= SHARED


@pytest.fixture
def device(monkeypatch):
    """Stands in for the current device, which is asked for when a kernel calls a device function."""

    def use(architecture):
        found = SimpleNamespace(compute_capability=architecture)
        monkeypatch.setattr("numba.cuda.dispatcher.get_current_device", lambda: found)

    return use


def test_no_kernel_is_left_out():
    assert {name for name, _ in SIGNATURES} == set(KERNELS)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda cc: f"sm_{cc[0]}{cc[1]}")
@pytest.mark.parametrize(("name", "arguments"), SIGNATURES, ids=[name for name, _ in SIGNATURES])
def test_kernel_assembles_and_fits(name, arguments, architecture, device, tmp_path):
    device(architecture)
    check(name, arguments, architecture, tmp_path)


def test_splitting_is_not_fused(device):
    """x - high - middle in one rounding each, or the three parts would not be the whole."""
    device((9, 0))
    assert "fma" not in compiled("expansion.split_kernel", dict(SIGNATURES)["expansion.split_kernel"], (9, 0))


CACHED = """
import importlib.util, json, sys
from types import SimpleNamespace
from numba import types
from numba.cuda import dispatcher
from numba.cuda.cudadrv import devices

device = SimpleNamespace(compute_capability=(9, 0))
dispatcher.get_current_device = lambda: device
devices.get_context = lambda *number: SimpleNamespace(device=device)
dispatcher._Kernel.bind = lambda kernel: kernel._codelibrary.get_cubin()  # loading it takes a driver
spec = importlib.util.spec_from_file_location("test_ptx", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
found = {}
for name, arguments in tests.signatures(types):
    if name.rpartition(".")[2] in sys.argv[2:]:
        kernel = tests.KERNELS[name]
        kernel.compile(arguments)
        cubin = kernel.overloads[arguments]._codelibrary.get_cubin().code
        found[f"{name} {arguments}"] = [sum(kernel.stats.cache_hits.values()), cubin.hex()]
print(json.dumps(found))
"""
# In two precisions; with launch bounds; closing over device functions; calling one of another file.
KEPT = "masked_sums_float32_kernel", "limit_float32_kernel", "limit_float64_kernel", "forward_kernel"


def test_compiled_kernels_are_kept_until_a_source_changes(python, tmp_path):
    """The second process loads what the first one compiled; after a change in any kernel's file nothing is loaded."""
    shutil.copytree(
        fastntk.kernels.__path__[0] + "/..", tmp_path / "fastntk", ignore=shutil.ignore_patterns("*.nb?")
    )
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def compiled_by_a_process():
        found = python(CACHED, __file__, *KEPT, env=environment, path=tmp_path)
        hits, code = zip(*found.values(), strict=True)
        return dict(zip(found, code, strict=True)), max(hits), min(hits)

    first, *hits = compiled_by_a_process()
    assert hits == [0, 0]
    assert len(KEPT) < len(first) == len(set(first.values()))
    again, _, fewest = compiled_by_a_process()
    assert again == first
    assert fewest > 0
    source = tmp_path / "fastntk" / "kernels" / "cuda" / "forward.py"
    with source.open("a") as file:
        file.write("\n# changed\n")
    changed, *hits = compiled_by_a_process()
    assert changed == first
    assert hits == [0, 0]


def test_a_package_that_keeps_code_otherwise(monkeypatch):
    assert not kernel_cache.secure(SimpleNamespace(_cache=SimpleNamespace()))
    monkeypatch.setattr(jit_cuda, "secure", lambda dispatcher, *sources: False)
    assert jit_cuda.kernel(losses.add_scaled_kernel.py_func).stats.cache_path is None


def test_without_a_writable_place_kernels_are_compiled_anew(monkeypatch):
    monkeypatch.setattr("numba.cuda.core.caching.CacheImpl._locator_classes", [])
    kernel = jit_cuda.kernel(losses.add_scaled_kernel.py_func)
    assert kernel.stats.cache_path is None
    monkeypatch.undo()
    assert jit_cuda.kernel(losses.add_scaled_kernel.py_func).stats.cache_path is not None


SUCCESSOR = """
import importlib.util, json, sys
from pathlib import Path
from fastntk.compilation import jit_cuda, kernel_cache

jit_cuda._PACKAGES = jit_cuda._PACKAGES[1:]  # as where only numba-cuda-mlir is installed
import numba_cuda_mlir.tools
from numba_cuda_mlir import types

numba_cuda_mlir.tools._cached_cc = (9, 0)  # the device it would ask
spec = importlib.util.spec_from_file_location("test_ptx", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
wrong = {}
for name, arguments in tests.signatures(types):
    try:
        tests.check(name, arguments, (9, 0), Path(sys.argv[2]), types.void)
    except Exception as error:
        wrong[name] = repr(error)
print(json.dumps([jit_cuda.package(), wrong]))
"""


def test_the_successor_of_the_package_compiles_them_all(python, tmp_path):
    package, wrong = python(SUCCESSOR, __file__, tmp_path)
    assert package.startswith("numba-cuda-mlir")
    assert wrong == {}
