"""Cases at infinite width: the kernel matrix of one and of several layers, and its product with a vector."""

from collections.abc import Callable

import numpy as np
from scipy.linalg import blas

import fastntk
from benchmarks.case import BLAS, NUMPY, OURS, PRODUCT, Case, Measure, Side, Size, Work
from benchmarks.inputs import close, data, rounding
from benchmarks.masks import GROWTH_IN_N
from fastntk import reference


def _product(X: np.ndarray) -> Callable[[], object]:
    """One triangle of ``X X^T`` by the symmetric rank-k update."""
    syrk = blas.ssyrk if X.dtype == np.float32 else blas.dsyrk
    return lambda: syrk(1.0, X.T, trans=1)


def _flops(size: Size) -> Measure:
    gemm = "sgemm" if size.dtype == "float32" else "dgemm"
    return Measure(float(size.n) * (size.n + 1) * size.d, "n (n + 1) d flops of the product X X^T", gemm)


_LARGE = Size(5000, 0, 1000)


def _prepare(layers: str, depth: int) -> Callable[[Size], Work]:
    def prepare(size: Size) -> Work:
        X = data(size)[0]

        def ours() -> np.ndarray:
            return fastntk.limit_gram(X, layers=layers, depth=depth, dtype=size.dtype)

        def check() -> None:
            expected = reference.limit_gram(X, layers=layers, depth=depth)
            allowed = depth * (1e-6 if size.dtype == "float32" else 1e-14)
            close(ours(), expected, "limits", allowed)
            close(reference.strong_limit_gram(X, layers, depth), expected, "baselines", 100 * allowed)

        sides = {
            OURS: Side(ours),
            BLAS: Side(lambda: reference.strong_limit_gram(X, layers, depth)),
            PRODUCT: Side(_product(X)),
        }
        if size.n < _LARGE.n:  # there the reference takes tens of seconds a call
            sides[NUMPY] = Side(lambda: reference.limit_gram(X, layers=layers, depth=depth))
        return Work(sides, check, (_flops(size),))

    return prepare


def product_with_vector(size: Size) -> Work:
    """H_inf times a vector, without H_inf."""
    X, y = data(size)
    H = fastntk.gram_operator(X)

    def check() -> None:
        expected = fastntk.limit_gram(X[:500], X) @ y
        close((H @ y)[:500], expected, "products", rounding(size.dtype))

    sides = {OURS: Side(lambda: H @ y), BLAS: Side(lambda: reference.strong_limit_gram(X))}
    return Work(sides, check, (_flops(size),))


_AGAINST = {
    NUMPY: "half-angle form in float64",
    BLAS: "one BLAS product, then in-place arccosines of blocks that stay in cache, inaccurate near parallel points",
    PRODUCT: "one triangle of X X^T by BLAS (syrk), nothing else",
}

LIMIT = Case(
    "limit gram",
    "H_inf, accurate near parallel points",
    _AGAINST,
    _prepare("first", 1),
    Size(200, 0, 100),
    (Size(1000, 0, 1000, "float64"), Size(4000, 0, 500, "float64")),
    {},
    tuple(Size(n, 0, 500, "float64") for n in GROWTH_IN_N),
)

BOTH = Case(
    "limit gram, both layers",
    "the tangent kernel of both layers",
    _AGAINST,
    _prepare("both", 1),
    Size(200, 0, 100),
    (_LARGE,),
    {(_LARGE, BLAS): 4.0, (_LARGE, PRODUCT): 1 / 1.3},
)

DEEP = Case(
    "limit gram, depth 4",
    "the tangent kernel of a network with four hidden layers",
    _AGAINST,
    _prepare("both", 4),
    Size(200, 0, 100),
    (_LARGE,),
    {(_LARGE, BLAS): 10.0},
)

_VECTOR = Size(20000, 0, 100, "float64")

OPERATOR = Case(
    "H_inf times a vector",
    "matrix-free product; n x n numbers are never stored",
    {BLAS: "forming H_inf once in NumPy, no product"},
    product_with_vector,
    Size(300, 0, 20, "float64"),
    (_VECTOR,),
    {(_VECTOR, BLAS): 1.0},
)
