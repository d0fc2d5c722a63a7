"""Gradient flow by the path engine: its plain twin, the dual engine, control of the error, windows, failures, files."""

import numpy as np
import pytest

import fastntk
from fastntk import losses, optimizers
from fastntk.engines import step_sizes
from fastntk.engines.path import PathProblem, counts_of, flows, rounds, solve_flow, stretches, teams
from fastntk.engines.path.coefficients import pattern
from fastntk.engines.path.schedule import Schedule
from fastntk.model.streamed import StreamedNetwork
from fastntk.reference.path import flow_motion, following_counts, residual_path
from fastntk.training import run as running


def samples(n, d, loss="squared"):
    X, y = fastntk.datasets.sphere(n, d, seed=n)
    return X, np.where(y < 0.0, -1.0, 1.0) if loss == "logistic" else y


def followed(n, d, m, times, tolerance, loss="squared", dtype="float64"):
    """A path, and what the twin makes of the same steps."""
    X, y = samples(n, d, loss)
    net = fastntk.TwoLayerReLU.init(d, m, seed=m, dtype=dtype)
    problem = PathProblem(
        X, y, losses.resolve(loss), optimizers.GradientDescent(), 0.0, 0, net.a, lambda i, j: net.W[i:j]
    )  # fmt: skip
    path = solve_flow(problem, times, tolerance, 0.0)
    sizes = np.concatenate([2.0 * window.solved.schedule.weights[::5] for window in path.windows])
    lr, motion = flow_motion(sizes)
    W, a = net.W.astype(float), net.a.astype(float)
    return path, sizes, residual_path(X, y, W, a, len(lr), lr, loss, motion=motion)


def compare(path, sizes, exact, times, tolerance):
    """Every stage is that of the twin, every step is within the tolerance, and the logged times are met."""
    solution, logged = path.flow.solution, [stage for _, stage in path.flow.logged]
    np.testing.assert_allclose(path.loss, exact["loss"], rtol=1e-10, atol=1e-10 * exact["loss"][0])
    np.testing.assert_array_equal(path.flips, exact["flips"])
    np.testing.assert_allclose(path.drift[logged], exact["drift"][logged], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(path.weights(path.steps)(0, len(exact["W"])), exact["W"], atol=1e-11)
    u = exact["u"]
    errors = np.linalg.norm(u[5::5] - u[4::5] - (u[3::5] - u[:-1:5]) / 3.0, axis=1)
    assert (errors <= tolerance * np.linalg.norm(exact["e"][:-1:5], axis=1) + 1e-13).all()
    assert solution.error_estimate == pytest.approx(errors.sum(), rel=1e-6, abs=1e-12)
    assert (solution.accepted, solution.time, solution.failure) == (len(sizes), times[-1], None)
    assert solution.evaluations == 4 * (solution.accepted + solution.rejected)
    ends = np.concatenate(([0.0], np.cumsum(sizes)))
    np.testing.assert_allclose([ends[count] for count, _ in path.flow.logged], times, rtol=1e-12)
    assert logged == [5 * count for count, _ in path.flow.logged]


@pytest.mark.parametrize("loss", ["squared", "logistic", "huber"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3), (17, 5, 65), (40, 20, 200), (33, 70, 20)])
def test_it_is_the_method_of_the_twin(shape, loss):
    times = [0.0, 0.4, 1.5]
    compare(*followed(*shape, times, 1e-3, loss), times, 1e-3)


def test_windows_and_counts(monkeypatch):
    """Few steps settle in so few rounds, and a window has room for few."""
    monkeypatch.setattr(rounds, "MOST_ROUNDS", 7)
    monkeypatch.setattr(flows, "_LONGEST", 9)
    times = [0.0, 1.0, 4.0]
    path, sizes, exact = followed(40, 20, 120, times, 3e-4)
    compare(path, sizes, exact, times, 3e-4)
    assert len(path.windows) > 3
    for stage, (counts, rows, masks) in enumerate(
        zip(counts_of(path), path.patterns(), exact["masks"], strict=True)
    ):
        if stage % 7 == 0:
            C = counts.gram(np.ones((40, 40)), 1.0)
            np.testing.assert_array_equal(C, following_counts(exact["masks"][0], masks))
            np.testing.assert_array_equal(pattern(rows, 40).T, masks)


