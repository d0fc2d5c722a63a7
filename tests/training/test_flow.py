"""Gradient flow: closed forms, SciPy's integrator, small steps of descent, its error control and its failures."""

import numpy as np
import pytest
import scipy.linalg

import fastntk
from fastntk import TwoLayerReLU, reference
from fastntk.engines import step_sizes
from fastntk.engines.choice import ENGINES
from fastntk.engines.motion import Motion
from fastntk.losses import LOSSES, Squared
from fastntk.training import flow

LAYERS = ("first", "second", "both")


def labels_for(name, y):
    return np.where(y < 0, -1.0, 1.0) if name == "logistic" else y


def follow(p, t_final, layers="first", **settings):
    net = TwoLayerReLU(p.W, p.a)
    return fastntk.train(p.X, p.y, net=net, dynamics="flow", t_final=t_final, layers=layers, **settings)


@pytest.fixture
def far(problem):
    """Problems whose neurons stay far from their kinks, with labels near the outputs."""

    def make(n, d, m, dtype=np.float64, scale=100.0):
        p = problem(n, d, 20 + 4 * m)
        Z = p.W @ p.X.T
        p.W = p.W[np.abs(Z).min(axis=1) > 0.03][:m]
        p.W[0] *= np.sign(p.W[0] @ p.X[0])  # not all are dead
        p.W, p.a = (scale * p.W).astype(dtype), p.a[:m].astype(dtype)
        p.y = TwoLayerReLU(p.W, p.a)(p.X) + p.y
        return p

    return make


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("z", [0.1, 1.0, 3.0])
def test_a_step_of_one_active_neuron(z, name):
    """``de/dt = -e``: it multiplies by ``(2 E + E^4) / 3``, the embedded method by ``(1 + 2 E^3) / 3``, E = 1 - z/2."""
    net = TwoLayerReLU([[10.0]], [1.0])
    moving = ENGINES[name](np.ones((1, 1)), net, Motion(flow=True))
    labels = np.array([8.0])
    stages = flow.Stages(moving, labels, Squared())
    assert stages.measure() == (2.0, 2.0)
    error = stages.attempt(z)
    E = 1 - z / 2
    np.testing.assert_allclose(moving.u - labels, 2 * (2 * E + E**4) / 3, rtol=1e-12)
    np.testing.assert_allclose(error, 2 * abs((2 * E + E**4) / 3 - (1 + 2 * E**3) / 3), rtol=1e-10)
    assert abs((2 * E + E**4) / 3 - np.exp(-z)) < z**4 / 48
    stages.undo()
    assert moving.u == 10.0
    assert moving.drift() == 0.0


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "d", "m"), [(1, 1, 1), (3, 5, 2), (17, 4, 65), (20, 30, 127)])
def test_without_flips_it_is_the_matrix_exponential(n, d, m, dtype, name, far):
    tolerance = 1e-4
    p = far(n, d, m, dtype)
    H, e = reference.gram(p.X, p.X @ p.W.astype(float).T >= 0), -(p.y - TwoLayerReLU(p.W, p.a)(p.X))
    rate = np.linalg.eigvalsh(H)[-1]
    run = follow(p, 4.0 / rate, tolerance=tolerance, engine=name, times=[0.7 / rate, 2.0 / rate])
    assert run.flips.tolist() == [0.0] * 4
    np.testing.assert_array_equal(run.times, [0.0, 0.7 / rate, 2.0 / rate, 4.0 / rate])
    for t, loss in zip(run.times, run.loss, strict=True):
        exact = scipy.linalg.expm(-H * t) @ e
        # The flow of a positive kernel contracts, so at most the errors of all steps; float32 outputs near 100 sqrt(d).
        rounding = 1e-6 * np.linalg.norm(p.W) / np.sqrt(m) if dtype == "float32" else 0.0
        allowed = run.steps[-1] * tolerance * np.linalg.norm(e) / 10 + rounding * np.sqrt(n)
        assert abs(np.sqrt(2 * loss) - np.linalg.norm(exact)) <= allowed
    assert np.linalg.norm(run.net(p.X) - p.y - exact) <= allowed
    moved = np.linalg.norm(run.net.W.astype(float) - p.W, axis=1).max()
    np.testing.assert_allclose(run.drift[-1], moved, rtol=1e-6 if dtype == "float64" else 2e-3)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_error_falls_with_the_tolerance(loss, layers, problem):
    """Outputs against the finest solution: below a multiple of the tolerance, and of what is reported."""
    p = problem(12, 10, 300)
    p.y = labels_for(loss, p.y)
    size = np.linalg.norm(p.y - TwoLayerReLU(p.W, p.a)(p.X))
    exact = follow(p, 3.0, layers, loss=loss, tolerance=1e-5, times=[3.0]).net(p.X)
    errors = []
    for tolerance in (3e-2, 3e-3, 3e-4):
        run = follow(p, 3.0, layers, loss=loss, tolerance=tolerance, times=[3.0])
        error = np.linalg.norm(run.net(p.X) - exact)
        assert error < min(3 * tolerance * size, run.provenance["solver"]["error_estimate"])
        errors.append(error)
    assert errors[2] < errors[0] / 5  # 100 for a smooth flow; what is left at kinks is of either sign


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_descent_with_small_steps_comes_to_it(loss, layers, problem):
    """At t = lr k, with an error that halves with the step."""
    p = problem(15, 10, 3000)
    p.y = labels_for(loss, p.y)
    run = follow(p, 2.0, layers, loss=loss, tolerance=1e-6, times=[0.5])
    distances = []
    for lr in (0.05, 0.025, 0.0125):
        net = TwoLayerReLU(p.W, p.a)
        descent = fastntk.train(
            p.X, p.y, net=net, layers=layers, loss=loss, lr=lr, steps=round(2 / lr), every=round(0.5 / lr)
        )
        distances.append(np.linalg.norm(descent.net(p.X) - run.net(p.X)))
        assert abs(descent.loss[1] / run.loss[1] - 1) < 2 * lr
        np.testing.assert_allclose(descent.drift[-1], run.drift[-1], rtol=2 * lr, atol=1e-12)
    ratios = np.divide(distances[:-1], distances[1:])
    assert ratios.min() > 1.9
    assert ratios.max() < 2.1


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_falls(loss, layers, name, problem):
    p = problem(12, 8, 70, np.float32)
    p.y = labels_for(loss, p.y)
    run = follow(p, 30.0, layers, loss=loss, engine=name)
    assert len(run.times) == 101
    assert (np.diff(run.loss) < 0).all()


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_long_way(dtype, layers, name, problem):
    """The first step tried is far too long, and the residual ends at the rounding of the outputs: no collapse."""
    p = problem(6, 9, 200, dtype)
    run = follow(p, 1e3, layers, engine=name, times=[0.0])
    solver = run.provenance["solver"]
    expected = 1e-12 if dtype == "float32" else 1e-24
    assert run.loss[-1] < expected * run.loss[0]
    assert solver["rejected"] < solver["accepted"]
    assert np.isfinite(run.net.W).all()


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_that_overflow_leave_no_trace(dtype, layers, name, problem, monkeypatch):
    p = problem(6, 9, 200, dtype)
    monkeypatch.setattr(step_sizes, "MOST_STEPS", 70)
    with pytest.raises(fastntk.ToleranceError) as caught:
        follow(p, 1e30, layers, engine=name, times=[0.0])
    run = caught.value.run
    assert run.provenance["solver"]["accepted"] > 5
    assert 0.5 * np.sum((run.net(p.X) - p.y) ** 2) < run.loss[0]


