"""Every public function with arrays as users have them: the result of a clean copy, or an error that says why not.

Never a crash, a hang, an unasked inf or nan, or a write into the data of the caller. Half a minute of it runs with all
tests; ``FASTNTK_FUZZ_MINUTES=60`` runs it as long, with new examples every time.
"""

import os
import re
import tempfile
import time
import warnings

import numpy as np
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.linalg import LinAlgWarning

import fastntk
from fastntk.sklearn import NTKClassifier, NTKKernel, NTKRegressor
from fastntk.spectra import lambda_max, spectral_norm
from fastntk.training.settings import Settings
from tests.guises import BAD, GUISES, Holder

MINUTES = float(os.environ.get("FASTNTK_FUZZ_MINUTES", "0"))
EXPECTED = (fastntk.SingularGramWarning, fastntk.ConvergenceWarning, LinAlgWarning)
ERRORS = (ValueError, TypeError, fastntk.MemoryLimitError)
SCALES = (1.0, 1.0, 1.0, 1e-2, 1e-320, 1e-200, 1e-30, 1e25, 1e150, 1e300)


def numbers(shape):
    """Small integers, so that every guise can hold them, or these times an extreme number."""
    count = int(np.prod(shape))
    entries = st.lists(st.integers(-2, 3) | st.integers(0, 1), min_size=count, max_size=count)
    return st.builds(
        lambda e, s: np.array(e, np.float64).reshape(shape) * s, entries, st.sampled_from(SCALES)
    )


@st.composite
def arguments(draw):
    """Arrays that fit together: X, y, W, a, and a positive semi-definite H; perhaps without rows or columns."""
    n, d, m = draw(st.integers(0, 4)), draw(st.integers(0, 3)), draw(st.integers(0, 5))
    if draw(st.booleans()):
        n, d, m = n + 1, d + 1, m + 1
    B = draw(numbers((n, n)))
    with np.errstate(all="ignore"):
        H = B @ B.T + np.eye(n) * max(float(np.square(B).max(initial=0.0)), 5e-324)
    return {
        "X": draw(numbers((n, d))), "Z": draw(numbers((2, d))), "y": draw(numbers((n,))),
        "W": draw(numbers((m, d))), "a": draw(numbers((m,))),
        "H": H if np.isfinite(H).all() else np.eye(n),
    }  # fmt: skip


def saved(X, y):
    with tempfile.TemporaryDirectory() as folder:
        fastntk.datasets.save_csv(f"{folder}/data.csv", X, y)
        return fastntk.datasets.load_csv(f"{folder}/data.csv")


DESCENT = {"steps": Settings.steps, "lr": Settings.lr}


def trained(X, y, **options):
    run = fastntk.train(X, y, **{"width": 4, "steps": 2, "lr": 1e-3, **options})
    weights = run.net.W if isinstance(run.net.W, list) else [run.net.W]
    return [run.loss, run.flips, run.drift, *weights, run.net.a]


def rates(X, y):
    found = fastntk.convergence_rates(X, y, width=64, steps=2)
    return [found.lambda_max, *found.linearised.values()]


def deep(W):
    rows = 1 if scipy.sparse.issparse(W) or not hasattr(W, "__len__") else len(W)
    return fastntk.DeepReLU([W, np.ones((3, rows))], np.ones(3))


def multiplied(y):
    if not hasattr(y, "__len__"):
        raise TypeError("y has no length")
    with np.errstate(all="ignore"):  # warnings as NumPy's own
        return fastntk.gram_operator(np.eye(len(y) or 1)) @ y


def weighted(a):
    n = len(a)
    return NTKRegressor().fit(np.eye(n), np.arange(n), a).dual_coef_


def ends(interval):
    return [interval.gram, interval.lower, interval.upper]


def regressor(X, y):
    return NTKRegressor(bias=1.0).fit(X, y).predict(X)


