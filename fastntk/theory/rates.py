"""How fast gradient descent, the heavy ball and Nesterov's method converge, each at its best constant step."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg

from fastntk.base import checks
from fastntk.compilation.threads import one_blas_thread
from fastntk.device.arrays import engine_for, on_host
from fastntk.engines.choice import linearise
from fastntk.engines.motion import CHOICES
from fastntk.model.network import initial_network
from fastntk.optimizers import GradientDescent, HeavyBall, Nesterov, Optimizer
from fastntk.plots.losses import contraction, draw_losses
from fastntk.plots.style import write_figure
from fastntk.results import Run
from fastntk.results.archive import write_csv
from fastntk.training.samples import Samples
from fastntk.training.settings import Settings
from fastntk.training.train import train

__all__ = ["Rates", "Tuning", "best_tunings", "convergence_rates"]

_TARGET = 1e-10  # factor by which the loss of the slowest method falls where the number of steps is not given
_MOST_STEPS = 1000
_FLOOR = {"float64": 1e-20, "float32": 1e-9}  # of the first loss; below, rounding decides how it falls


@dataclass(frozen=True)
class Tuning:
    """An optimizer, its step size, and the factor by which it multiplies the loss of a quadratic in each late step."""

    optimizer: Optimizer
    lr: float
    factor: float


def best_tunings(least: float, largest: float) -> dict[str, Tuning]:
    """Step sizes and momenta that are best on quadratics with curvatures from ``least`` to ``largest``.

    With ``mu`` and ``L`` for these and ``q = L / mu``:

    - gradient descent: ``lr = 2 / (L + mu)``, distances shrink by ``(q - 1) / (q + 1)`` per step;
    - heavy ball: ``lr = (2 / (sqrt(L) + sqrt(mu)))^2``, momentum ``((sqrt(q) - 1) / (sqrt(q) + 1))^2``, distances
      shrink by the root of the momentum;
    - Nesterov: ``lr = 4 / (3 L + mu)``, momentum ``(s - 2) / (s + 2)`` with ``s = sqrt(3 q + 1)``, distances shrink by
      ``1 - 2 / s``.

    The loss shrinks by the square of these.

    Parameters
    ----------
    least, largest : float
        Above 0, in this order.

    Returns
    -------
    dict of str to Tuning
        "gradient descent", "heavy ball", "Nesterov".

    Raises
    ------
    ValueError, TypeError
        If they are no such numbers.

    Notes
    -----
    Lessard, Recht and Packard (arXiv 1408.3595), Proposition 1; the heavy ball is Polyak's (1964).  These are the
    slowest modes: the sum over all modes may fall faster for long, and where two modes coincide (heavy ball and
    Nesterov) slower by a factor that grows like k^2.

    Examples
    --------
    >>> for name, tuning in best_tunings(1.0, 4.0).items():
    ...     print(f"{name}: lr {tuning.lr:.3f}, momentum {tuning.optimizer.momentum:.3f}, factor {tuning.factor:.3f}")
    gradient descent: lr 0.400, momentum 0.000, factor 0.360
    heavy ball: lr 0.444, momentum 0.111, factor 0.111
    Nesterov: lr 0.308, momentum 0.286, factor 0.198
    """
    mu, L = checks.positive(least, "least"), checks.positive(largest, "largest")
    if mu > L:
        raise ValueError(f"least must be at most largest, got {mu:g} and {L:g}")
    root, s = math.sqrt(L / mu), math.sqrt(3.0 * L / mu + 1.0)
    polyak = ((root - 1.0) / (root + 1.0)) ** 2
    return {
        "gradient descent": Tuning(GradientDescent(), 2.0 / (L + mu), ((L - mu) / (L + mu)) ** 2),
        "heavy ball": Tuning(HeavyBall(polyak), 4.0 / (math.sqrt(L) + math.sqrt(mu)) ** 2, polyak),
        "Nesterov": Tuning(Nesterov((s - 2.0) / (s + 2.0)), 4.0 / (3.0 * L + mu), (1.0 - 2.0 / s) ** 2),
    }


@dataclass(eq=False, repr=False)
class Rates:
    """Runs of several optimizers from one network, beside what its kernel at the start predicts.

    Attributes
    ----------
    runs : dict of str to Run
        By name of the method.
    tunings : dict of str to Tuning
        Step size, momentum and predicted factor of each.
    linearised : dict of str to (k,) float64
        Losses of the linearised network under the same method, at the steps of its run.
    lambda_min, lambda_max : float
        Of H(0).
    """

    runs: dict[str, Run]
    tunings: dict[str, Tuning]
    linearised: dict[str, npt.NDArray[np.float64]]
    lambda_min: float
    lambda_max: float

    def __repr__(self) -> str:
        factors = ", ".join(f"{row['method']} {row['measured']:.4f}" for row in self.table())
        return f"Rates(condition number {self.lambda_max / self.lambda_min:.4g}; loss per step: {factors})"

    def table(self) -> list[dict[str, Any]]:
        """One row per method: step size, momentum, and three factors of the loss per step.

        Returns
        -------
        list of dict
            method, lr, momentum; ``predicted`` of the slowest mode; ``linearised`` and ``measured``, the `contraction`
            of both curves over the later half of the steps, as far as the measured loss is above rounding.
        """
        rows = []
        for name, run in self.runs.items():
            tuning, resolved = self.tunings[name], _resolved(run)
            expected = Run(steps=resolved.steps, loss=self.linearised[name][: resolved.steps.size])
            rows.append(
                {
                    "method": name,
                    "lr": tuning.lr,
                    "momentum": tuning.optimizer.momentum,
                    "predicted": tuning.factor,
                    "linearised": contraction(expected),
                    "measured": contraction(resolved),
                }
            )
        return rows

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write the curves, one row per method and step: method, step, loss, linearised."""
        rows = [
            {"method": name, "step": int(step), "loss": float(loss), "linearised": float(linear)}
            for name, run in self.runs.items()
            for step, loss, linear in zip(run.steps, run.series["loss"], self.linearised[name], strict=True)
        ]
        return write_csv(path, rows)

    def plot(self, path: str | os.PathLike[str], dpi: int = 300) -> Path:
        """Draw the losses with those of the linearised network over them, and the factors in the legend.

        The file and its errors are those of `fastntk.plots.losses.plot_losses`.
        """
        labels = {}
        for row in self.table():
            factors = f"{row['measured']:.3f} per step (predicted {row['predicted']:.3f})"
            labels[row["method"]] = f"{row['method']}: {factors}"
        return write_figure(lambda: draw_losses(self.runs, labels, self.linearised), path, dpi)


