"""Heavy ball and Nesterov: their limits, their largest steps, and what they refuse."""

import numpy as np
import pytest

import fastntk
from fastntk import TwoLayerReLU, optimizers, reference
from fastntk.compilation.threads import kernel_threads
from fastntk.engines import coefficients
from fastntk.engines.choice import ENGINES
from fastntk.engines.motion import Motion
from fastntk.optimizers import GradientDescent, HeavyBall, Nesterov


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
    settings = {"steps": 40, "lr": 0.2, "optimizer": "heavy_ball", "momentum": 0.6}
    W = [reference.train(p.X, p.y, p.W, p.a, **settings)["W"]]
    for smallest in (1e-12, 0.7, 1e-300):
        monkeypatch.setattr(coefficients, "_SMALLEST", smallest)
        net = TwoLayerReLU(p.W, p.a)
        W.append(
            fastntk.train(p.X, p.y, net=net, steps=40, lr=0.2, optimizer=HeavyBall(0.6), engine="dual").net.W
        )
    for found in W[1:]:
        np.testing.assert_allclose(found, W[0], rtol=0, atol=1e-12)


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
    ],
)
def test_bad_optimizers(make, error, message):
    with pytest.raises(error, match=message):
        make()
