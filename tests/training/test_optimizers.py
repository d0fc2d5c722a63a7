"""Heavy ball and Nesterov in both engines, against their textbook form in NumPy."""

import numpy as np
import pytest

import fastntk
from fastntk import TwoLayerReLU, optimizers, reference
from fastntk.compilation.threads import kernel_threads
from fastntk.engines import ENGINES, Motion, coefficients
from fastntk.optimizers import GradientDescent, HeavyBall, Nesterov

METHODS = (HeavyBall(0.9), Nesterov(0.9), HeavyBall(0.05), Nesterov(0.5))
SIZES = [(1, 1, 1), (2, 3, 2), (63, 5, 65), (65, 80, 63), (17, 4, 300)]


def textbook(p, method, layers, steps, lr):
    """The weights v moves are kept; Nesterov takes gradients, and is looked at, a velocity ahead of them."""
    W, a, beta = p.W, p.a, method.momentum
    V, v = np.zeros_like(W), np.zeros_like(a)
    ahead = beta if isinstance(method, Nesterov) else 0.0
    for _ in range(steps):
        at = W + ahead * V, a + ahead * v
        V = beta * V - lr * reference.loss_gradient(p.X, p.y, *at) * (layers != "second")
        v = beta * v - lr * reference.second_layer_gradient(p.X, p.y, *at) * (layers != "first")
        W, a = W + V, a + v
    return W + ahead * V, a + ahead * v


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("layers", ["first", "second", "both"])
@pytest.mark.parametrize("method", METHODS)
def test_both_engines_do_what_the_textbook_says(method, layers, name, problem):
    flipped = 0.0
    for shape in SIZES:
        p = problem(*shape)
        H = reference.tangent_gram(p.X, p.W, p.a, layers="both")
        lr = 0.4 * method.stability / max(np.linalg.eigvalsh(H)[-1], 0.5)
        W, a = textbook(p, method, layers, 30, lr)
        run = fastntk.train(
            p.X,
            p.y,
            net=TwoLayerReLU(p.W, p.a),
            steps=30,
            lr=lr,
            optimizer=method,
            layers=layers,
            engine=name,
        )
        np.testing.assert_allclose(run.net.W, W, rtol=0, atol=1e-12)
        np.testing.assert_allclose(run.net.a, a, rtol=0, atol=1e-12)
        assert run.loss[-1] == pytest.approx(reference.loss(reference.forward(p.X, W, a), p.y), rel=1e-9)
        assert run.drift[-1] == pytest.approx(reference.drift(W, p.W), abs=1e-12)
        if layers != "first":
            assert run.drift_a[-1] == pytest.approx(np.abs(a - p.a).max(), abs=1e-12)
        flipped += run.flips[-1]
    assert flipped > 0 or layers == "second"  # the test would be weak otherwise


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("optimizer", ["heavy_ball", "nesterov"])
def test_the_log_is_that_of_the_reference(optimizer, name, problem):
    p = problem(33, 20, 100)
    run = fastntk.train(
        p.X,
        p.y,
        net=TwoLayerReLU(p.W, p.a),
        steps=25,
        lr=0.2,
        optimizer=optimizer,
        engine=name,
        metrics="all",
    )
    expected = reference.train(p.X, p.y, p.W, p.a, steps=25, lr=0.2, optimizer=optimizer, metrics="all")
    assert np.array_equal(run.flips, expected["flips"])
    for series in ("loss", "drift", "gram_change", "gram_limit_distance", "lambda_min"):
        np.testing.assert_allclose(run.series[series], expected[series], rtol=1e-6, atol=1e-7, err_msg=series)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("layers", ["first", "both"])
@pytest.mark.parametrize("kind", [HeavyBall, Nesterov])
def test_without_momentum_they_are_gradient_descent(kind, layers, name):
    X, y = fastntk.datasets.sphere(40, 20, seed=2)
    runs = [
        fastntk.train(X, y, width=100, steps=20, lr=0.3, layers=layers, optimizer=optimizer, engine=name)
        for optimizer in ("gd", kind(0.0))
    ]
    assert np.array_equal(runs[0].loss, runs[1].loss)
    assert np.array_equal(runs[0].drift, runs[1].drift)
    assert np.array_equal(runs[0].net.W, runs[1].net.W)


@pytest.mark.parametrize("name", ENGINES)
def test_a_vanishing_momentum_gives_the_steps_of_gradient_descent(name, problem):
    """So small that every product with it rounds away: the kernels with a velocity, compared with those without."""
    p = problem(40, 30, 70, dtype=np.float32)
    X, net = p.X, TwoLayerReLU(p.W, p.a)
    with kernel_threads():
        plain = ENGINES[name](X, net)
        others = [ENGINES[name](X, net, Motion("first", kind(1e-30))) for kind in (HeavyBall, Nesterov)]
        for _ in range(10):
            e = plain.u - p.y
            for engine in (plain, *others):
                engine.step(e, 0.2)
            for engine in others:
                assert np.array_equal(engine.u, plain.u)
                assert engine.drift() == pytest.approx(plain.drift(), rel=1e-6)