def convergence_rates(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    width: int,
    steps: int | None = None,
    seed: int = Settings.seed,
    engine: str = Settings.engine,
    dtype: npt.DTypeLike = "float64",
    kappa: float = Settings.kappa,
    paired: bool = Settings.paired,
    threads: int | None = None,
    progress: bool | Callable[[int, int], Any] = False,
) -> Rates:
    """Train one network by gradient descent, heavy ball and Nesterov's method, each at the best step for its kernel.

    Step sizes and momenta are those of `best_tunings` for the smallest and largest eigenvalue of H(0).

    Parameters
    ----------
    X, y, width, seed, engine, kappa, paired, threads, progress
        As in `train`; data on a GPU are copied to the host once, and the runs keep arrays of the host.
    steps : int, optional
        At least 1.  By default as many as gradient descent needs for a factor 1e-10, at most 1000.
    dtype : {"float64", "float32"}
        In float32 rounding ends the fall of the loss after nine digits or so.

    Returns
    -------
    Rates
        ``.table()``, ``.plot(path)``, ``.to_csv(path)``, ``.runs``.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, or H(0) is singular within rounding: then no method has a linear rate.
    DivergenceError
        If the kernel moves so far that a step is too large for it; a wider network helps.
    DeviceError
        If "cuda" is asked for and no GPU can be used.

    Notes
    -----
    Cost: H and its eigenvectors, O(n^3), and three runs.  The linearised network follows the same recurrences with H(0)
    in its eigenbasis.  Du et al. (arXiv 1810.02054), Section 6, name accelerated methods as what comes next.

    Examples
    --------
    >>> import fastntk
    >>> X, y = fastntk.datasets.sphere(20, 40, seed=0)
    >>> rates = fastntk.convergence_rates(X, y, width=4000)
    >>> [row["method"] for row in sorted(rates.table(), key=lambda row: row["measured"])]
    ['heavy ball', 'Nesterov', 'gradient descent']
    """
    checks.choice(engine, "engine", CHOICES)
    engine, X, y = engine_for(engine, X=X, y=y), on_host(X), on_host(y)
    samples = checks.matrix(X, "X")
    labels = checks.vector(y, "y", len(samples), "X", np.float64)
    if steps is not None:
        steps = checks.integer(steps, "steps", 1)
    net, _ = initial_network(samples, width, None, seed, dtype, kappa, paired)
    Samples.of(samples, labels).require_range(net.W.dtype)
    start = linearise(samples, net, engine)
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):  # shows in the loss of the runs
        values, vectors = scipy.linalg.eigh(start.gram())
        projections = vectors.T @ (start.u - labels)
    least, largest = float(values[0]), float(values[-1])
    if not least > 1e-12 * largest:
        raise ValueError(
            f"X: the smallest eigenvalue of H(0) is {least:.3g}, zero within rounding, so no method has a linear rate; "
            "samples may be parallel, or the network too narrow"
        )
    tunings = best_tunings(least, largest)
    if steps is None:
        slowest = max(tunings["gradient descent"].factor, _TARGET)
        steps = min(max(math.ceil(math.log(_TARGET) / math.log(slowest)), 2), _MOST_STEPS)
    runs, linearised = {}, {}
    for name, tuning in tunings.items():
        if not math.isfinite(tuning.lr):
            raise ValueError(
                f"X: the eigenvalues of H(0) are {largest:.3g} at most, so step sizes overflow: scale X up"
            )
        runs[name] = train(
            samples, labels, net=net, steps=steps, lr=tuning.lr, optimizer=tuning.optimizer, metrics="loss",
            engine=engine, threads=threads, progress=progress,
        )  # fmt: skip
        linearised[name] = _linear_losses(values, projections, tuning, steps)
    return Rates(runs, tunings, linearised, least, largest)


@one_blas_thread()
def _linear_losses(
    values: np.ndarray, projections: np.ndarray, tuning: Tuning, steps: int
) -> npt.NDArray[np.float64]:
    """Losses from step 0 on if the kernel stays: each mode by itself."""
    beta, ahead, direct, _ = tuning.optimizer.coefficients()
    e, velocity = projections.copy(), np.zeros_like(projections)
    losses = [0.5 * float(e @ e)]
    for _ in range(steps):
        step = -tuning.lr * values * e
        velocity = beta * velocity + step
        e += ahead * velocity + direct * step
        losses.append(0.5 * float(e @ e))
    return np.array(losses)


def _resolved(run: Run) -> Run:
    """The run up to where its loss is lost in rounding; at least two steps."""
    loss = run.series["loss"]
    lost = np.flatnonzero(loss < _FLOOR[run.provenance["dtype"]] * loss[0])
    end = max(int(lost[0]), 2) if lost.size else loss.size
    return Run(steps=run.steps[:end], loss=loss[:end])