def test_steps_that_are_given_up_leave_nothing_behind(monkeypatch):
    """A window whose first step fails is tried again by smaller steps, here in three parts, without another pass."""
    for name, value in {"_PROBES": 0, "_ATTEMPTS": 1, "_LONGEST": 9}.items():
        monkeypatch.setattr(flows, name, value)
    monkeypatch.setattr(teams, "SIZE", 40)
    windows, begins, solve, begin = [], [], flows._FlowWindow.solve, teams.Team.begin

    def watched(self, plan):
        found = solve(self, plan)
        windows.append(len(found[0]))
        return found

    monkeypatch.setattr(flows._FlowWindow, "solve", watched)
    monkeypatch.setattr(teams.Team, "begin", lambda *given: begins.append(1) or begin(*given))
    path, _, exact = followed(40, 20, 120, [0.0, 1.0, 4.0], 3e-4)
    assert 0 in windows
    assert len(begins) == len(path.windows) == np.count_nonzero(windows)
    for rows, masks in zip(path.patterns(), exact["masks"], strict=True):
        np.testing.assert_array_equal(pattern(rows, 40).T, masks)


def test_a_window_that_ends_with_a_logged_time():
    """As many steps as there is room for, and the last one ends then: the time is not left to an empty step."""
    control = step_sizes.Control([0.0, 1.0, 3.0], 1e-3, 0.0)
    control.size = 0.25
    for most, goals in ((3, [-1, -1, -1]), (4, [-1, -1, -1, 1]), (5, [-1, -1, -1, 1, -1]), (20, None)):
        plan = stretches.even_steps(control, [0.0, 1.0, 3.0], 0, most)
        assert plan.goals.tolist() == ([-1] * 3 + [1] + [-1] * 7 + [2] if goals is None else goals)
        np.testing.assert_allclose(plan.sizes, 0.25)


def test_float32_follows_the_same_steps():
    path, _, exact = followed(30, 20, 300, [0.0, 1.0, 2.0], 1e-3, dtype="float32")
    np.testing.assert_allclose(path.loss, exact["loss"], rtol=1e-4)
    np.testing.assert_allclose(path.flips, exact["flips"], atol=5)


@pytest.mark.parametrize("kind", ["flow", "heavy_ball", "nesterov", "gd"])
def test_coefficients_of_a_schedule(kind):
    """What single gradients do, step by step; and no way of switching on and off travels farther."""
    rng = np.random.default_rng(0)
    schedule = Schedule.of_flow(rng.uniform(0.1, 1.0, 4))
    if kind != "flow":
        schedule = Schedule.of_descent(optimizers.resolve(kind), 0.3, 20)
    single = schedule.course(np.eye(20), np.zeros(20))
    for step in (0, 1, 3, 4, 5, 8, 14, 20):
        np.testing.assert_allclose(schedule.positions(step), single[step, :step], atol=1e-14)
        velocity, p = schedule.velocities(step), np.zeros(20)
        for (weight, beta, _, _), unit in zip(schedule.rows[:step], np.eye(20), strict=False):
            p = beta * p + weight * unit
        np.testing.assert_allclose(velocity, p[:step], atol=1e-14)
        coast, still = schedule.coast(step)[0], np.zeros((step, 1))
        np.testing.assert_allclose(coast, schedule.course(still, np.ones(1))[-1, 0], atol=1e-14)
        assert abs(coast) <= schedule.coasting() + 1e-14
    assert schedule.coasting() == pytest.approx(schedule.coast(20)[0], rel=1e-12)
    e = rng.standard_normal((20, 50)) * rng.integers(0, 2, (20, 50))
    way = np.abs(np.diff(schedule.course(e, np.zeros(50)), axis=0)).sum(axis=0)
    assert (way <= schedule.travel(e) * (1.0 + 1e-12)).all()


