"""predict: exact where no pattern changes, a dense twin where some do, and its comparison with runs."""

import re

import numpy as np
import pytest
import scipy.linalg
from click.testing import CliRunner

import fastntk
from fastntk import TwoLayerReLU, reference
from fastntk.cli import main


def linearised(p, lr, steps):
    """Loss, drift and flips of the linear model by plain steps in float64, every step."""
    n, m = len(p.X), len(p.W)
    masks = reference.activation_masks(p.X, p.W)
    J = (masks[:, :, None] * (p.a / np.sqrt(m))[None, :, None] * p.X[:, None, :]).reshape(n, -1)
    e = reference.forward(p.X, p.W, p.a) - p.y
    move = np.zeros(J.shape[1])
    rows = []
    for _ in range(steps + 1):
        W = p.W + move.reshape(p.W.shape)
        flips = reference.flip_fraction(reference.activation_masks(p.X, W), masks)
        rows.append((0.5 * e @ e, reference.drift(W, p.W), flips))
        move -= lr * J.T @ e
        e = e - lr * J @ (J.T @ e)
    return np.array(rows).T


@pytest.mark.parametrize(("n", "d", "m"), [(1, 1, 1), (3, 2, 7), (20, 9, 65), (33, 40, 4100)])
@pytest.mark.parametrize("lr", [0.05, 0.7])
def test_linear_model(n, d, m, lr, problem):
    p = problem(n, d, m)
    p.a *= np.linspace(0.5, 1.5, m)  # any second layer
    found = fastntk.predict(p.X, p.y, net=TwoLayerReLU(p.W, p.a), steps=12, lr=lr)
    loss, drift, flips = linearised(p, lr, 12)
    np.testing.assert_allclose(found.loss, loss, rtol=1e-9)
    np.testing.assert_allclose(found.drift, drift, rtol=1e-8, atol=1e-14)
    assert np.array_equal(found.flips, flips)
    assert np.array_equal(found.times, lr * found.steps)
    assert n < 20 or flips[-1] > 0


def test_exact_without_flips(problem):
    """Samples far from every kink, small labels: the run is the linear model, and so is its prediction."""
    p = problem(10, 10, 50)
    p.W = np.sign(p.W @ p.X.T) @ np.linalg.inv(p.X).T * 50  # |w_r . x_i| = 50
    net = TwoLayerReLU(p.W, p.a)
    p.y = net(p.X) + 0.1 * p.y
    run = fastntk.train(p.X, p.y, net=net, steps=40, lr=0.3, every=7)
    prediction = fastntk.predict(p.X, p.y, net=net, steps=40, lr=0.3)
    assert run.flips[-1] == 0
    assert {row["series"] for row in prediction.compare(run)} == {"loss", "drift", "flips"}
    for row in prediction.compare(run):
        assert row["relative"] < 1e-9, row


def test_singular_kernel(problem):
    """Directions that the kernel does not see keep their error; their share of c grows and moves nothing."""
    p = problem(4, 3, 40)
    X, y = np.vstack((p.X, p.X[:2])), np.append(p.y, [1.0, -2.0])
    found = fastntk.predict(X, y, net=TwoLayerReLU(p.W, p.a), steps=3000, lr=0.5, every=1000)
    p.X, p.y = X, y
    loss, drift, _ = linearised(p, 0.5, 3000)
    np.testing.assert_allclose(found.loss, loss[::1000], rtol=1e-9)
    np.testing.assert_allclose(found.drift, drift[::1000], rtol=1e-7)
    assert found.loss[-1] > 0.5


def test_flow(problem):
    p = problem(6, 5, 300)
    net = TwoLayerReLU(p.W, p.a)
    times = [0.0, 0.3, 2.0, 50.0]
    found = fastntk.predict(p.X, p.y, net=net, times=times)
    H, e = fastntk.gram(p.X, p.W), net(p.X) - p.y
    expected = [0.5 * np.sum((scipy.linalg.expm(-H * t) @ e) ** 2) for t in times]
    np.testing.assert_allclose(found.loss, expected, rtol=1e-8, atol=1e-12)
    small = fastntk.predict(p.X, p.y, net=net, steps=20000, lr=1e-4, every=20000)
    np.testing.assert_allclose(found.drift[2], small.drift[-1], rtol=1e-4)
    assert found.steps is None
    with pytest.raises(ValueError, match="run: got gradient descent, the prediction is for gradient flow"):
        found.compare(fastntk.train(p.X, p.y, net=net, steps=1))


