"""What the linearised network does: the curves that a constant kernel predicts, beside which a run is laid."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg

from fastntk.base import checks
from fastntk.base.checks import all_finite
from fastntk.compilation.threads import one_blas_thread
from fastntk.device.arrays import engine_for, on_host
from fastntk.engines.choice import linearise
from fastntk.matrices.limit import limit_gram
from fastntk.model.network import TwoLayerReLU, initial_network
from fastntk.results import Run
from fastntk.training.samples import Samples
from fastntk.training.settings import Settings

__all__ = ["PREDICTED", "Prediction", "predict"]

SERIES = ("loss", "drift", "flips")
PREDICTED = {"layers": Settings().layers} | {
    name: getattr(Settings, name) for name in ("loss", "optimizer", "batch_size", "depth", "scale")
}
"""What training is predicted, which is that by default: its settings, the names of loss and optimizer."""


@dataclass(eq=False, repr=False)
class Prediction:
    """Curves of the linearised network, one entry per predicted step (or time).

    Attributes
    ----------
    steps : (k,) int64, or None for gradient flow
    times : (k,) float64
        ``lr * steps`` for gradient descent.
    loss : (k,) float64
        ``1/2 sum_i (1 - lr lambda_i)^{2k} (v_i . e(0))^2``, or with ``exp(-2 lambda_i t)``.
    drift : (k,) float64
        ``max_r |w_r - w_r(0)|_2`` if no pattern changed.
    flips : (k,) float64
        Fraction of the patterns that differ at the weights so moved.
    eigenvalues, projections : (n,) float64
        ``lambda_i``, ascending, and ``v_i . e(0)`` of the kernel.
    settings : dict
        width, kernel, dynamics, lr.
    """

    steps: npt.NDArray[np.int64] | None
    times: npt.NDArray[np.float64]
    loss: npt.NDArray[np.float64]
    drift: npt.NDArray[np.float64]
    flips: npt.NDArray[np.float64]
    eigenvalues: npt.NDArray[np.float64]
    projections: npt.NDArray[np.float64]
    settings: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        kernel, dynamics, width = (self.settings.get(key) for key in ("kernel", "dynamics", "width"))
        return (
            f"Prediction(width={width}, kernel={kernel!r}, dynamics={dynamics!r}, "
            f"loss {self.loss[0]:.4g} -> {self.loss[-1]:.4g}, drift {self.drift[-1]:.4g}, flips {self.flips[-1]:.4g})"
        )

    def compare(self, run: Run) -> list[dict[str, Any]]:
        """How far a run is from the prediction.

        Parameters
        ----------
        run : Run
            Of gradient descent with the same step size, or of gradient flow like the prediction; its logged steps or
            times may be some of the predicted ones, or the other way round.

        Returns
        -------
        list of dict
            For each of loss, drift and flips that the run carries: ``series``; ``relative``, the largest deviation
            divided by the largest predicted value; the ``step`` (or ``time``) where that is, with ``predicted`` and
            ``measured`` there; and ``final``, the measured value over the predicted one at the last common step.

        Raises
        ------
        ValueError
            If one is of gradient descent and the other of flow, no step or time is common, or the run is not what was
            predicted: another width, step size, loss or optimizer, mini-batches, or layers other than the first.
        """
        self._check_dynamics(run)
        if run.lr is not None and not np.isclose(run.lr, self.settings["lr"], rtol=1e-12):
            raise ValueError(f"run: got step size {run.lr:g}, the prediction is for {self.settings['lr']:g}")
        for key, expected in (PREDICTED | {"width": self.settings["width"]}).items():
            got = run.provenance.get(key, expected)
            if (got["name"] if isinstance(got, dict) else got) != expected:
                raise ValueError(f"run: got {key}={got!r}, the prediction is for {expected!r}")
        name_of_place = "step" if run.times is None else "time"
        common, mine, its = np.intersect1d(self._places, run.places, return_indices=True)
        if not common.size:
            raise ValueError(f"run: none of its logged {name_of_place}s is predicted")
        rows = []
        for name in SERIES:
            if name not in run.series:
                continue
            predicted, measured = getattr(self, name)[mine], run.series[name][its]
            difference, scale = np.abs(measured - predicted), float(np.abs(predicted).max())
            worst = int(np.argmax(difference))
            rows.append(
                {
                    "series": name,
                    "relative": float(difference[worst]) / scale if scale else float(difference[worst]),
                    name_of_place: common[worst].item(),
                    "predicted": float(predicted[worst]),
                    "measured": float(measured[worst]),
                    "final": float(measured[-1] / predicted[-1]) if predicted[-1] else None,
                }
            )
        return rows

    def plot(self, run: Run, path: str | os.PathLike[str]) -> Path:
        """Draw the run with the prediction over it and the deviations of `compare`, to a .png, .pdf or .svg file."""
        from fastntk.plots.runs import PANELS, draw_runs
        from fastntk.plots.style import write_figure

        self._check_dynamics(run)

        deviations = {row["series"]: row for row in self.compare(run)}

        def draw() -> Any:
            figure = draw_runs([run])
            shown = [name for name in PANELS if name in run.series]
            for name, axes in zip(shown, figure.axes, strict=False):
                if name in SERIES:
                    curve = getattr(self, name) * PANELS[name][2]
                    label = _deviation_text(deviations[name])
                    axes.plot(self._places, curve, color="black", linewidth=0.9, linestyle="--", label=label)
                    axes.legend(handles=[axes.lines[-1]], frameon=False, fontsize=7)
            return figure

        return write_figure(draw, path, 300)

    @property
    def _places(self) -> npt.NDArray[Any]:
        """Steps of gradient descent, times of gradient flow."""
        return self.times if self.steps is None else self.steps

    def _check_dynamics(self, run: Run) -> None:
        """ValueError unless both are descent, or both flow."""
        its = "descent" if run.times is None else "flow"
        if its != self.settings["dynamics"]:
            raise ValueError(
                f"run: got gradient {its}, the prediction is for gradient {self.settings['dynamics']}"
            )


def _deviation_text(row: dict[str, Any]) -> str:
    """A row of `Prediction.compare` in the words of a legend."""
    final = "" if row["final"] is None else f"\nrun / predicted at end: {row['final']:.3g}"
    return f"predicted\nlargest error {100 * row['relative']:.2g} % of peak{final}"


def predict(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    width: int | None = None,
    steps: int = Settings.steps,
    lr: float = Settings.lr,
    seed: int = Settings.seed,
    net: TwoLayerReLU | None = None,
    every: int = Settings.every,
    kernel: str = "initial",
    times: npt.ArrayLike | None = None,
    engine: str = Settings.engine,
    dtype: npt.DTypeLike = Settings.dtype,
    kappa: float = Settings.kappa,
    paired: bool = Settings.paired,
) -> Prediction:
    """Loss, drift and pattern changes that a constant kernel predicts for `train` with the same arguments.

    With ``e(0) = u(0) - y`` and ``H v_i = lambda_i v_i``: ``e(k) = (I - lr H)^k e(0)``, and the weights move by
    ``-(a_r / sqrt(m)) sum_i c_i M_ir(0) x_i`` with ``c = lr sum_{j<k} e(j)``.

    Parameters
    ----------
    X, y : array_like, shapes (n, d) and (n,)
    width, seed, dtype, kappa, paired, net
        The initial network, as in `train`.
    steps, lr, every
        Gradient descent, as in `train`.
    kernel : {"initial", "limit"}
        ``H(0)`` of the network, for which the prediction is exact as long as no pattern changes; or ``H_inf``.
    times : array_like, optional
        Ascending, not negative: predict gradient flow at these times, ``e(t) = exp(-H t) e(0)``, instead; those of a
        run are ``run.times``.
    engine : {"auto", "cuda"}
        "cuda" computes u(0), H(0), drift and flips on a GPU; for data there "auto" is the same.

    Returns
    -------
    Prediction

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, not finite, or shapes disagree.
    MemoryLimitError
        If the pattern does not fit in memory.
    DeviceError
        If "cuda" is asked for and no GPU can be used.

    Notes
    -----
    Cost: H and its eigenvectors, O(n^3), on the host; then for each predicted step ``n^2 m / 8`` additions, as a step
    of training.  Loss in float64; drift and flips in the precision of the network.  Du et al. (arXiv 1810.02054),
    Section 4; Arora et al. (arXiv 1901.08584), Theorem 4.1.

    Examples
    --------
    >>> import fastntk
    >>> X, y = fastntk.datasets.sphere(20, 10, seed=0)
    >>> prediction = fastntk.predict(X, y, width=20000, steps=50, lr=0.5)
    >>> loss, drift, flips = prediction.compare(fastntk.train(X, y, width=20000, steps=50, lr=0.5))
    >>> loss["relative"] < 0.01, drift["relative"] < 0.1
    (True, True)
    """
    checks.choice(engine, "engine", ("auto", "cuda"))
    engine = engine_for(engine, **{"X": X, "y": y, "net.W": getattr(net, "W", None)})
    X, y = on_host(X), on_host(y)
    if isinstance(net, TwoLayerReLU):
        net = TwoLayerReLU(on_host(net.W), on_host(net.a))
    samples = checks.matrix(X, "X")
    labels = checks.vector(y, "y", len(samples), "X", np.float64)
    checks.choice(kernel, "kernel", ("initial", "limit"))
    given = {
        "width": width, "steps": steps, "lr": lr, "seed": seed, "every": every, "dtype": dtype, "kappa": kappa,
        "paired": paired,
    }  # fmt: skip
    asked = Settings.of(predict, given)
    start, _ = initial_network(samples, width, net, asked.seed, asked.dtype, asked.kappa, asked.paired)
    Samples.of(samples, labels).require_range(start.W.dtype)
    logged, instants = _instants(asked, times)
    model = linearise(samples, start, engine)
    H = model.gram() if kernel == "initial" else limit_gram(samples)
    if kernel == "limit":
        H *= np.square(start.a, dtype=np.float64).mean()
    with one_blas_thread():
        values, vectors = scipy.linalg.eigh(H)
        projections = vectors.T @ (model.u - labels)
    if logged is None:
        factors, sums = _flow(values, instants)
    else:
        factors, sums = _descent(values, logged, asked.lr)
    with np.errstate(over="ignore", invalid="ignore"), one_blas_thread():
        loss = 0.5 * np.square(factors * projections).sum(axis=1)
        coefficients = (sums * projections) @ vectors.T
    with np.errstate(over="ignore", invalid="ignore"):
        fits = all_finite(loss) and all_finite(coefficients.astype(start.a.dtype))
        drift, flips = model.moved(coefficients) if fits else (loss, loss)
    if not (fits and all_finite(drift)):
        most = 2.0 / float(values[-1]) if values[-1] > 0.0 else np.inf
        raise ValueError(
            f"lr, times, X and y must keep the prediction within the range of {start.a.dtype.name}, got an overflow: "
            f"descent with this kernel is stable below lr = {most:.3g}, and y reaches {np.abs(labels).max():.3g}"
        )
    settings = {
        "width": start.width,
        "kernel": kernel,
        "dynamics": "descent" if logged is not None else "flow",
        "lr": asked.lr if logged is not None else None,
    }
    return Prediction(logged, instants, loss, drift, flips, values, projections, settings)


def _instants(
    asked: Settings, times: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.int64] | None, npt.NDArray[np.float64]]:
    """The steps that `train` would log and their times, or None and the times given."""
    if times is not None:
        found = checks.array(times, "times", 1, np.float64)
        if found[0] < 0.0 or (np.diff(found) < 0.0).any():
            raise ValueError("times must be ascending and not negative")
        return None, found
    logged = np.union1d(np.arange(0, asked.steps + 1, asked.every), [asked.steps]).astype(np.int64)
    return logged, np.asarray(asked.lr * logged, dtype=np.float64)


def _descent(values: np.ndarray, steps: np.ndarray, lr: float) -> tuple[np.ndarray, np.ndarray]:
    """``(1 - lr lambda)^k`` and ``lr sum_{j<k} (1 - lr lambda)^j``, (steps, n); the sum has no cancellation."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        factors = (1.0 - lr * values) ** steps[:, np.newaxis]
        small = np.expm1(steps[:, np.newaxis] * np.log1p(-np.minimum(lr * values, 0.5)))
        sums = np.where(lr * values < 0.5, -small, 1.0 - factors) / values
    return factors, np.where(values == 0.0, lr * steps[:, np.newaxis], sums)


def _flow(values: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``exp(-lambda t)`` and its integral from 0 to t, (times, n)."""
    exponents = -values * times[:, np.newaxis]
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = -np.expm1(exponents) / values
    return np.exp(exponents), np.where(values == 0.0, times[:, np.newaxis], sums)
