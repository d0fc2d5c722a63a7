"""The same training run over several widths and seeds; finished runs survive an interruption."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastntk.base import checks
from fastntk.base.progress import Progress, SweepBar
from fastntk.base.storage import ensure_folder, remove_leftovers
from fastntk.device.arrays import engine_for, on_host
from fastntk.results import Run, Sweep, provenance
from fastntk.training.resume import finished_runs, run_file

if TYPE_CHECKING:
    from fastntk.losses import Loss
    from fastntk.optimizers import Optimizer

__all__ = ["sweep"]


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
        Data on a GPU are copied to the host once, and engine "auto" is "cuda".
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
        For a bad argument, or when `out` holds a run of other data, other settings or another minor version of fastntk
        (numbers may differ between 0.1 and 0.2, not between 0.1.0 and 0.1.1); nothing is trained then.
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
    from fastntk.engines import CHOICES
    from fastntk.training.batches import checked_batch_size
    from fastntk.training.flow import scheduled
    from fastntk.training.metrics import chosen, chosen_snapshots
    from fastntk.training.train import LAYERS

    engine, X, y = engine_for(engine, X=X, y=y), on_host(X), on_host(y)
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
    from fastntk.training.train import train

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
