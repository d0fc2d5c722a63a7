"""The same numbers, to the bit, on one thread and on all: one table of everything that computes in parallel."""

import itertools

import numba
import numpy as np
import pytest

import fastntk
from fastntk.compilation.threads import _blas_libraries, kernel_threads
from fastntk.engines.choice import ENGINES
from fastntk.matrices import operators
from fastntk.model.draws import Draws

rng = np.random.default_rng(0)
X, Z, W = (rng.standard_normal(shape).astype(np.float32) for shape in ((350, 8), (190, 8), (3000, 8)))
WIDE = rng.standard_normal((9000, 20)).astype(np.float32)
FEW, y, e = (
    rng.standard_normal((70, 20)).astype(np.float32),
    rng.standard_normal(70),
    rng.standard_normal(350),
)
SIGNS, ANY = rng.choice([-1.0, 1.0], 9000), rng.standard_normal(3000)
V = rng.standard_normal((350, 2))


def drawn(seed):
    rows = np.empty((1000, 30), np.float32)
    Draws(seed).weights(5, rows)
    return rows, Draws(seed).signs(5, 1000, rows.dtype)


def products():
    square, cross = fastntk.gram_operator(X, dtype="float32"), fastntk.gram_operator(X, Z)
    return square @ V, square @ V[:, 0], cross @ V[:190], cross.T @ V


def interval():
    found = fastntk.gram_interval(X, width=500, Z=Z)
    return found.lower, found.upper


def trained(shape, **settings):
    n, d, width = shape
    run = fastntk.train(*fastntk.datasets.sphere(n, d, seed=0), width=width, metrics="all", **settings)
    solver = [] if run.times is None else [run.times, run.provenance["solver"]["error_estimate"]]
    weights = run.net.W if isinstance(run.net.W, list) else [run.net.W]
    return [*run.series.values(), run.steps, *weights, run.net.a, *solver]


# Sizes such that several threads have something to do.
OPERATIONS = {
    "outputs": lambda: [fastntk.TwoLayerReLU(WIDE, SIGNS)(FEW)],
    "activation_masks": lambda: [fastntk.activation_masks(FEW, WIDE).bits],
    "coactivation_counts": lambda: [fastntk.coactivation_counts(fastntk.activation_masks(FEW, WIDE))],
    "flips": lambda: [
        fastntk.flip_count(X @ W.T >= 0, X @ W.T >= 0.1),
        *fastntk.flip_marginals(X @ W.T >= 0, X @ W.T >= 0.1),
    ],
    "loss_gradient": lambda: [fastntk.loss_gradient(FEW, y, WIDE, SIGNS)],
    "draws": lambda: drawn(9),
    "gram of masks": lambda: [fastntk.gram(FEW, masks=fastntk.activation_masks(FEW, WIDE))],
    **{
        f"gram, {layers}, {kind}": lambda layers=layers, a=a: (
            fastntk.gram(X, W, a, layers=layers),
            fastntk.gram(X, W, a, Z, layers=layers),
            fastntk.gram(X, width=3000, seed=3, layers=layers, a=a),
        )
        for layers in ("first", "second", "both")
        for kind, a in {"signs": None, "any weights": ANY}.items()
    },
    "limit_gram": lambda: (fastntk.limit_gram(X), fastntk.limit_gram(X, Z, layers="both", depth=2)),
    "gram_operator": products,
    "gram_interval": interval,
    **{
        f"train, {engine}, {dtype}, {layers}, {'-'.join(map(str, how.values()))}": (
            lambda engine=engine, dtype=dtype, layers=layers, how=how: trained(
                (50, 30, 9001), engine=engine, dtype=dtype, layers=layers, **how
            )
        )
        for engine, dtype, layers, how in itertools.product(
            ENGINES,
            ("float32", "float64"),
            ("first", "second", "both"),
            (
                {"optimizer": "gd", "steps": 12},
                {"optimizer": "nesterov", "steps": 5},
                {"dynamics": "flow", "t_final": 3.0, "times": [1.0]},
            ),
        )
    },
    **{
        f"train, {engine}, {dtype}, many samples": lambda engine=engine, dtype=dtype: trained(
            (300, 20, 600), engine=engine, dtype=dtype, steps=12
        )
        for engine, dtype in itertools.product(ENGINES, ("float32", "float64"))
    },
    **{
        f"train, path, {dtype}, {'-'.join(map(str, how.values()))}": lambda dtype=dtype, how=how: trained(
            (70, 40, 700), engine="path", dtype=dtype, lr=0.3, **how
        )
        for dtype, how in (
            ("float32", {"optimizer": "gd", "steps": 30}),
            ("float64", {"optimizer": "nesterov", "steps": 30}),
        )
    },
    "train, path, flow": lambda: trained(
        (70, 40, 700), engine="path", dynamics="flow", t_final=1.0, times=[1.0]
    ),
    "train, two hidden layers": lambda: trained((530, 30, 1100), depth=2, steps=1),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_results_do_not_depend_on_the_number_of_threads(name, monkeypatch):
    monkeypatch.setattr(operators, "_EDGE", 32)  # several blocks
    monkeypatch.setattr(operators, "_ROWS", 8)
    before, blas = numba.get_num_threads(), _blas_libraries().info()
    expected = OPERATIONS[name]()
    for threads in range(1, before + 1):
        with kernel_threads(threads):
            found = [OPERATIONS[name]()]
        numba.set_num_threads(threads)  # as a user may
        try:
            if not name.startswith("train"):
                found.append(OPERATIONS[name]())
            assert numba.get_num_threads() == threads
        finally:
            numba.set_num_threads(before)
        for values in found:
            for one, other in zip(values, expected, strict=True):
                assert np.array_equal(
                    one, other, equal_nan=name == "train, two hidden layers"
                )  # of those that stay
    assert _blas_libraries().info() == blas
