"""TwoLayerReLU: initialisation and outputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastntk
from fastntk import TwoLayerReLU, reference
from fastntk.model.streamed import StreamedNetwork


def test_initialisation_is_standard_normal_and_signs():
    net = TwoLayerReLU.init(50, 4000, seed=3, dtype="float64")
    assert net.W.shape == (4000, 50)
    assert net.a.shape == (4000,)
    assert (net.width, net.d) == (4000, 50)
    size = net.W.size
    assert abs(net.W.mean()) <= 5 / np.sqrt(size)
    assert abs(net.W.var() - 1) <= 5 * np.sqrt(2 / size)
    assert abs((net.W**4).mean() - 3) <= 5 * np.sqrt(96 / size)
    assert set(np.unique(net.a)) == {-1.0, 1.0}
    assert abs(net.a.mean()) <= 5 / np.sqrt(4000)
    assert abs(np.mean(net.a * net.W[:, 0])) <= 5 / np.sqrt(4000)


@given(
    st.integers(1, 40),
    st.integers(1, 200),
    st.integers(1, 200),
    st.integers(0, 2**63),
    st.sampled_from(["float32", "float64"]),
)
def test_narrow_is_a_prefix_of_wide(d, narrow, more, seed, dtype):
    one, two = TwoLayerReLU.init(d, narrow, seed, dtype), TwoLayerReLU.init(d, narrow + more, seed, dtype)
    assert np.array_equal(one.W, two.W[:narrow])
    assert np.array_equal(one.a, two.a[:narrow])


def test_seeds_and_precisions():
    net = TwoLayerReLU.init(6, 30, seed=1)
    assert net.W.dtype == net.a.dtype == np.float32
    wide = TwoLayerReLU.init(6, 30, seed=1, dtype=np.float64)
    assert np.array_equal(net.W, wide.W.astype(np.float32))
    assert np.array_equal(net.a, wide.a)
    other = TwoLayerReLU.init(6, 30, seed=2)
    assert not np.array_equal(net.W, other.W)
    assert not np.array_equal(net.a, other.a)


@pytest.mark.parametrize("m", [1, 2, 65, 1000])
def test_outputs(m, problem):
    p = problem(30, 9, m)
    net = TwoLayerReLU(p.W, p.a)
    u = net(p.X)
    assert u.dtype == np.float64
    np.testing.assert_allclose(u, reference.forward(p.X, p.W, p.a), rtol=0, atol=1e-13)
    np.testing.assert_allclose(net(2.0 * p.X), 2 * u, rtol=0, atol=1e-12)  # no bias: homogeneous


@pytest.mark.parametrize("width", [1, 10, 300])
def test_initial_loss_is_three_quarters_n(width):
    """E[L(0)] = 0.75 n for unit rows and N(0, 1) labels, at every width."""
    losses = []
    for seed in range(60):
        X, y = fastntk.datasets.sphere(100, 20, seed=seed)
        losses.append(reference.loss(TwoLayerReLU.init(20, width, seed=seed + 1000)(X), y) / 100)
    error = np.std(losses) / np.sqrt(len(losses))
    assert abs(np.mean(losses) - 0.75) <= 4 * error
    assert error < 0.06


@given(st.integers(1, 40), st.integers(1, 150), st.integers(0, 150), st.integers(0, 99), st.floats(1e-3, 1e3))
def test_pairs_cancel_and_are_a_prefix(d, pairs, more, seed, kappa):
    """Pair j is neuron j of the plain network, twice; outputs are exactly 0, not only small."""
    net = TwoLayerReLU.init(d, 2 * pairs, seed, kappa=kappa, paired=True)
    plain = TwoLayerReLU.init(d, pairs, seed, dtype="float64")
    for half, sign in ((0, 1.0), (1, -1.0)):
        assert np.array_equal(net.W[half::2], (kappa * plain.W).astype(np.float32))
        assert np.array_equal(net.a[half::2], sign * plain.a)
    wide = TwoLayerReLU.init(d, 2 * (pairs + more), seed, kappa=kappa, paired=True)
    assert np.array_equal(net.W, wide.W[: 2 * pairs])
    assert np.array_equal(net.a, wide.a[: 2 * pairs])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [2, 6, 30, 66, 1022, 4098, 6018])
def test_outputs_of_pairs_are_exactly_zero(width, dtype):
    X, y = fastntk.datasets.sphere(37, 19, seed=width)
    net = TwoLayerReLU.init(19, width, seed=1, dtype=dtype, paired=True)
    assert not net(X).any()
    for engine in ("dual", "primal"):
        run = fastntk.train(X, y, width=width, seed=1, dtype=dtype, steps=0, paired=True, engine=engine)
        assert run.loss[0] == 0.5 * float(y @ y)
        assert (run.provenance["paired"], run.provenance["kappa"]) == (True, 1.0)


def test_scale_of_the_first_layer():
    one, small = (TwoLayerReLU.init(5, 70, seed=2, dtype="float64", kappa=kappa) for kappa in (1.0, 0.125))
    assert np.array_equal(small.W, 0.125 * one.W)
    assert np.array_equal(small.a, one.a)
    X, y = fastntk.datasets.sphere(6, 5, seed=0)
    run = fastntk.train(X, y, width=70, seed=2, dtype="float64", kappa=0.125, steps=3, metrics="all")
    again = fastntk.train(X, y, net=small, steps=3, metrics="all")
    assert np.array_equal(run.loss, again.loss)
    assert (
        run.gram_limit_distance[0]
        == fastntk.train(X, y, net=one, steps=0, metrics="gram").gram_limit_distance[0]
    )


def test_own_arrays():
    net = TwoLayerReLU([[1, 2], [3, 4]], [1, -1])
    assert net.W.dtype == net.a.dtype == np.float64
    assert repr(net) == "TwoLayerReLU(d=2, width=2, dtype=float64)"
    assert TwoLayerReLU(np.ones((2, 2), np.float32), [1.0, 0.5]).a.dtype == np.float32


def test_network_beyond_memory():
    with pytest.raises(
        fastntk.MemoryLimitError, match=r"width 1000000000 on 1000000 inputs needs 3.73e\+06 GiB"
    ):
        TwoLayerReLU.init(10**6, 10**9)


@pytest.mark.parametrize("form", ["held", "streamed"])
def test_rows_of_weights(form):
    net = TwoLayerReLU.init(4, 70)
    asked = net if form == "held" else StreamedNetwork(lambda first, last: net.W[first:last], net.a, 4)
    np.testing.assert_array_equal(asked.weights(60, 70), net.W[60:])
    assert asked.weights(3, 3).shape == (0, 4)
    for first, last in ((-1, 3), (5, 4), (60, 71)):
        with pytest.raises(ValueError, match="first"):
            asked.weights(first, last)
    with pytest.raises(TypeError, match=r"last must be an integer, got 2\.5"):
        asked.weights(0, 2.5)
