"""One forward product: patterns agree to the bit wherever they are computed, also where rounding decides the sign."""

import numpy as np
import pytest

import fastntk
from fastntk import reference
from fastntk.compilation.threads import kernel_threads
from fastntk.engines.dual import DualEngine
from fastntk.engines.motion import Motion
from fastntk.engines.primal import PrimalEngine
from fastntk.matrices import blocks, passes
from fastntk.matrices.finite import gram_source
from fastntk.model.forward import block_rows
from fastntk.model.network import TwoLayerReLU

SHAPES = [
    (1, 3, 1),
    (17, 5, 64),
    (40, 130, 65),
    (33, 17, 513),
    (64, 33, 2100),
    (300, 40, 4096),
    (7, 100, 9001),
]


def near_zero(X, W):
    """W with every neuron all but orthogonal to one of the samples: the sign there is that of a rounding error."""
    x = X[np.arange(len(W)) % len(X)].astype(np.float64)
    W = W.astype(np.float64)
    W -= (np.einsum("rd,rd->r", W, x) / np.einsum("rd,rd->r", x, x))[:, None] * x
    return W


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_patterns_agree_to_the_bit(shape, dtype, rng):
    n, d, m = shape
    X = rng.standard_normal((n, d))
    W = near_zero(X, rng.standard_normal((m, d))).astype(dtype)
    a = rng.standard_normal(m).astype(dtype)
    net = TwoLayerReLU(W, a)
    masks = fastntk.activation_masks(X, W)
    if d > 3:  # the test would be weak if all ways of computing gave the same signs
        assert (
            not np.array_equal(masks.to_dense(), np.einsum("id,rd->ir", X.astype(dtype), W) >= 0) or m < 500
        )
    with kernel_threads():
        for layers in ("first", "second", "both"):
            for kind in (DualEngine, PrimalEngine):
                engine = kind(X, net, Motion(layers=layers))
                assert np.array_equal(engine.masks.bits, masks.bits), (kind, layers)
    everything = slice(0, n)
    source = gram_source(X, W)
    assert np.array_equal(source.counts(everything, everything), fastntk.coactivation_counts(masks))
    # Counts while the second layer's outputs are summed too, and weighted sums, go through the pieces.
    assert np.array_equal(fastntk.gram(X, W, a), fastntk.gram(X, a=a, masks=masks))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layers", ["first", "both"])
def test_signs_do_not_depend_on_the_pieces(layers, dtype, rng, monkeypatch):
    n, d, m = 70, 40, 4500
    net = TwoLayerReLU.init(d, m, seed=3, dtype=dtype)
    X = near_zero(net.W[:n], rng.standard_normal((n, d)))
    masks = fastntk.activation_masks(X, net.W)
    wanted = fastntk.coactivation_counts(masks)
    size = block_rows(n, m, net.W.dtype)
    everything = slice(0, n)
    for wanted_pieces in (1, 3):
        monkeypatch.setattr(blocks, "KEPT_BYTES", 0)
        monkeypatch.setattr(passes, "_PIECE_BYTES", 1 if wanted_pieces == 3 else 2**26)
        held = gram_source(X, net.W, layers=layers)
        assert (passes.piece_size((n,), d, m, net.W.dtype, held._terms) < m) == (wanted_pieces == 3)
        assert passes.piece_size((n,), d, m, net.W.dtype, held._terms) % size == 0
        sums = passes.sum_over_neurons(held._neurons, X, X, held._terms, np.array([[0, 0]]))
        assert np.array_equal(_counts(sums, n), wanted)
        if dtype == np.float32:
            drawn = gram_source(X, width=m, seed=3, layers="first")
            assert np.array_equal(drawn.counts(everything, everything), wanted)


def _counts(sums, n):
    """Common activations of the only tile, the lower half mirrored."""
    side = int(np.sqrt(sums.counts.shape[1]))
    blocks_of = sums.counts[0].reshape(side, side, *sums.counts.shape[2:])
    whole = blocks_of.transpose(0, 2, 1, 3).reshape(side * blocks_of.shape[2], -1)[:n, :n].astype(np.int64)
    lower = np.tril(whole)
    return lower + np.tril(lower, -1).T


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_outputs_come_with_the_same_pattern(dtype, problem):
    p = problem(50, 20, 3000, dtype)
    net = TwoLayerReLU(p.W, p.a)
    with kernel_threads():
        dual, primal = DualEngine(p.X, net), PrimalEngine(p.X, net)
    assert np.array_equal(dual.u, primal.u)
    assert np.array_equal(dual.u, net(p.X))
    bound = 100 * np.finfo(dtype).eps * np.sqrt(3000)
    np.testing.assert_allclose(dual.u, reference.forward(p.X, p.W, p.a), rtol=0, atol=bound)
