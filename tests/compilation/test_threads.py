"""Threads and processes: the same numbers on any number of threads, concurrent calls, forked children."""

import concurrent.futures
import importlib
import threading

import numpy as np
import pytest
import threadpoolctl

import fastntk
from fastntk import reference
from fastntk.compilation.threads import kernel_threads


def importable(layer):
    try:
        importlib.import_module(f"numba.np.ufunc.{layer}pool")
    except ImportError:
        return False
    return True


LAYERS = [layer for layer in ("tbb", "omp", "workqueue") if layer == "workqueue" or importable(layer)]


def test_threads_are_restored():
    def settings():
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

    before = settings()
    with kernel_threads(1) as inside:
        assert inside == 1
        assert set(settings()) == {1}
        with kernel_threads() as nested:
            assert nested == 1
    with kernel_threads(2) as outside:
        assert outside == 2
    assert settings() == before


def test_overlapping_calls_restore_the_threads_of_blas():
    """The first to enter leaves first: the other must not take 1 for the setting to go back to."""
    first_is_in, second_is_in, first_is_out = threading.Event(), threading.Event(), threading.Event()

    def first():
        with kernel_threads():
            first_is_in.set()
            assert second_is_in.wait(10)
        first_is_out.set()

    def second():
        assert first_is_in.wait(10)
        with kernel_threads():
            second_is_in.set()
            assert first_is_out.wait(10)

    before = threadpoolctl.threadpool_info()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for task in [pool.submit(first), pool.submit(second)]:
            task.result()
    assert threadpoolctl.threadpool_info() == before


def test_two_python_threads_at_once(problem):
    """Concurrent calls have scratch space of their own."""
    problems = [problem(60, 12, 3000, integers=True) for _ in range(2)]

    def work(p):
        net = fastntk.TwoLayerReLU(p.W, p.a)
        masks = fastntk.activation_masks(p.X, p.W)
        run = fastntk.train(p.X, p.y, net=net, steps=3, lr=1e-3)
        return masks.bits, fastntk.coactivation_counts(masks), run.loss, run.net.W

    alone = [work(p) for p in problems]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        together = list(pool.map(work, problems * 8))
    for k, results in enumerate(together):
        for found, expected in zip(results, alone[k % 2], strict=True):
            assert np.array_equal(found, expected)
    assert np.array_equal(alone[0][1], reference.coactivation_counts(problems[0].X @ problems[0].W.T >= 0))


LAYER = """
import concurrent.futures, json, multiprocessing, warnings
import numpy as np, fastntk
from fastntk.compilation import process
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: fork in a process with threads
dense = [np.random.default_rng(k).integers(0, 2, (50, 3000)).astype(bool) for k in (0, 1)]
def sums(_):
    try:
        return int(fastntk.coactivation_counts(dense[0]).sum())
    except RuntimeError as error:
        return str(error)
def forked():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map_async(sums, range(4)).get(120)
def work(k):
    return [fastntk.coactivation_counts(dense[k]), fastntk.flip_count(dense[k], dense[1 - k])]
before = forked()
with concurrent.futures.ThreadPoolExecutor(2) as pool:  # the first launch is concurrent too
    together = list(pool.map(work, [0, 1] * 30))
same = all((a == b[0]).all() and f == b[1] for b, (a, f) in zip(together, [work(0), work(1)] * 30))
print(json.dumps({"layer": process.threading_layer(), "same": bool(same), "counts": together[0][0].tolist(),
                  "before": before, "after": forked(), "again": sums(None)}))
"""


@pytest.fixture(scope="module", params=LAYERS)
def on_layer(request, python):
    """What a process says that computes on this threading layer, and its name."""
    return request.param, python(LAYER, env={"NUMBA_THREADING_LAYER": request.param})


DENSE = np.random.default_rng(0).integers(0, 2, (50, 3000)).astype(bool)
SUMS = int((DENSE.sum(axis=0) ** 2).sum())


def test_concurrent_calls_on_every_layer(on_layer):
    """The workqueue layer kills a process that enters it twice; here its launches take turns."""
    layer, found = on_layer
    assert (found["layer"], found["same"]) == (layer, True)
    assert np.array_equal(found["counts"], reference.coactivation_counts(DENSE))


def test_children_forked_before_the_first_kernel_compute(on_layer):
    assert on_layer[1]["before"] == [SUMS] * 4


def test_children_forked_after_a_kernel_compute_or_are_told(on_layer):
    layer, found = on_layer
    if layer == "omp":
        assert len(found["after"]) == 4
        assert all("use the 'spawn' start method or install 'tbb'" in answer for answer in found["after"])
    else:
        assert found["after"] == [SUMS] * 4
    assert found["again"] == SUMS


SETTINGS = """
import hashlib, json
import fastntk
X, y = fastntk.datasets.sphere(250, 40, seed=0)
run = fastntk.train(X, y, width=700, steps=8, metrics="all", engine="dual")
series = [run.loss, run.flips, run.drift, run.net.W]
print(json.dumps([hashlib.sha256(values.tobytes()).hexdigest() for values in series]))
"""


def test_process_wide_thread_settings_do_not_matter(python):
    found = [
        python(SETTINGS, env={"NUMBA_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)})
        for threads in (1, 3)
    ]
    assert found[0] == found[1]


FORKED_AMID = """
import json, os, signal, threading, warnings
import numpy as np, fastntk
answer = os.dup(1)
os.dup2(2, 1)  # what TBB says of forks goes elsewhere
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: fork in a process with threads
X = np.random.default_rng(0).standard_normal((300, 20))
right, done = fastntk.limit_gram(X), threading.Event()
def compute():
    while not done.is_set():
        fastntk.limit_gram(X)
threads = [threading.Thread(target=compute) for _ in range(3)]
for thread in threads: thread.start()
found = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that hangs ends here
        try:
            os._exit(0 if np.array_equal(fastntk.limit_gram(X), right) else 1)
        except RuntimeError:
            os._exit(3)
    found.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    if found[-1] < 0: break
done.set()
for thread in threads: thread.join()
os.write(answer, json.dumps(found).encode())
"""


@pytest.mark.parametrize("layer", LAYERS)
def test_a_child_forked_amid_kernels_of_other_threads_computes_or_is_told(layer, python):
    assert python(FORKED_AMID, env={"NUMBA_THREADING_LAYER": layer}) == [3 if layer == "omp" else 0] * 20
