"""Which patterns flip during a run, when and how often, and how the drift spreads over the neurons."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.base.storage import user_path
from fastntk.results.archive import write_csv

__all__ = ["LEVELS", "Diagnostics", "FlipHistory"]

LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Shares of the neurons whose drift is below the logged quantiles."""

_PARTS = ("samples", "neurons")


@dataclass(eq=False)
class FlipHistory:
    """Pattern changes of each sample, or of each neuron, over the observed steps.

    Attributes
    ----------
    net : (n,) or (m,) int64
        Entries that differ from step 0 at the last observed step.
    total : int64, as net
        Changes from each observed step to the next, added: an entry that flips and comes back counts twice.
    first : int64, as net
        Observed step at which an entry had changed for the first time, -1 if none ever did.
    """

    net: NDArray[np.int64]
    total: NDArray[np.int64]
    first: NDArray[np.int64]


@dataclass(eq=False, repr=False)
class Diagnostics:
    """What `train` with ``diagnostics=True`` saw at the logged steps.

    Changes are those between one logged step and the next, so with ``every=1`` no flip is missed.

    Attributes
    ----------
    steps : (k,) int64
        The observed steps: those of the run, without the one at which a run diverged.
    net : (k,) int64
        Entries of the pattern that differ from step 0.
    changed : (k,) int64
        Entries that differ from the observed step before; 0 at step 0.
    levels : (q,) float64
        Ascending, from 0 to 1.
    drift_quantiles : (k, q) float64
        Quantiles at these levels, over the neurons, of ``|w_r(k) - w_r(0)|_2``; the last is the run's drift.
    samples, neurons : FlipHistory
        Net and total changes and the first step of each sample and of each neuron.

    Notes
    -----
    Totals far above the net counts are no error: a neuron that sample i pushes towards 0 and the other samples push
    back stays at its kink, and switches on and off at every few steps, however small the steps have become.

    Examples
    --------
    >>> import fastntk
    >>> X, y = fastntk.datasets.sphere(20, 10, seed=0)
    >>> seen = fastntk.train(X, y, width=500, steps=50, lr=0.5, diagnostics=True).diagnostics
    >>> seen
    Diagnostics(n=20, m=500, steps=50, 432 entries differ after 3444 flips in 344 neurons)
    >>> int(seen.neurons.net.sum()) == int(seen.samples.net.sum()) == int(seen.net[-1])
    True
    """

    steps: NDArray[np.int64]
    net: NDArray[np.int64]
    changed: NDArray[np.int64]
    levels: NDArray[np.float64]
    drift_quantiles: NDArray[np.float64]
    samples: FlipHistory
    neurons: FlipHistory

    def __repr__(self) -> str:
        flipped = int((self.neurons.first >= 0).sum())
        return (
            f"Diagnostics(n={self.samples.net.size}, m={self.neurons.net.size}, steps={self.steps[-1]}, "
            f"{self.net[-1]} entries differ after {self.changed.sum()} flips in {flipped} neurons)"
        )

    @property
    def cumulative(self) -> NDArray[np.int64]:
        """All changes up to each observed step, (k,) int64."""
        return np.cumsum(self.changed)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Tidy rows: "steps", one per observed step; "samples" and "neurons", one each."""
        steps = [
            {"step": step, "net": net, "changed": changed, "cumulative": cumulative}
            | {f"drift_q{100 * level:g}": value for level, value in zip(self.levels, drift, strict=True)}
            for step, net, changed, cumulative, drift in zip(
                self.steps.tolist(),
                self.net.tolist(),
                self.changed.tolist(),
                self.cumulative.tolist(),
                self.drift_quantiles.tolist(),
                strict=True,
            )
        ]
        found = {"steps": steps}
        for part in _PARTS:
            history: FlipHistory = getattr(self, part)
            columns = [getattr(history, field.name).tolist() for field in fields(FlipHistory)]
            found[part] = [
                {part[:-1]: index, "net": net, "total": total, "first": first}
                for index, (net, total, first) in enumerate(zip(*columns, strict=True))
            ]
        return found

    def to_csv(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the `tables` as steps.csv, samples.csv and neurons.csv; the folder exists."""
        return [write_csv(user_path(folder) / f"{name}.csv", rows) for name, rows in self.tables().items()]

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw net and cumulative changes, drift quantiles, flips per neuron, and first flips.

        The file and its errors are those of `fastntk.plots.diagnostics.plot_diagnostics`.
        """
        from fastntk.plots.diagnostics import plot_diagnostics

        return plot_diagnostics(self, path)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Every array under the name it has in the file of a run."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _PARTS}
        return own | {
            f"{part}/{field.name}": getattr(getattr(self, part), field.name)
            for part in _PARTS
            for field in fields(FlipHistory)
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Diagnostics:
        """Inverse of `arrays`."""
        parts: dict[str, Any] = {name: array for name, array in arrays.items() if "/" not in name}
        parts |= {
            part: FlipHistory(**{field.name: arrays[f"{part}/{field.name}"] for field in fields(FlipHistory)})
            for part in _PARTS
        }
        return cls(**parts)
