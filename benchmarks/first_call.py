"""First calls in a fresh process: what compiling costs, and what is left of it once the cache on disk is filled.

``python -m benchmarks.first_call NAME`` runs one family of kernels on tiny inputs and prints its times as JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
IMPORT = """
import sys, time
began = time.perf_counter()
import fastntk
print(time.perf_counter() - began, "numba" in sys.modules)
"""


def _inputs() -> tuple[Any, Any, Any]:
    import fastntk

    X, y = fastntk.datasets.sphere(16, 8)
    net = fastntk.TwoLayerReLU.init(8, 64)
    return X.astype("float32"), y, net


def _train(**settings: Any) -> Callable[[], Any]:
    import fastntk

    X, y, net = _inputs()
    return lambda: fastntk.train(X, y, net=net, steps=2, **settings)


def _counts() -> Callable[[], Any]:
    import fastntk

    dense = _inputs()[2].W > 0
    return lambda: fastntk.coactivation_counts(dense)


def _flips() -> Callable[[], Any]:
    import fastntk

    dense = _inputs()[2].W > 0
    return lambda: fastntk.flip_count(dense, dense)


def _masks() -> Callable[[], Any]:
    import fastntk

    X, _, net = _inputs()
    return lambda: fastntk.activation_masks(X, net.W)


def _gram() -> Callable[[], Any]:
    import fastntk

    X, _, net = _inputs()
    return lambda: fastntk.gram(X, net.W)


def _gradient() -> Callable[[], Any]:
    import fastntk

    X, y, net = _inputs()
    return lambda: fastntk.loss_gradient(X, y, net.W, net.a)


def _limit() -> Callable[[], Any]:
    import fastntk

    X = _inputs()[0]
    return lambda: fastntk.limit_gram(X)


FAMILIES: dict[str, Callable[[], Callable[[], Any]]] = {
    "coactivation counts": _counts,
    "flip count": _flips,
    "activation masks": _masks,
    "gram from W": _gram,
    "loss gradient": _gradient,
    "limit gram": _limit,
    "train, dual engine": lambda: _train(engine="dual"),
    "train, primal engine": lambda: _train(engine="primal"),
    "train, all metrics": lambda: _train(metrics="all"),
}


def _in_fresh_process(name: str, cache: str) -> dict[str, float]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.first_call", name],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def measure(quick: bool, report: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
    """For each family: seconds of the first call with an empty and with a filled cache, and of the second call."""
    rows = []
    for name in ["train, all metrics"] if quick else list(FAMILIES):
        with tempfile.TemporaryDirectory() as cache:
            empty = _in_fresh_process(name, cache)
            filled = _in_fresh_process(name, cache)
        rows.append(
            {
                "family": name,
                "empty": empty["first"],
                "filled": filled["first"],
                "second": filled["second"],
                "files": int(filled["files"]),
            }
        )
        report(rows[-1])
    return rows


def import_time(repeats: int = 5) -> dict[str, Any]:
    """Median seconds of ``import fastntk`` in fresh processes, and whether it loads the compiler."""
    seconds, compiler = [], False
    for _ in range(repeats):
        output = subprocess.run(
            [sys.executable, "-c", IMPORT], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split()
        seconds.append(float(output[0]))
        compiler |= output[1] == "True"
    return {"seconds": statistics.median(seconds), "loads_compiler": compiler}


def main(name: str) -> None:
    """Time the two calls; the clock starts before numba is imported."""
    began = time.perf_counter()
    call = FAMILIES[name]()
    call()
    first = time.perf_counter() - began
    began = time.perf_counter()
    call()
    second = time.perf_counter() - began
    files = len(list(Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.nbc")))
    print(json.dumps({"first": first, "second": second, "files": files}))


if __name__ == "__main__":
    main(sys.argv[1])
