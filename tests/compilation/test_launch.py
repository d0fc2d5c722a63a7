"""Launching kernels: one signature for arrays as users have them, layers, forked children, a compiler switched off."""

import gc
import os
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import fastntk
from fastntk.compilation.launch import ParallelKernel


def signatures():
    return {
        f"{found.py_func.__module__}.{found.py_func.__name__}": len(found.signatures)
        for found in gc.get_objects()
        if issubclass(type(found), Dispatcher)  # isinstance asks weak references that may be dead
        and found.py_func.__module__.startswith("fastntk")
        and found.signatures
    }


def frozen(values):
    values = values.copy()
    values.flags.writeable = False
    return values


def unaligned(values):
    memory = np.zeros(values.nbytes + 1, np.uint8)[1:].view(values.dtype).reshape(values.shape)
    memory[...] = values
    return memory


LIKE = {
    "read-only": frozen,
    "column-major": np.asfortranarray,
    "swapped bytes": lambda values: values.astype(values.dtype.newbyteorder()),
    "unaligned": unaligned,
    "strided": lambda values: np.repeat(values, 2, axis=0)[::2],
    "read-only and strided": lambda values: frozen(np.repeat(values, 2, axis=0))[::2],
}


@pytest.mark.parametrize("kind", LIKE)
def test_arrays_as_users_have_them_compile_nothing_anew(problem, kind):
    p = problem(30, 10, 70)

    def everything(X, y, W, a):
        net = fastntk.TwoLayerReLU(W, a)
        masks = fastntk.activation_masks(X, W)
        yield masks.bits
        yield fastntk.coactivation_counts(masks)
        yield net(X)
        yield fastntk.gram(X, W)
        yield fastntk.gram(X, W, layers="both")
        yield fastntk.limit_gram(X)
        yield fastntk.limit_gram(X, X[:5])
        yield fastntk.loss_gradient(X, y, W, a)
        yield fastntk.gram_operator(X) @ y
        yield fastntk.train(X, y, net=net, steps=2, engine="dual").loss
        yield fastntk.train(X, y, net=net, steps=2, engine="primal").net.W

    arrays = p.X, p.y, p.W, p.a
    wanted = list(everything(*arrays))
    before = signatures()
    given = [LIKE[kind](values) for values in arrays]
    found = list(everything(*given))
    assert signatures() == before
    for one, two in zip(found, wanted, strict=True):
        assert np.array_equal(one, two)
    for one, two in zip(given, arrays, strict=True):
        assert np.array_equal(one, two)


def test_read_only_arguments_are_seen_in_their_own_memory():
    """Also in tuples with names; what is writable is passed as it is."""
    seen = []
    kernel = ParallelKernel(
        type("", (), {"py_func": None, "__call__": lambda self, *given: seen.extend(given)})()
    )
    Pair = namedtuple("Pair", "left right")
    fixed, free = frozen(np.arange(12.0).reshape(3, 4)), np.arange(3.0)
    kernel(fixed, Pair(fixed.T, free), free, 5)
    assert np.shares_memory(seen[0], fixed)
    assert seen[0].flags.writeable
    assert not fixed.flags.writeable
    assert np.array_equal(seen[1].left, fixed.T)
    assert seen[1].left.strides == fixed.T.strides
    assert np.shares_memory(seen[1].left, fixed)
    assert seen[1].right is free
    assert seen[2] is free
    assert seen[3] == 5
    del kernel, fixed
    gc.collect()
    assert np.array_equal(seen[0], np.arange(12.0).reshape(3, 4)), "the view keeps the memory"


def test_a_compiler_that_is_switched_off_is_one_clear_line():
    script = "import fastntk; fastntk.datasets.sphere(3, 2); fastntk.limit_gram([[1.0, 0.0]])"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: fastntk is compiled by Numba, which NUMBA_DISABLE_JIT=1 forbids: unset that variable"
    )
    command = [sys.executable, "-m", "fastntk", "info"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


FORKED = """
import json, os, sys
import numpy as np, fastntk, numba
X = np.random.default_rng(0).standard_normal((40, 10))
if sys.argv[1] == "own kernel":
    @numba.njit(parallel=True)
    def own(values):
        for i in numba.prange(values.size):
            values[i] = i
    own(np.zeros(100))
else:
    fastntk.limit_gram(X)
layer = numba.threading_layer()
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    try:
        answer = float(fastntk.limit_gram(X)[0, 0])
    except RuntimeError as error:
        answer = str(error)
    from fastntk.results import provenance
    provenance.environment()
    os.write(writing, json.dumps(answer).encode())
    os._exit(0)
os.close(writing)
answer = os.fdopen(reading).read()
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps({"layer": layer, "status": status, "answer": json.loads(answer or "null"),
                  "right": float(fastntk.limit_gram(X)[0, 0])}))
"""


@pytest.mark.parametrize("first", ["limit_gram", "own kernel"])
def test_a_child_of_a_process_with_openmp_is_told(python, first):
    """Whatever started the layer: a kernel of the package that asks for the threads first, or the user's own."""
    found = python(FORKED, first, env={"NUMBA_THREADING_LAYER": "omp"})
    assert (found["layer"], found["status"]) == ("omp", 0)
    assert "use the 'spawn' start method or install 'tbb'" in found["answer"]


def test_tbb_is_found_by_a_kernel_of_the_user(python):
    """A kernel that runs after `import fastntk` and before any of ours decides the layer of the process."""
    found = python(FORKED, "own kernel")
    assert found["layer"] == "tbb" or sys.platform != "linux", "it is a dependency on Linux"
    assert (found["status"], found["answer"]) == (0, found["right"])