def test_coefficients_are_scaled_anew_before_they_overflow(monkeypatch, problem):
    p = problem(20, 6, 60)
    W = [textbook(p, HeavyBall(0.6), "first", 40, 0.2)[0]]
    for smallest in (1e-12, 0.7, 1e-300):
        monkeypatch.setattr(coefficients, "_SMALLEST", smallest)
        net = TwoLayerReLU(p.W, p.a)
        W.append(
            fastntk.train(p.X, p.y, net=net, steps=40, lr=0.2, optimizer=HeavyBall(0.6), engine="dual").net.W
        )
    for found in W[1:]:
        np.testing.assert_allclose(found, W[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["heavy_ball", "nesterov"])
def test_float32_follows_float64(optimizer):
    X, y = fastntk.datasets.sphere(60, 40, seed=2)
    net = TwoLayerReLU.init(40, 1000, seed=4)
    expected = reference.train(
        X, y, net.W.astype(np.float64), net.a.astype(np.float64), steps=60, lr=0.2, optimizer=optimizer
    )
    for name in ENGINES:
        run = fastntk.train(X, y, net=net, steps=60, lr=0.2, optimizer=optimizer, engine=name)
        assert run.net.W.dtype == np.float32
        np.testing.assert_allclose(run.loss[:40], expected["loss"][:40], rtol=1e-3)
        np.testing.assert_allclose(run.drift, expected["drift"], rtol=1e-3)
        error = np.abs(run.net.W - expected["W"]).max(axis=1)
        assert (
            error <= 3e-6
        ).mean() >= 0.99  # a neuron that meets a kink may cross it a step earlier or later


def test_momentum_is_faster_where_the_kernel_is_badly_conditioned():
    X, y = fastntk.datasets.sphere(40, 8, seed=0)
    last = {
        name: fastntk.train(X, y, width=4000, steps=150, lr=0.2, optimizer=name).loss[-1]
        for name in optimizers.OPTIMIZERS
    }
    assert last["heavy_ball"] < 0.2 * last["gd"]
    assert last["nesterov"] < 0.2 * last["gd"]


@pytest.mark.parametrize("method", [GradientDescent(), HeavyBall(0.8), Nesterov(0.8)])
def test_the_largest_stable_step(method):
    """On a quadratic: 1 % below it the iteration shrinks, 1 % above it grows."""
    X, y, net = (
        np.array([[1.0]]),
        np.array([-1.0]),
        TwoLayerReLU([[1e6], [1e6]], [1.0, -1.0]),
    )  # H = 1, no kink near
    for factor, grows in ((0.99, False), (1.01, True)):
        run = fastntk.train(X, y, net=net, steps=25, lr=factor * method.stability, optimizer=method)
        assert (run.loss[-1] > run.loss[0]) == grows
    with pytest.raises(fastntk.DivergenceError) as caught:
        fastntk.train(X, y, net=net, steps=4000, lr=1.2 * method.stability, optimizer=method)
    assert caught.value.largest_stable_step == pytest.approx(method.stability)
    assert f"{method.stability:.4g} / lambda_max(H(0))" in str(caught.value)


def test_records_and_sweeps(tmp_path):
    X, y = fastntk.datasets.sphere(8, 4, seed=0)
    run = fastntk.train(X, y, width=5, steps=3, optimizer=Nesterov(0.5))
    assert run.provenance["optimizer"] == {"name": "nesterov", "momentum": 0.5}
    assert fastntk.train(X, y, width=5, steps=1).provenance["optimizer"] == {"name": "gd"}
    made = fastntk.sweep(X, y, widths=[5], steps=3, optimizer=Nesterov(0.5), out=tmp_path)
    assert np.array_equal(made.runs[0].loss, run.loss)
    with pytest.raises(
        ValueError, match=r"optimizer=\{'name': 'nesterov', 'momentum': 0.5\}, but this sweep has"
    ):
        fastntk.sweep(X, y, widths=[5], steps=3, optimizer="nesterov", out=tmp_path)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: optimizers.resolve("adam"),
            ValueError,
            "one of 'gd', 'heavy_ball', 'nesterov' or .*, got 'adam'",
        ),
        (lambda: optimizers.resolve(HeavyBall), ValueError, "optimizer must be one of"),
        (lambda: HeavyBall(1.0), ValueError, "momentum must be below 1, got 1.0"),
        (lambda: Nesterov(-0.1), ValueError, "momentum must be finite and 0 or above, got -0.1"),
        (lambda: HeavyBall("0.9"), TypeError, "momentum must be a number, got '0.9'"),
        (lambda: GradientDescent(0.5), ValueError, "momentum must be 0 for plain gradient descent, got 0.5"),
        (
            lambda: fastntk.train([[1.0]], [1.0], width=2, optimizer="sgd"),
            ValueError,
            "optimizer must be one of",
        ),
        (lambda: fastntk.sweep([[1.0]], [1.0], [2], optimizer="sgd"), ValueError, "optimizer must be one of"),
    ],
)
def test_bad_optimizers(make, error, message):
    with pytest.raises(error, match=message):
        make()
