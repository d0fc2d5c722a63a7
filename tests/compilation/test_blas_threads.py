"""BLAS: the same bits from any Python thread and any number of BLAS threads, and the user's setting left as it was."""

import pytest

SAME_BITS = """
import concurrent.futures, hashlib, json, sys, threading
import numpy as np, threadpoolctl
import fastntk

def blas():
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

X, y = fastntk.datasets.sphere(300, 40, seed=0)
Z = fastntk.datasets.sphere(100, 40, seed=1)[0]
def work(_=None):
    run = fastntk.train(X, y, width=256, steps=3, metrics="all")
    parts = run.loss, run.net.W, run.lambda_min, fastntk.limit_gram(X, Z), fastntk.gram(Z, width=100, layers="both")
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
def in_threads(count):
    found, wait = [], threading.Barrier(count)
    def one():
        wait.wait()
        found.append(work())
    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return found
import scipy.linalg  # its BLAS is counted from the start
before = blas()
found = []
for way in sys.argv[1:]:
    if way == "main":
        found.append(work())
    elif way == "pool":
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            found += pool.map(work, range(6))
    else:
        found += in_threads(int(way))
    assert blas() == before, (way, before, blas())
print(json.dumps([before, found]))
"""


def test_any_python_thread_gives_the_same_bits(python):
    """Each way is the first to compute in a fresh process, and each follows the others in one."""
    ways, found = ["main", "1", "4", "pool"], []
    for order in (["main"], ["1"], ["4"], [*ways[::-1], *ways]):
        before, some = python(SAME_BITS, *order)
        assert len(before) == 2
        found += some
    assert len(found) == 30
    assert len(set(found)) == 1


NUMBERS = """
import hashlib, json
import numpy as np, threadpoolctl
import fastntk
from fastntk.sklearn import NTKRegressor
from fastntk.spectra import SmallestEigenvalue, spectral_norm

X, y = fastntk.datasets.sphere(400, 50, seed=0)
Z = np.random.default_rng(0).standard_normal((333, 50))
H = fastntk.limit_gram(X)

def spectrum(found):
    return found.values, found.vectors, found.residual_bounds

def parts():
    least = fastntk.lambda_min(H)
    yield "lambda_min", (least, least.lower_bound, least.vector)
    yield "spectrum", spectrum(fastntk.spectrum(H, None))
    yield "spectrum of an operator", spectrum(fastntk.spectrum(fastntk.gram_operator(X), 4))
    found = fastntk.condition_number(H)
    yield "condition_number", (found, found.lower, found.upper)
    yield "spectral_norm", (spectral_norm(H, np.eye(400)),)
    tracker = SmallestEigenvalue()
    yield "tracker", (tracker.update(H), tracker.update(1.001 * H))
    yield "label_projections", (fastntk.label_projections(H, y).projections,)
    yield "generalization_complexity", (fastntk.generalization_complexity(H, y),)
    yield "kernel_regression", (fastntk.kernel_regression(H, y, ridge=1e-3, rank=20).coefficients,)
    yield "operator", (fastntk.gram_operator(X) @ y,)
    interval = fastntk.gram_interval(X, width=500, Z=Z)
    yield "gram_interval", (interval.lower, interval.upper)
    prediction = fastntk.predict(X, y, width=500, steps=5)
    yield "predict", (prediction.loss, prediction.drift)
    rates = fastntk.convergence_rates(X[:100], y[:100], width=2000, steps=10)
    yield "convergence_rates", rates.linearised.values()
    yield "labels", (fastntk.datasets.labels(X, "eigenvector", index=0),)
    model = NTKRegressor(alpha=1e-3).fit(X, y)
    yield "regressor", (model.dual_coef_, model.predict(Z))
    for engine in ("dual", "primal"):
        run = fastntk.train(X, y, width=600, steps=4, metrics="all", engine=engine)
        yield engine, (run.loss, run.lambda_min, run.gram_change, run.net.W)

def digests(threads):
    with threadpoolctl.threadpool_limits(threads, user_api="blas"):
        return {name: hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in found)).hexdigest()
                for name, found in parts()}
print(json.dumps([digests(threads) for threads in (1, 2, 3)]))
"""


def test_the_number_of_blas_threads_does_not_matter(python):
    one, two, three = python(NUMBERS)
    assert len(one) == 17
    for name, digest in one.items():
        assert digest == two[name] == three[name], name


SETTING = """
import contextlib, json, os, sys, threading
import numpy as np, scipy.linalg, threadpoolctl
import fastntk
from fastntk.compilation.threads import kernel_threads, one_blas_thread

libraries = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
def blas():
    return [library.get_num_threads() for library in libraries]

class Failure(Exception):
    pass

def nested():
    with kernel_threads(), one_blas_thread():
        return blas()

def failing():
    try:
        with kernel_threads():
            raise Failure
    except Failure:
        return blas()

@contextlib.contextmanager
def another_computing():
    \"\"\"A thread is inside a call until the end.\"\"\"
    inside, leave = threading.Event(), threading.Event()
    def other():
        with kernel_threads():
            inside.set()
            leave.wait(60)
    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    yield
    leave.set()
    thread.join()

def overlapping():
    with contextlib.ExitStack() as stack:
        with kernel_threads():
            stack.enter_context(another_computing())
        return blas()

def told(child, reading, writing):
    os.close(writing)
    found = json.loads(os.fdopen(reading).read())
    assert os.waitpid(child, 0)[1] == 0
    return found

def in_child():
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with kernel_threads():
            within = blas()
        os.write(writing, json.dumps([within, blas(), float(np.ones((500, 500)).dot(np.ones(500))[0])]).encode())
        os._exit(0)
    return told(child, reading, writing)

def forked_while_another_computes():
    with another_computing():
        return in_child()

def forked_inside():
    \"\"\"The child leaves the call that it was forked in.\"\"\"
    reading, writing = os.pipe()
    with kernel_threads():
        child = os.fork()
        during = blas()
    if child == 0:
        os.write(writing, json.dumps([during, blas()]).encode())
        os._exit(0)
    return told(child, reading, writing)

def set_by_another():
    \"\"\"Who sets the number while a call runs is obeyed afterwards.\"\"\"
    with kernel_threads():
        threadpoolctl.threadpool_limits(3, user_api="blas")
    found = blas()
    threadpoolctl.threadpool_limits(2, user_api="blas")
    return found

with threadpoolctl.threadpool_limits(2, user_api="blas"):
    found = {}
    for case in (nested, failing, overlapping, forked_while_another_computes, forked_inside, set_by_another):
        thread = threading.Thread(target=lambda: found.update({case.__name__: case()}))
        if sys.argv[1] == "thread":
            thread.start()
            thread.join()
        else:
            thread.run()
        assert blas() == [2, 2], case
print(json.dumps(found))
"""


@pytest.mark.parametrize("where", ["main", "thread"])
def test_the_setting_of_the_user_is_left_as_it_was(python, where):
    assert python(SETTING, where) == {
        "nested": [1, 1],
        "failing": [2, 2],
        "overlapping": [1, 1],
        "forked_while_another_computes": [[1, 1], [2, 2], 500.0],
        "forked_inside": [[1, 1], [2, 2]],
        "set_by_another": [3, 3] if where == "main" else [2, 2],  # threadpoolctl refuses the other thread
    }
