"""Runs at several widths and seeds as one result: tables, the figure, the file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastntk.results.archive import write_archive, write_csv
from fastntk.results.notebook import sweep_html
from fastntk.results.run import Run

__all__ = ["Sweep"]


@dataclass(eq=False, repr=False)
class Sweep:
    """Runs that differ in width and seed only.

    Attributes
    ----------
    runs : list of Run
        Ordered by width, then seed. They keep their logs, not their networks: all widths together would not
        fit in memory, and width and seed make a network again.
    limit : dict
        ``lambda_0`` and ``lambda_max`` (smallest and largest eigenvalue of the infinite-width Gram matrix)
        and ``unit_rows`` (whether all ``|x_i| = 1``); empty when no metric of the runs needed that matrix.
    settings : dict
        What the runs share: data, layers, loss, metrics, diagnostics, engine, dtype, kappa, paired; steps, lr,
        optimizer, batch_size, every and snapshots of gradient descent, or dynamics, t_final, times and tolerance of
        gradient flow.

    Examples
    --------
    >>> runs = [Run(steps=[0, 1], loss=[8.0, 2.0], provenance={"width": w, "seed": 0}) for w in (4, 8)]
    >>> both = Sweep(runs)
    >>> both.widths, both.table()[3]
    ([4, 8], {'width': 8, 'seed': 0, 'step': 1, 'loss': 2.0})
    """

    runs: list[Run]
    limit: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Sweep(widths={self.widths}, seeds={self.seeds}, {len(self.runs)} runs)"

    def _repr_html_(self) -> str:
        return sweep_html(repr(self), self.summary(), self.runs)

    @property
    def widths(self) -> list[int]:
        """The widths, ascending."""
        return sorted({run.width for run in self.runs})

    @property
    def seeds(self) -> list[int]:
        """The seeds, ascending."""
        return sorted({run.seed for run in self.runs if run.seed is not None})

    def table(self) -> list[dict[str, Any]]:
        """One tidy row per run and logged step: width, seed, step and every logged series."""
        return [row for run in self.runs for row in run.rows()]

    def summary(self) -> list[dict[str, Any]]:
        """One row per run: where it ended.

        Returns
        -------
        list of dict
            width, seed; final_loss and loss_ratio (final over first); flips and drift at the last step, of several
            layers the largest; lambda_min (the smallest over the run, of several layers that of the sum); seconds;
            engine. A metric that was not logged is left out.
        """
        rows = []
        for run in self.runs:
            row: dict[str, Any] = {"width": run.width, "seed": run.seed}
            if run.loss is not None:
                first, last = float(run.loss[0]), float(run.loss[-1])
                row |= {"final_loss": last, "loss_ratio": last / first if first else float("nan")}
            row |= {
                name: float(run.series[name][-1].max()) for name in ("flips", "drift") if name in run.series
            }
            lowest = run.lambda_min if run.lambda_min_total is None else run.lambda_min_total
            if lowest is not None:
                row["lambda_min"] = float(lowest.min())
            engine = run.provenance.get("engine")
            row["seconds"] = run.seconds
            row["engine"] = engine.get("name") if isinstance(engine, dict) else engine
            rows.append(row)
        return rows

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write `table` as a CSV file; floats keep all their digits."""
        return write_csv(path, self.table())

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw loss, pattern changes, drift and smallest eigenvalue against the step, one colour per width.

        The file and its errors are those of `fastntk.plots.runs.plot_runs`.

        Notes
        -----
        Several seeds of a width become their median and a band from the smallest to the largest. The panels
        follow Du, Zhai, Poczos and Singh, arXiv 1810.02054, section 5; see `fastntk.plots.runs`.
        """
        from fastntk.plots.runs import plot_runs

        return plot_runs(self.runs, path, limit=self.limit)

    def plot_scaling(self, path: str | os.PathLike[str]) -> Path:
        """Draw where the runs end against their width, on logarithmic axes, with fitted powers beside -1/2.

        The file and its errors are those of `fastntk.plots.scaling.plot_scaling`.
        """
        from fastntk.plots.scaling import plot_scaling

        return plot_scaling(self.runs, path)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to one .npz file, bit for bit; `fastntk.load` reads it."""
        arrays = {
            f"{i}/{name}": array for i, run in enumerate(self.runs) for name, array in run.arrays().items()
        }
        header = {
            "runs": [run.provenance for run in self.runs],
            "limit": self.limit,
            "settings": self.settings,
        }
        return write_archive(path, "Sweep", header, arrays)

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], header: dict[str, Any]) -> Sweep:
        """Inverse of what `save` writes."""
        parts: list[dict[str, NDArray[Any]]] = [{} for _ in header["runs"]]
        for key, array in arrays.items():
            index, name = key.split("/", 1)
            parts[int(index)][name] = array
        runs = [Run.from_arrays(part, record) for part, record in zip(parts, header["runs"], strict=True)]
        return cls(runs, header["limit"], header["settings"])
