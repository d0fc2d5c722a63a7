"""One training run as data: the logged series, the trained network and where it came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastntk.device.arrays import on_host
from fastntk.results.archive import write_archive, write_csv
from fastntk.results.diagnostics import Diagnostics
from fastntk.results.notebook import run_html
from fastntk.results.run_arrays import (
    diagnostics_by_folder,
    diagnostics_from,
    inside,
    network_arrays,
    network_from,
)
from fastntk.results.series import SERIES

if TYPE_CHECKING:
    from fastntk.model.deep import DeepReLU
    from fastntk.model.network import TwoLayerReLU

__all__ = ["Run"]

_DATA = ("X", "y", "times")
_FORMER_NAMES = {"lambda_min_bound": "lambda_min_residual"}  # in files of 0.1


@dataclass(eq=False, repr=False)
class Run:
    """The log of one training run and what is needed to explain or continue it.

    Every series has one entry per logged step and is None when its metric was not asked for.  With several hidden
    layers flips, drift and drift_norm have one column for each of the H layers, lambda_min, its bounds and the two
    distances of G^(h) one for each of the H + 1 layers, the last for the output, NaN where a layer does not move.

    Attributes
    ----------
    steps : (k,) int64
        The logged steps; the first is 0, the state before any update.
    loss : (k,) float64
        The loss of the run, ``1/2 sum_i (f(x_i) - y_i)^2`` if it was not chosen otherwise.
    flips : (k,) float64
        Fraction of the n*m activation bits that differ from step 0.
    drift : (k,) float64
        ``max_r |w_r(k) - w_r(0)|_2``.
    drift_a : (k,) float64
        ``max_r |a_r(k) - a_r(0)|``, where the second layer moves.
    drift_norm : (k, H) float64
        ``|W^(h)(k) - W^(h)(0)|_2 / sqrt(m_h)``, of several hidden layers only: the root of a Rayleigh quotient, so not
        above the norm, and below it by some 1e-4 of it at most where the largest singular value stands apart.
    lambda_min_total : (k,) float64
        Of several hidden layers, the smallest eigenvalue of the sum of the G^(h) of the layers that move.
    lambda_min, lambda_min_lower : (k,) float64
        Smallest eigenvalue of H(k), as a Rayleigh quotient, so not below it but for rounding, and a proven lower
        bound.  Along the run that is proven anew once it is a fifth below the value (`SmallestEigenvalue`), so it may
        be that loose; at the last step, with one hidden layer, it is as close as the residual.
        The residual is at most 1e-4 of the value, so that is above the eigenvalue by some 1e-7 of it where that stands
        apart.
    lambda_min_residual : (k,) float64
        Residual norm of that Rayleigh quotient: some eigenvalue lies within this distance.
    gram_change, gram_limit_distance : (k,) float64
        Spectral norms ``|H(k) - H(0)|_2`` and ``|H(k) - H_inf|_2``: from 193 samples on, Ritz values of a residual of
        3e-3 of them, so not above the norms but for single rounding, and below them by some 1e-5 of them.
    diagnostics : Diagnostics, tuple of H of them, or None
        Which patterns flipped, when and how often, and quantiles of the drift; of several hidden layers, of each.
    snapshots : dict of int to (n, n) float64
        H at the steps that were asked for; of several layers that move, the sum of their G^(h).
    net : TwoLayerReLU, DeepReLU or None
        The trained network; of the path engine one that makes its weights when asked, see `fastntk.model.streamed`.
        Runs inside a `Sweep` keep none.
    X, y : arrays or None
        The data trained on; runs inside a `Sweep` keep none.
    times : (k,) float64 or None
        For gradient flow, the times of the log; ``steps`` then counts the solver's accepted steps up to them.
    provenance : dict
        Settings, seed, engine with its reason, data hash, versions, machine, seconds: JSON-able.

    Raises
    ------
    ValueError
        When a series does not have one entry per logged step.

    Examples
    --------
    >>> run = Run(steps=[0, 1], loss=[8.0, 2.0], provenance={"width": 4, "seed": 0, "lr": 0.1})
    >>> run
    Run(width=4, seed=0, lr=0.1, steps=1, loss 8 -> 2)
    >>> run.rows()[1]
    {'width': 4, 'seed': 0, 'step': 1, 'loss': 2.0}
    """

    steps: NDArray[np.int64]
    loss: NDArray[np.float64] | None = None
    flips: NDArray[np.float64] | None = None
    drift: NDArray[np.float64] | None = None
    drift_a: NDArray[np.float64] | None = None
    drift_norm: NDArray[np.float64] | None = None
    lambda_min: NDArray[np.float64] | None = None
    lambda_min_lower: NDArray[np.float64] | None = None
    lambda_min_residual: NDArray[np.float64] | None = None
    lambda_min_total: NDArray[np.float64] | None = None
    gram_change: NDArray[np.float64] | None = None
    gram_limit_distance: NDArray[np.float64] | None = None
    diagnostics: Diagnostics | tuple[Diagnostics, ...] | None = None
    snapshots: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    net: TwoLayerReLU | DeepReLU | None = None
    X: NDArray[Any] | None = None
    y: NDArray[Any] | None = None
    times: NDArray[np.float64] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.steps = np.asarray(self.steps, dtype=np.int64)
        if self.steps.ndim != 1:
            raise ValueError(f"steps: got shape {self.steps.shape}, expected one dimension")
        for name in ("times", *SERIES):
            value = getattr(self, name)
            if value is None:
                continue
            value = np.asarray(value, dtype=np.float64)
            if value.ndim > 2 or value.shape[:1] != self.steps.shape:
                raise ValueError(
                    f"{name}: got shape {value.shape}, expected one entry per logged step, {self.steps.shape}"
                )
            setattr(self, name, value)

    def __repr__(self) -> str:
        speed = "lr" if self.times is None else "tolerance"
        parts = [f"{key}={self.provenance.get(key)}" for key in ("width", "seed", speed)]
        parts.append(f"steps={self.steps[-1] if self.steps.size else None}")
        if self.times is not None and self.times.size:
            parts.append(f"time={self.times[-1]:g}")
        if self.loss is not None and self.loss.size:
            parts.append(f"loss {self.loss[0]:.4g} -> {self.loss[-1]:.4g}")
        return f"Run({', '.join(parts)})"

    def _repr_html_(self) -> str:
        return run_html(self)

    @property
    def width(self) -> int:
        """Number of hidden neurons."""
        return int(self.provenance["width"])

    @property
    def depth(self) -> int:
        """Number of hidden layers."""
        return int(self.provenance.get("depth", 1))

    @property
    def lr(self) -> float | None:
        """Step size, None for gradient flow."""
        lr = self.provenance["lr"]
        return None if lr is None else float(lr)

    @property
    def seed(self) -> int | None:
        """Seed of the initial network, None when a network was passed in."""
        seed = self.provenance.get("seed")
        return None if seed is None else int(seed)

    @property
    def seconds(self) -> float | None:
        """Wall time of the training loop, None when it was not measured."""
        seconds = self.provenance.get("seconds")
        return None if seconds is None else float(seconds)

    @property
    def places(self) -> NDArray[Any]:
        """Where the log was taken: the times of gradient flow, or the steps."""
        return self.steps if self.times is None else self.times

    @property
    def series(self) -> dict[str, NDArray[np.float64]]:
        """The series this run carries, by name."""
        return {name: value for name in SERIES if (value := getattr(self, name)) is not None}

    def gram(self) -> Any:
        """Gram matrix ``H_ij = (1/m) x_i.x_j sum_r a_r^2 M_ir M_jr`` of the trained network on the training data.

        Where other layers were trained, the tangent kernel of these: see `fastntk.gram`.

        Returns
        -------
        (n, n) float64, on the GPU where the run was given arrays there

        Raises
        ------
        ValueError
            When the run keeps no network or no data, as runs of a sweep do.

        Notes
        -----
        Du, Zhai, Poczos and Singh, arXiv 1810.02054, section 3: H(k) of the last step. Cost: see
        `fastntk.gram`.
        """
        if self.net is None or self.X is None:
            raise ValueError("gram: this run keeps no network and data (runs of a sweep do not); use train()")
        from fastntk.matrices.finite import gram_of_network

        return gram_of_network(self.X, self.net, self.provenance.get("layers", "first"))

    def rows(self) -> list[dict[str, Any]]:
        """Return the log as tidy rows, one dict per logged step: width, seed, step, time and every series present.

        Returns
        -------
        list of dict
            Plain int and float values; ``time`` for gradient flow only.  A series with a column for each of several
            layers becomes ``flips_1``, ``flips_2`` and so on.
        """
        series = {} if self.times is None else {"time": self.times}
        for name, value in self.series.items():
            series |= (
                {name: value} if value.ndim == 1 else {f"{name}_{h}": c for h, c in enumerate(value.T, 1)}
            )
        head = {"width": self.provenance.get("width"), "seed": self.seed}
        return [
            {**head, "step": int(step), **{name: float(value[i]) for name, value in series.items()}}
            for i, step in enumerate(self.steps)
        ]

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write `rows` as a CSV file; floats keep all their digits."""
        return write_csv(path, self.rows())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the run, its network and its data to one .npz file, bit for bit.

        Parameters
        ----------
        path : str or path-like
            Taken as it is; replaced only when the new file is complete.

        Returns
        -------
        pathlib.Path

        Raises
        ------
        OSError
            When the file cannot be written; nothing is left behind.

        Notes
        -----
        Plain arrays and JSON: `load` needs no pickle. Cost: one pass over the arrays, W included.

        Examples
        --------
        >>> import tempfile
        >>> from fastntk import load
        >>> path = Path(tempfile.mkdtemp()) / "run.npz"
        >>> run = Run(steps=[0], loss=[0.1 + 0.2], provenance={"width": 4, "seed": 0, "lr": 0.1})
        >>> _ = run.save(path)
        >>> bool(load(path).loss == run.loss)
        True
        """
        return write_archive(path, "Run", {"provenance": self.provenance}, self.arrays())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Every array of the run under the name it has in the file."""
        found: dict[str, NDArray[Any]] = {"steps": self.steps, **self.series}
        for folder, seen in diagnostics_by_folder(self.diagnostics).items():
            found |= {f"diagnostics/{folder}{name}": array for name, array in seen.arrays().items()}
        found |= {f"snapshots/{step}": H for step, H in self.snapshots.items()}
        data = {name: getattr(self, name) for name in _DATA}
        found |= {name: np.asarray(on_host(value)) for name, value in data.items() if value is not None}
        return found | network_arrays(self.net)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], provenance: dict[str, Any]) -> Run:
        """Inverse of `arrays`."""
        arrays = {_FORMER_NAMES.get(name, name): array for name, array in arrays.items()}
        return cls(
            **{name: arrays[name] for name in ("steps", *SERIES, *_DATA) if name in arrays},
            diagnostics=diagnostics_from(inside("diagnostics", arrays)),
            snapshots={int(step): H for step, H in inside("snapshots", arrays).items()},
            net=network_from(arrays, provenance.get("scale", 1.0)),
            provenance=provenance,
        )