def test_a_run_is_that_of_the_dual_engine():
    """Both keep their errors below the tolerance, by other steps: outputs differ by no more than both errors."""
    X, y = samples(30, 20)
    settings = {
        "width": 400, "dynamics": "flow", "t_final": 3.0, "times": [0.5, 1.0], "tolerance": 1e-4, "metrics": "all",
        "dtype": "float64", "diagnostics": True,
    }  # fmt: skip
    path, dual = (fastntk.train(X, y, engine=name, **settings) for name in ("path", "dual"))
    assert path.provenance["engine"]["name"] == "path"
    assert "no other entry" in path.provenance["engine"]["certificate"]
    assert path.series.keys() == dual.series.keys()
    np.testing.assert_array_equal(path.times, dual.times)
    assert isinstance(path.net, StreamedNetwork)
    error = sum(run.provenance["solver"]["error_estimate"] for run in (path, dual))
    assert np.linalg.norm(path.net(X) - dual.net(X)) < error < 0.1
    np.testing.assert_allclose(path.drift, dual.drift, rtol=error, atol=1e-12)
    np.testing.assert_allclose(path.flips, dual.flips, atol=2e-3)
    H = path.gram()
    before = fastntk.gram(X, fastntk.TwoLayerReLU.init(20, 400, dtype="float64").W)
    assert path.gram_change[-1] == pytest.approx(np.linalg.norm(H - before, 2), rel=1e-5)
    assert path.lambda_min[-1] == pytest.approx(np.linalg.eigvalsh(H)[0], rel=1e-5)
    assert path.diagnostics.arrays().keys() == dual.diagnostics.arrays().keys()


def test_a_file_gives_the_run_back(tmp_path):
    X, y = samples(20, 10)
    run = fastntk.train(X, y, width=300, dynamics="flow", t_final=1.0, engine="path", times=[0.5])
    again = fastntk.load(run.save(tmp_path / "run.npz"))
    assert again.provenance == run.provenance
    np.testing.assert_array_equal(again.net(X), run.net(X))
    assert run.loss[-1] == pytest.approx(0.5 * np.sum((run.net(X) - y) ** 2), rel=1e-5)
    seen = []
    fastntk.train(
        X, y, width=30, dynamics="flow", t_final=1.0, times=[0.5], engine="path",
        progress=lambda done, goals: seen.append((done, goals)),
    )  # fmt: skip
    assert seen == [(1, 2), (2, 2)]


def test_what_stops_short_is_said_and_kept(monkeypatch):
    monkeypatch.setattr(step_sizes, "MOST_STEPS", 12)
    X, y = samples(20, 10)
    settings = {"width": 100, "dynamics": "flow", "t_final": 2.0, "times": [0.01], "tolerance": 1e-6}
    with pytest.raises(
        fastntk.ToleranceError, match=r"the step size fell to .* accepted and .* of 2"
    ) as caught:
        fastntk.train(X, y, engine="path", dtype="float64", **settings)
    run = caught.value.run
    assert run.provenance["engine"]["name"] == "path"
    assert run.provenance["solver"]["accepted"] + run.provenance["solver"]["rejected"] >= 12
    assert run.times.tolist()[0] == 0.0
    assert 0.0 < caught.value.time < 2.0
    assert 0.5 * np.sum((run.net(X) - y) ** 2) < run.loss[0]


@pytest.mark.parametrize("engine", ["path", "dual"])
@pytest.mark.parametrize("scale", [{"y": 1e160}, {"W": 1e200}, {"a": 1e300}])
def test_a_loss_that_overflows_at_the_start(engine, scale):
    X, y = samples(20, 10)
    net = fastntk.TwoLayerReLU.init(10, 60, dtype="float64")
    big = fastntk.TwoLayerReLU(scale.get("W", 1.0) * net.W, scale.get("a", 1.0) * net.a)
    with pytest.raises(ValueError, match="the loss of the initial network"):
        fastntk.train(X, scale.get("y", 1.0) * y, net=big, engine=engine, dynamics="flow", t_final=1.0)


def test_what_it_gives_up_is_left_to_the_dual_engine(monkeypatch):
    X, y = samples(20, 10)
    settings = {"width": 60, "dynamics": "flow", "t_final": 1.0, "times": [0.5], "dtype": "float64"}
    monkeypatch.setattr(rounds, "MOST_ROUNDS", 2)
    run, dual = (fastntk.train(X, y, engine=name, **settings) for name in ("path", "dual"))
    assert run.provenance["engine"]["reason"].startswith("the path engine gave up: not one step of the flow")
    np.testing.assert_array_equal(run.loss, dual.loss)


def test_nothing_to_learn(monkeypatch):
    monkeypatch.setattr(running, "PATH_PASSES", 0.0)
    run = fastntk.train(np.zeros((5, 3)), np.ones(5), width=10, dynamics="flow", t_final=1.0, engine="path")
    assert run.loss.tolist() == [2.5] * 101
    assert not run.flips.any()