def test_times_and_the_record(problem):
    p = problem(5, 4, 9)
    p.X, p.y = np.asfortranarray(p.X), p.y[::-1]
    p.X.flags.writeable = p.y.flags.writeable = False
    seen = []
    run = follow(p, 2.0, times=[0.0, 0.5, 0.5, 1.5], progress=lambda k, total: seen.append((k, total)))
    assert run.times.tolist() == [0.0, 0.5, 1.5, 2.0]
    assert run.steps[0] == 0
    assert (np.diff(run.steps) > 0).all()
    assert seen == [(1, 3), (2, 3), (3, 3)]
    solver = run.provenance["solver"]
    assert solver["accepted"] == run.steps[-1]
    assert solver["evaluations"] == 4 * (solver["accepted"] + solver["rejected"])
    assert solver["method"] == step_sizes.METHOD
    assert (solver["tolerance"], solver["time"], solver["failure"]) == (1e-3, 2.0, None)
    assert solver["error_estimate"] > 0
    assert (run.provenance["dynamics"], run.provenance["t_final"], run.lr) == ("flow", 2.0, None)
    assert "steps" not in run.provenance
    assert repr(run).startswith("Run(width=9, seed=None, tolerance=0.001, steps=")
    descent = fastntk.train(p.X, p.y, net=TwoLayerReLU(p.W, p.a), steps=1)
    assert descent.times is None
    assert (descent.provenance["dynamics"], descent.provenance["steps"]) == ("descent", 1)


