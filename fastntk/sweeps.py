"""The same training run over several widths and seeds; finished runs survive an interruption."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastntk import checks
from fastntk.progress import Progress, SweepBar
from fastntk.results import Run, provenance
from fastntk.results.archive import write_archive, write_csv
from fastntk.resume import finished_runs, run_file
from fastntk.storage import ensure_folder, remove_leftovers

if TYPE_CHECKING:
    from fastntk.losses import Loss
    from fastntk.optimizers import Optimizer

__all__ = ["Sweep", "sweep"]


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
            width, seed; final_loss and loss_ratio (final over first); flips and drift at the last step;
            lambda_min (the smallest over the run); seconds; engine. A metric that was not logged is left out.
        """
        rows = []
        for run in self.runs:
            row: dict[str, Any] = {"width": run.width, "seed": run.seed}
            if run.loss is not None:
                first, last = float(run.loss[0]), float(run.loss[-1])
                row |= {"final_loss": last, "loss_ratio": last / first if first else float("nan")}
            row |= {name: float(run.series[name][-1]) for name in ("flips", "drift") if name in run.series}
            if run.lambda_min is not None:
                row["lambda_min"] = float(run.lambda_min.min())
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

        Parameters
        ----------
        path : str or path-like
            Ends in .png, .pdf or .svg.

        Returns
        -------
        pathlib.Path

        Raises
        ------
        ValueError
            When the file type is unknown or no run carries a series that a panel shows.

        Notes
        -----
        Several seeds of a width become their median and a band from the smallest to the largest. The panels
        follow Du, Zhai, Poczos and Singh, arXiv 1810.02054, section 5; see `fastntk.plotting`.
        """
        from fastntk.plotting import plot_runs

        return plot_runs(self.runs, path, limit=self.limit)

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


def sweep(
    X: ArrayLike,
    y: ArrayLike,
    widths: Iterable[int],
    seeds: Iterable[int] = (0,),
    steps: int = 100,
    lr: float = 0.1,
    *,
    layers: str = "first",
    loss: str | Loss = "squared",
    optimizer: str | Optimizer = "gd",
    batch_size: int | None = None,
    dynamics: str = "descent",
    t_final: float | None = None,
    times: ArrayLike | None = None,
    tolerance: float = 1e-3,
    metrics: str | Sequence[str] = ("loss", "flips", "drift"),
    every: int = 1,
    diagnostics: bool = False,
    snapshots: Iterable[int] = (),
    engine: str = "auto",
    dtype: str = "float32",
    kappa: float = 1.0,
    paired: bool = False,
    threads: int | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress = False,
) -> Sweep:
    """Train at every width and seed: ``w_r <- w_r - lr * dL/dw_r``, or its flow, for each of ``(widths, seeds)``.

    Parameters
    ----------
    X : (n, d) array_like
    y : (n,) array_like
    widths, seeds : iterable of int
        Every pair is one run. Widths share their randomness: the narrower network is a prefix of the wider
        one.
    steps, lr, layers, loss, optimizer, batch_size, metrics, every, diagnostics, snapshots, engine, dtype : optional
    dynamics, t_final, times, tolerance, kappa, paired, threads : optional
        As in `fastntk.train`.
    out : str or path-like, optional
        A folder where each run is saved the moment it ends. Called again with the same data and settings, the
        runs found there are loaded, not repeated; so an interrupted sweep resumes, and a longer list of
        widths or seeds adds to it.
    progress : bool or callable
        True draws a bar on a terminal; a callable gets ``(done, total)`` in neuron updates (width times
        steps, or logged times of a flow).

    Returns
    -------
    Sweep
        Its runs keep no network and no data.

    Raises
    ------
    ValueError, TypeError
        For a bad argument, or when `out` holds a run of other data or settings; nothing is trained then.
    OSError
        When `out` cannot be written; found out before the work.
    DivergenceError, ToleranceError
        From the first run that diverges or misses its tolerance; the runs before it are kept in `out`.

    Notes
    -----
    Cost: the sum over the runs; memory: that of the widest. The experiment is that of Du, Zhai, Poczos and Singh, arXiv
    1810.02054, section 5.

    Examples
    --------
    >>> import fastntk
    >>> X, y = fastntk.datasets.sphere(6, 3, seed=0)
    >>> result = fastntk.sweep(X, y, widths=[8, 16], seeds=[0, 1], steps=2)
    >>> len(result.runs), result.widths, len(result.table())
    (4, [8, 16], 12)
    """
    from fastntk import losses, optimizers
    from fastntk.batches import checked_batch_size
    from fastntk.engines import CHOICES
    from fastntk.flow import scheduled
    from fastntk.metrics import chosen, chosen_snapshots
    from fastntk.training import LAYERS

    X = checks.matrix(X, "X")
    y = checks.vector(y, "y", X.shape[0], "X")
    objective, method = losses.resolve(loss), optimizers.resolve(optimizer)
    objective.check(y)
    pairs = [
        (w, s)
        for w in checks.distinct_integers(widths, "widths", 1)
        for s in checks.distinct_integers(seeds, "seeds", 0)
    ]
    odd = [width for width, _ in pairs if paired and width % 2]
    if odd:
        raise ValueError(f"widths must be even with paired=True, got {odd[0]}")
    descent: dict[str, Any] = {
        "steps": checks.integer(steps, "steps", 0),
        "lr": checks.positive(lr, "lr"),
        "optimizer": method.record(),
        "batch_size": checked_batch_size(batch_size, len(X)),
        "every": checks.integer(every, "every", 1),
        "snapshots": chosen_snapshots(snapshots, steps),
    }
    schedule = scheduled(dynamics, t_final, times, tolerance, **descent | {"optimizer": method.name})
    shared: dict[str, Any] = {
        "data": provenance.data_hash(X, y),
        **(descent if schedule is None else schedule.record()),
        "layers": checks.choice(layers, "layers", LAYERS),
        "loss": objective.record(),
        "metrics": list(chosen(metrics)),
        "diagnostics": bool(diagnostics),
        "engine": checks.choice(engine, "engine", CHOICES),
        "dtype": checks.floating_dtype(dtype).name,
        "kappa": checks.positive(kappa, "kappa"),
        "paired": bool(paired),
    }
    objects: dict[str, Any] = {"loss": objective} | ({"optimizer": method} if schedule is None else {})
    done: dict[tuple[int, int], Run] = {}
    folder = None
    if out is not None:
        folder = ensure_folder(out)
        remove_leftovers(folder)
        done = finished_runs(folder, pairs, shared)
    todo = [pair for pair in pairs if pair not in done]
    with SweepBar(todo, descent["steps"] if schedule is None else len(schedule.times) - 1, progress) as bar:
        for width, seed in todo:
            bar.start(width, seed)
            run = _train_one(X, y, width, seed, shared, objects, threads, bar.step if progress else False)
            if folder is not None:
                run.save(folder / run_file(width, seed))
            done[width, seed] = run
            bar.finish(width)
    runs = [done[pair] for pair in pairs]
    return Sweep(runs, _limit(X, runs), shared)


def _train_one(
    X: NDArray[Any],
    y: NDArray[Any],
    width: int,
    seed: int,
    shared: dict[str, Any],
    objects: dict[str, Any],
    threads: int | None,
    progress: Any,
) -> Run:
    """One run, stripped of what would not fit in memory for all of them, marked with what it belongs to."""
    from fastntk.training import train

    start = time.perf_counter()
    settings = {key: value for key, value in shared.items() if key != "data"} | objects
    run = train(X, y, width=width, seed=seed, threads=threads, progress=progress, **settings)
    run.net = run.X = run.y = None
    run.provenance.setdefault("seconds", time.perf_counter() - start)
    run.provenance["sweep"] = shared | {"width": width, "seed": seed}
    return run


def _limit(X: NDArray[Any], runs: list[Run]) -> dict[str, Any]:
    """Return what the runs found out about the limit kernel, and whether the theory's unit rows are given."""
    known = runs[0].provenance.get("limit")
    if not known:
        return {}
    norms = np.linalg.norm(X, axis=1)
    return {**known, "unit_rows": bool(np.all(np.abs(norms - 1) < 1e-6))}