def test_prediction_beside_a_flow(problem, tmp_path):
    """Neurons far from their kinks: the linearised network is the network."""
    p = problem(6, 5, 300)
    net = TwoLayerReLU(1e4 * p.W, p.a)
    y = net(p.X) + p.y
    run = fastntk.train(p.X, y, net=net, dynamics="flow", t_final=5.0, times=[1.0, 3.0], tolerance=1e-6)
    found = fastntk.predict(p.X, y, net=net, times=run.times)
    rows = found.compare(run)
    assert [row["series"] for row in rows] == ["loss", "drift", "flips"]
    for row in rows:
        assert row["relative"] < 1e-5, row
        assert row["time"] in run.times
    assert found.plot(run, tmp_path / "beside.svg").stat().st_size > 0
    with pytest.raises(ValueError, match="run: none of its logged times is predicted"):
        fastntk.predict(p.X, y, net=net, times=[0.5]).compare(run)
    with pytest.raises(ValueError, match="run: got gradient flow, the prediction is for gradient descent"):
        fastntk.predict(p.X, y, net=net).plot(run, tmp_path / "beside.png")


def test_limit_kernel():
    X, y = fastntk.datasets.sphere(30, 30, seed=1)
    net = TwoLayerReLU.init(30, 500, seed=2)
    found = fastntk.predict(X, y, net=net, steps=9, lr=0.5, kernel="limit")
    e, H = net(X) - y, reference.limit_gram(X)
    power = np.linalg.matrix_power(np.eye(30) - 0.5 * H, 9)
    np.testing.assert_allclose(found.loss[-1], 0.5 * np.sum((power @ e) ** 2), rtol=1e-10)
    np.testing.assert_allclose(found.eigenvalues, np.linalg.eigvalsh(H), rtol=1e-10)


def test_wide_networks_follow_it(tmp_path):
    """Loss within a percent at width 30000; the deviation shrinks with the width."""
    X, y = fastntk.datasets.sphere(30, 30, seed=0)
    deviations = []
    for width in (1000, 30000):
        settings = {"width": width, "seed": 3, "steps": 30, "lr": 0.5, "paired": True}
        prediction = fastntk.predict(X, y, **settings)
        run = fastntk.train(X, y, **settings)
        rows = {row["series"]: row for row in prediction.compare(run)}
        deviations.append(rows["loss"]["relative"])
        assert abs(rows["drift"]["final"] - 1) < 0.2
    assert deviations[1] < 0.01
    assert deviations[1] < 0.5 * deviations[0]
    figure = prediction.plot(run, tmp_path / "overlay.svg").read_text()
    assert figure.count(">predicted<") == 3
    for row in rows.values():
        assert f"largest error {100 * row['relative']:.2g} % of peak" in figure
        assert f"run / predicted at end: {row['final']:.3g}" in figure


def test_comparison_with_another_run():
    X, y = fastntk.datasets.sphere(4, 3)
    found = fastntk.predict(X, y, width=5, steps=2, lr=0.1)
    with pytest.raises(ValueError, match=r"run: got step size 0.2, the prediction is for 0.1"):
        found.compare(fastntk.train(X, y, width=5, steps=2, lr=0.2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 6}, "run: got width=6, the prediction is for 5"),
        ({"optimizer": "nesterov"}, "run: got optimizer={'name': 'nesterov', 'momentum': 0.9}"),
        ({"loss": "huber"}, "run: got loss={'name': 'huber', 'delta': 1.0}"),
        ({"layers": "both"}, "run: got layers='both', the prediction is for 'first'"),
        ({"batch_size": 3}, "run: got batch_size=3, the prediction is for None"),
    ],
)
def test_comparison_with_another_kind_of_run(settings, message, tmp_path):
    X, y = fastntk.datasets.sphere(4, 3)
    found = fastntk.predict(X, y, width=5, steps=2, lr=0.1)
    run = fastntk.train(X, y, **{"width": 5, "steps": 2, "lr": 0.1, **settings})
    with pytest.raises(ValueError, match=re.escape(message)):
        found.compare(run)
    with pytest.raises(ValueError, match=re.escape(message)):
        found.plot(run, tmp_path / "f.png")
    assert not list(tmp_path.iterdir())


def test_the_command_draws_the_prediction_over_the_run(tmp_path):
    X, y = fastntk.datasets.sphere(6, 4)
    fastntk.datasets.save_csv(tmp_path / "d.csv", X, y)
    settings = {"width": 20, "steps": 5, "kappa": 0.5, "seed": 3}
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    command = ["train", "--data", str(tmp_path / "d.csv"), *options, "--prediction", str(tmp_path / "f.svg")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    expected = fastntk.predict(X, y, **settings).compare(fastntk.train(X, y, **settings))
    for row in expected:
        assert f"run / predicted at end: {row['final']:.3g}" in (tmp_path / "f.svg").read_text()
    for more, message in (
        (("--optimizer", "nesterov"), "squared loss of the first layer, got --optimizer nesterov"),
        (("--batch-size", "2"), "squared loss of the first layer, got --batch-size 2"),
        (("--prediction", str(tmp_path / "f.gif")), "--prediction: got"),
    ):
        refused = CliRunner().invoke(main, [*command, *more])
        assert refused.exit_code == 2
        assert message in refused.stderr