@pytest.mark.parametrize("name", ENGINES)
def test_a_tolerance_that_cannot_be_reached(name, monkeypatch):
    """One neuron that two samples push onto its kink from both sides, with a step that would have to vanish."""
    X, y = np.array([[1.0, 0.0], [-0.6, 0.8]]), np.array([-1.0, -3.0])
    net = TwoLayerReLU([[0.5, 1.5]], [1.0])
    monkeypatch.setattr(step_sizes, "MOST_STEPS", 3000)
    settings = {"net": net, "dynamics": "flow", "t_final": 40.0, "metrics": "all", "engine": name}
    with pytest.raises(fastntk.ToleranceError, match=r"tolerance=1e-07 was not reached$") as caught:
        fastntk.train(X, y, tolerance=1e-7, **settings)
    run, solver = caught.value.run, caught.value.run.provenance["solver"]
    assert 0 < caught.value.time < 40
    assert f"at time {caught.value.time:.6g} of 40" in str(caught.value)
    assert solver["failure"] in str(caught.value)
    assert solver["accepted"] + solver["rejected"] == 3000
    assert len(run.times) == len(run.loss) == len(run.lambda_min) < 101
    assert run.times[-1] <= caught.value.time
    assert run.steps[-1] <= solver["accepted"]
    loose = fastntk.train(X, y, tolerance=1e-2, **settings)
    assert loose.loss[-1] < 0.5 * np.sum((run.net(X) - y) ** 2) <= run.loss[-1]


@pytest.mark.parametrize("name", ENGINES)
def test_a_loss_that_overflows(name):
    net = TwoLayerReLU.init(2, 3, seed=0, dtype="float64")
    with pytest.raises(ValueError, match=r"the loss of the initial network .* largest entries are 1 and 1e"):
        fastntk.train(np.eye(2), [1e200, 1.0], net=net, dynamics="flow", t_final=1.0, engine=name)


@pytest.mark.parametrize("name", ENGINES)
def test_nothing_to_do(name):
    """Samples that are zero: the outputs stay, whatever the labels."""
    for y in ([0.0, 0.0], [1.0, -2.0]):
        run = fastntk.train(
            np.zeros((2, 3)), y, width=4, dynamics="flow", t_final=1e6, times=[0.0], engine=name
        )
        assert run.loss[-1] == run.loss[0]
        assert run.provenance["solver"]["rejected"] == 0


def test_an_interrupt_leaves_the_network_alone(problem):
    p = problem(5, 4, 9)
    net = TwoLayerReLU(p.W.copy(), p.a)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastntk.train(p.X, p.y, net=net, dynamics="flow", t_final=1.0, progress=stop)
    assert np.array_equal(net.W, p.W)


@pytest.mark.parametrize("layers", LAYERS)
def test_the_reference_is_the_matrix_exponential_without_flips(layers, far):
    """The second layer alone is a linear model; of both, the energy that the gradient dissipates is lost."""
    p = far(5, 4, 20)
    net = TwoLayerReLU(p.W, p.a)
    e = net(p.X) - p.y
    H = reference.tangent_gram(p.X, p.W, p.a, layers=layers)
    t = 1.0 / np.linalg.eigvalsh(H)[-1]
    found = reference.flow(p.X, p.y, p.W, p.a, [0.0, 1e-4 * t, t], layers)
    if layers != "both":
        exact = scipy.linalg.expm(-H * t) @ e
        np.testing.assert_allclose(found["loss"][-1], 0.5 * exact @ exact, rtol=1e-5)
    slope = (found["loss"][1] - found["loss"][0]) / (1e-4 * t)
    np.testing.assert_allclose(slope, -e @ H @ e, rtol=1e-3)
    assert found["flips"].tolist() == [0.0] * 3
    np.testing.assert_allclose(found["drift"][-1], reference.drift(found["W"], p.W))
    np.testing.assert_allclose(found["lambda_min"][0], np.linalg.eigvalsh(H)[0], rtol=0, atol=1e-9 * H.max())
    with pytest.raises(ValueError, match="layers must be one of"):
        reference.flow(p.X, p.y, p.W, p.a, [0.0, 1.0], "third")
