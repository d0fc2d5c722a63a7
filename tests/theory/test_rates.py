"""Convergence rates: best steps and momenta, the linearised curves, the table, the figure, the command."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner

import fastntk
from fastntk import reference
from fastntk.cli import main
from fastntk.optimizers import Nesterov
from fastntk.plots.losses import contraction
from fastntk.theory.rates import _linear_losses, best_tunings

METHODS = ["gradient descent", "heavy ball", "Nesterov"]


def slowest(tuning, curvatures, lr=1.0, momentum=0.0):
    """Largest modulus of an eigenvalue of ``(w, w before) -> (w next, w)`` over the curvatures."""
    found = 0.0
    for curvature in curvatures:
        step = lr * tuning.lr * curvature
        beta = tuning.optimizer.momentum + momentum
        if isinstance(tuning.optimizer, Nesterov):
            matrix = [[(1 + beta) * (1 - step), -beta * (1 - step)], [1.0, 0.0]]
        else:
            matrix = [[1 + beta - step, -beta], [1.0, 0.0]]
        found = max(found, np.abs(np.linalg.eigvals(matrix)).max())
    return found


@pytest.mark.parametrize("condition", [1.0, 2.0, 30.0, 1e4])
@pytest.mark.parametrize("name", METHODS)
def test_factors_are_those_of_the_iteration_and_the_best(name, condition):
    tuning = best_tunings(0.3, 0.3 * condition)[name]
    curvatures = np.linspace(0.3, 0.3 * condition, 201)
    rate = slowest(tuning, curvatures)
    # Double eigenvalues are only as exact as the root of rounding.
    assert rate**2 == pytest.approx(tuning.factor, abs=1e-6)
    momenta = (0.0,) if name == "gradient descent" else (-0.01, 0.0, 0.01)
    for lr in (0.98, 1.0, 1.02):
        for momentum in momenta:
            assert slowest(tuning, curvatures, lr, momentum) >= rate - 1e-7


@pytest.mark.parametrize("bad", [(0.0, 1.0), (2.0, 1.0), (1.0, np.inf)])
def test_curvatures_out_of_range(bad):
    with pytest.raises(ValueError, match=r"(least|largest) must be"):
        best_tunings(*bad)


@pytest.mark.parametrize("name", METHODS)
def test_linearised_losses_are_those_of_matrix_recurrences(name, rng):
    """Against the textbook recurrences on a full matrix in the original basis."""
    A = rng.standard_normal((7, 7))
    H, e = A @ A.T + np.eye(7), rng.standard_normal(7)
    values, vectors = np.linalg.eigh(H)
    tuning = best_tunings(values[0], values[-1])[name]
    found = _linear_losses(values, vectors.T @ e, tuning, 30)
    beta = tuning.optimizer.momentum
    before, now, losses = e, e, []
    for _ in range(31):
        ahead = now + beta * (now - before)
        shown = ahead if name == "Nesterov" else now
        losses.append(0.5 * shown @ shown)
        before, now = now, ahead - tuning.lr * H @ shown
    np.testing.assert_allclose(found, losses, rtol=1e-9)


def test_runs_are_those_of_the_reference_and_rates_those_of_theory():
    X, y = fastntk.datasets.sphere(40, 60, seed=1)
    rates = fastntk.convergence_rates(X, y, width=6000, seed=2)
    net = fastntk.TwoLayerReLU.init(60, 6000, seed=2, dtype="float64")
    values = np.linalg.eigvalsh(reference.gram(X, reference.activation_masks(X, net.W)))
    assert (rates.lambda_min, rates.lambda_max) == pytest.approx((values[0], values[-1]), rel=1e-9)
    assert [row["method"] for row in rates.table()] == METHODS
    for row, optimizer in zip(rates.table(), ("gd", "heavy_ball", "nesterov"), strict=True):
        name = row["method"]
        expected = reference.train(
            X, y, net.W, net.a, steps=10, lr=row["lr"], optimizer=optimizer, momentum=row["momentum"]
        )
        np.testing.assert_allclose(rates.runs[name].loss[:11], expected["loss"], rtol=1e-8)
        assert row["measured"] == pytest.approx(row["linearised"], rel=0.05)  # the kernel hardly moves
        assert row["measured"] == pytest.approx(row["predicted"], rel=0.15)  # the slowest mode rules late
    assert rates.runs["gradient descent"].loss[-1] < 1e-8 * rates.runs["gradient descent"].loss[0]
    assert "condition number" in repr(rates)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_is_not_taken_for_the_rate(dtype):
    """Long after the loss has reached rounding the measured factor is still that of its fall."""
    X, y = fastntk.datasets.sphere(10, 30, seed=0)
    rates = fastntk.convergence_rates(X, y, width=50_000, steps=120, dtype=dtype, seed=1)
    for row in rates.table():
        assert contraction(rates.runs[row["method"]]) > 0.8
        assert row["measured"] == pytest.approx(row["linearised"], rel=0.15)


def test_one_sample_is_fitted_in_one_step():
    rates = fastntk.convergence_rates([[2.0]], [1.0], width=50, seed=3)  # no pattern changes on the way
    for row in rates.table():
        assert row["momentum"] == 0.0
        assert row["measured"] < 1e-20


def test_a_singular_kernel_has_no_rate():
    with pytest.raises(ValueError, match=r"smallest eigenvalue of H\(0\) is .*, zero within rounding"):
        fastntk.convergence_rates([[1.0, 0.0], [1.0, 0.0]], [1.0, 2.0], width=50)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        fastntk.convergence_rates([[1.0]], [1.0], width=50, steps=0)


def test_figure_table_and_curves_of_the_command(tmp_path):
    X, y = fastntk.datasets.sphere(12, 20, seed=3)
    fastntk.datasets.save_csv(tmp_path / "d.csv", X, y)
    arguments = [
        "rates",
        "--data",
        tmp_path / "d.csv",
        "--width",
        500,
        "--steps",
        12,
        "--csv",
        tmp_path / "c.csv",
    ]
    result = CliRunner().invoke(main, [str(a) for a in (*arguments, "--out", tmp_path / "rates.svg")])
    assert result.exit_code == 0, result.output
    rates = fastntk.convergence_rates(X, y, width=500, steps=12)
    figure = (tmp_path / "rates.svg").read_text()
    for row in rates.table():
        assert f"{row['method']}: {row['measured']:.3f} per step (predicted {row['predicted']:.3f})" in figure
        assert f"{row['measured']:.4f}" in result.output
    with (tmp_path / "c.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 13
    assert [float(row["loss"]) for row in rows[:13]] == rates.runs["gradient descent"].loss.tolist()
    assert [float(row["linearised"]) for row in rows[-13:]] == rates.linearised["Nesterov"].tolist()


def test_a_figure_of_another_kind_is_refused_before_the_work(tmp_path):
    result = CliRunner().invoke(main, ["rates", "--out", str(tmp_path / "rates.gif")])
    assert result.exit_code == 2
    assert "--out: got" in result.stderr
    assert "expected a file name ending in .png, .pdf, .svg" in result.stderr
    assert not list(tmp_path.iterdir())