# What is called, with the arguments that it takes, and the names of these in messages where they are others.
CALLS = {
    "limit_gram": ("X", lambda X: fastntk.limit_gram(X)),
    "limit_gram, float32": ("X", lambda X: fastntk.limit_gram(X, layers="both", depth=2, dtype="float32")),
    "limit_gram, cross": ("X Z", lambda X, Z: fastntk.limit_gram(X, Z, layers="second")),
    "gram": ("X W", lambda X, W: fastntk.gram(X, W)),
    "gram, both": ("X W a", lambda X, W, a: fastntk.gram(X, W, a, layers="both")),
    "gram, width": ("X Z", lambda X, Z: fastntk.gram(X, Z=Z, width=5)),
    "gram, deep": ("X W", lambda X, W: fastntk.gram(X, net=deep(W), layers="all")),
    "limit_gram, layer": ("X", lambda X: fastntk.limit_gram(X, layers=2, depth=2)),
    "gram_interval": ("X", lambda X: ends(fastntk.gram_interval(X, width=64))),
    "activation_masks": ("X W", lambda X, W: fastntk.activation_masks(X, W).to_dense()),
    "loss_gradient": ("X y W a", lambda X, y, W, a: fastntk.loss_gradient(X, y, W, a)),
    "TwoLayerReLU": ("X W a", lambda X, W, a: fastntk.TwoLayerReLU(W, a)(X)),
    "train": ("X y", lambda X, y: trained(X, y)),
    "train, float64": ("X y", lambda X, y: trained(X, y, dtype="float64")),
    "train, primal": ("X y", lambda X, y: trained(X, y, engine="primal")),
    "train, both": ("X y", lambda X, y: trained(X, y, layers="both", metrics="all")),
    "train, path": ("X y", lambda X, y: trained(X, y, engine="path")),
    "train, deep": ("X y", lambda X, y: trained(X, y, depth=2)),
    "train, flow": ("X y", lambda X, y: trained(X, y, dynamics="flow", t_final=1e-3, times=[1e-3], **DESCENT)),
    "convergence_rates": ("X y", rates),
    "sweep": ("X y", lambda X, y: fastntk.sweep(X, y, [4], steps=1, lr=1e-3).runs[0].loss),
    "predict": ("X y", lambda X, y: fastntk.predict(X, y, width=4, steps=2, lr=1e-3).loss),
    "gram_operator": ("X", lambda X: fastntk.gram_operator(X) @ np.ones(len(X))),
    "gram_operator, factor": ("y", multiplied),
    "kernel_regression": ("H y", lambda H, y: fastntk.kernel_regression(H, y, ridge=0.5).coefficients),
    "lambda_min": ("H", lambda H: fastntk.lambda_min(H)),
    "lambda_max": ("H", lambda H: lambda_max(H)),
    "spectral_norm": ("H", lambda H: spectral_norm(H), "A"),
    "spectrum": ("H", lambda H: fastntk.spectrum(H, k=None).values),
    "condition_number": ("H", lambda H: fastntk.condition_number(H)),
    "label_projections": ("H y", lambda H, y: fastntk.label_projections(H, y).projections),
    "generalization_complexity": ("H y", lambda H, y: fastntk.generalization_complexity(H, y)),
    "labels": ("X", lambda X: fastntk.datasets.labels(X, "sign")),
    "save_csv": ("X y", saved),
    "NTKKernel": ("X Z", lambda X, Z: NTKKernel(bias=1.0)(X, Z), "X Y"),
    "NTKRegressor": ("X y", regressor),
    "NTKRegressor, weights": ("a", weighted),
    "NTKClassifier": ("X", lambda X: NTKClassifier().fit(X, np.arange(len(X)) % 2).decision_function(X)),
}  # fmt: skip
BY_OTHERS = (
    "NTKRegressor",
    "NTKClassifier",
    "gram_operator, factor",
)  # who convert first, and in their own words
INFINITE = ("condition_number", "gram_operator, factor")  # of a singular matrix; as products in NumPy


def outcome(call, values):
    """What a call gives, or its error."""
    with warnings.catch_warnings():
        for kind in EXPECTED:
            warnings.simplefilter("ignore", kind)
        try:
            found = call(*values)
        except (*ERRORS, ArithmeticError) as error:
            return error
    return [np.asarray(part) for part in (found if isinstance(found, (list, tuple)) else [found])]


def bytes_of(value):
    """All that a caller may find changed."""
    if isinstance(value, Holder):
        value = value.a
    if isinstance(value, np.ndarray):
        root = value
        while isinstance(root.base, np.ndarray):
            root = root.base
        return repr(root.tolist()) if root.dtype == object else root.tobytes()
    return repr(value.to_pydict() if hasattr(value, "to_pydict") else value)


def check(name, values, disguised, bad):
    call, words = CALLS[name][1], CALLS[name][-1 if len(CALLS[name]) == 3 else 0].split()
    before = [bytes_of(value) for value in disguised]
    got = outcome(call, disguised)
    assert [bytes_of(value) for value in disguised] == before, "the caller's data were changed"
    ours = not name.startswith(BY_OTHERS)
    if isinstance(got, Exception):
        said = re.findall(r"\w+", str(got))
        assert not ours or {*words, "lr", "factor"} & set(said), got
        assert not ours or "\n" not in str(got), got
    elif name not in INFINITE:
        assert all(np.isfinite(part).all() for part in got), got
    if bad:
        assert not ours or isinstance(got, (ValueError, TypeError)), got
        return
    clean = outcome(call, values)
    if isinstance(got, Exception) or isinstance(clean, Exception):
        assert type(got) is type(clean), (got, clean)
        return
    for mine, theirs in zip(got, clean, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@st.composite
def cases(draw, name):
    """A call's arguments as clean arrays and in some guise each, one of them perhaps bad."""
    fitting = draw(arguments())
    clean, disguised = [], []
    names = CALLS[name][0].split()
    worse = draw(st.sampled_from([None, None, None, *names]))
    for argument in names:
        plain = fitting[argument]
        kinds = set(BAD if argument == worse else GUISES)
        if name.startswith(BY_OTHERS):
            kinds -= {"only DLPack", "only __array__", "bfloat16", "float8", "beyond"}
        made = (GUISES | BAD)[draw(st.sampled_from(sorted(kinds)))](plain)
        made = plain if made is None else made
        single = getattr(made, "dtype", None) == np.float32
        clean.append(plain.astype(np.float32) if single else plain.copy())
        disguised.append(made)
    return clean, disguised, worse is not None


@pytest.mark.parametrize("name", CALLS)
def test_arrays_as_users_have_them(name):
    examples = 200 if MINUTES else 25

    @settings(max_examples=examples, derandomize=not MINUTES, deadline=None, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(cases(name))
    def run(case):
        check(name, *case)

    end = time.monotonic() + 60 * MINUTES / len(CALLS)
    run()
    while time.monotonic() < end:
        run()
