"""Cases that start from samples and weights: patterns, Gram matrices, the gradient."""

import numpy as np

import fastntk
from benchmarks import with_torch
from benchmarks.case import NUMPY, OURS, PRODUCT, TORCH, Case, Measure, Side, Size, Work
from benchmarks.inputs import close, data, network, rounding
from benchmarks.masks import GROWTH_IN_M, GROWTH_IN_N
from fastntk import reference


def _gemm(dtype: str) -> str:
    return "sgemm" if dtype == "float32" else "dgemm"


def _forward(size: Size) -> Measure:
    return Measure(2.0 * size.n * size.d * size.m, "2 n d m flops of the forward product", _gemm(size.dtype))


def activation_masks(size: Size) -> Work:
    """Pattern of ``X W^T``."""
    X, W = data(size)[0], network(size).W
    sides = {
        OURS: Side(lambda: fastntk.activation_masks(X, W)),
        NUMPY: Side(lambda: reference.activation_masks(X, W)),
        PRODUCT: Side(lambda: X @ W.T),
    }
    if with_torch.available():
        sides[TORCH] = Side(with_torch.product(X, W.T))

    def check() -> None:
        Z = X @ W.T
        differ = fastntk.activation_masks(X, W).to_dense() != (Z >= 0)
        if (np.abs(Z[differ]) > rounding(size.dtype)).any():
            raise AssertionError("patterns differ away from zero")

    return Work(sides, check, (_forward(size),))


def gram(size: Size) -> Work:
    """H from samples and weights."""
    X, W = data(size)[0], network(size).W
    sides = {
        OURS: Side(lambda: fastntk.gram(X, W)),
        NUMPY: Side(lambda: reference.gram(X, reference.activation_masks(X, W))),
        PRODUCT: Side(lambda: X @ W.T),
    }
    if with_torch.available():
        sides[TORCH] = Side(with_torch.product(X, W.T))

    def check() -> None:
        # A pre-activation within rounding of zero may fall on either side, which changes a count by one.
        expected = reference.gram(X, reference.activation_masks(X, W))
        close(fastntk.gram(X, W), expected, "Gram matrices", 8.0 / size.m)

    return Work(sides, check, (_forward(size),))


def loss_gradient(size: Size) -> Work:
    """Gradient of the loss by the first layer."""
    (X, y), net = data(size), network(size)
    W, a = net.W, net.a
    sides = {
        OURS: Side(lambda: fastntk.loss_gradient(X, y, W, a)),
        NUMPY: Side(lambda: reference.loss_gradient(X, y, W, a)),
    }
    if with_torch.available():
        sides[TORCH] = Side(with_torch.LossOnlyTraining(X, y, W, a, 0.1).gradient)

    def check() -> None:
        # One pre-activation within rounding of zero makes a term of its neuron come or go: such neurons are left out.
        clear = (np.abs(reference.pre_activations(X, W)) > rounding(size.dtype) / 10).all(axis=0)
        expected = reference.loss_gradient(X, y, W, a)[clear]
        close(fastntk.loss_gradient(X, y, W, a)[clear], expected, "gradients", 20 * rounding(size.dtype))

    return Work(sides, check, (_forward(size),))


_IN_M = tuple(Size(1000, m, 500) for m in GROWTH_IN_M)
_IN_N = tuple(Size(n, 8192, 500) for n in GROWTH_IN_N)
_SIZES = (Size(1000, 8000, 1000), Size(1000, 8000, 1000, "float64"))

MASKS = Case(
    "activation masks",
    "pattern of X W^T, packed; the product is never stored",
    {
        NUMPY: "(X @ W.T) >= 0",
        PRODUCT: "the forward product X @ W.T alone, no pattern",
        TORCH: "the forward product alone in torch",
    },
    activation_masks,
    Size(200, 2000, 100),
    _SIZES,
    {},
    _IN_N,
    _IN_M,
)

GRAM = Case(
    "gram from W",
    "H from samples and weights: forward product, pattern, counts, X X^T in float64",
    {
        NUMPY: "boolean pattern, float32 BLAS on zeros and ones",
        PRODUCT: "the forward product X @ W.T alone, nothing else",
        TORCH: "the forward product alone in torch",
    },
    gram,
    Size(200, 2000, 100),
    (*_SIZES, Size(4000, 8192, 500)),
    {(_SIZES[0], PRODUCT): 1 / 1.2},
    _IN_N,
    _IN_M,
)

GRADIENT = Case(
    "loss gradient",
    "gradient of the loss by the first layer",
    {NUMPY: "two BLAS products", TORCH: "autograd"},
    loss_gradient,
    Size(200, 2000, 100),
    _SIZES,
    {},
    _IN_N,
    _IN_M,
)
