"""The same training run over several widths and seeds; finished runs survive an interruption."""

import contextlib
import os
import shutil
from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.progress import Progress, SweepBar
from fastntk.base.storage import ensure_folder, remove_leftovers
from fastntk.device.arrays import engine_for, on_host
from fastntk.distributed import Task, Workers
from fastntk.engines.choice import Choice
from fastntk.engines.path import PathEngine, cuts
from fastntk.matrices.inner_products import products_of_one
from fastntk.results import Run, Sweep
from fastntk.training import train
from fastntk.training.options import spelled_out
from fastntk.training.problem import choice_for, on_samples, require_suitable
from fastntk.training.resume import finished_runs, parts_folder, run_file
from fastntk.training.samples import Samples
from fastntk.training.settings import Settings, SharedOptions

__all__ = ["sweep"]

_WIDE = 2**21  # entries n m from which a run takes a whole worker; below, another run beside it is worth more

Pair = tuple[int, int]
Runs = Generator[tuple[Pair, Run], None, None]


@spelled_out(Settings, SharedOptions)
def sweep(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    widths: Iterable[int],
    seeds: Iterable[int] = (Settings.seed,),
    steps: int = Settings.steps,
    lr: float = Settings.lr,
    *,
    threads: int | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress = False,
    client: Any = None,
    **options: Unpack[SharedOptions],
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
    steps, lr, depth, scale, output, layers, loss, optimizer, batch_size, metrics, every, diagnostics : optional
    snapshots, engine, dtype, dynamics, t_final, times, tolerance, kappa, paired, threads : optional
        As in `fastntk.train`.
    out : str or path-like, optional
        A folder where each run is saved the moment it ends. Called again with the same data and settings, the
        runs found there are loaded, not repeated; so an interrupted sweep resumes, and a longer list of
        widths or seeds adds to it.  A run of the path engine wider than 131072 neurons resumes at the last block of
        so many that it has finished: until it is saved it keeps a folder there, of about 0.4 GB for a million
        neurons and a thousand samples.
    progress : bool or callable
        True draws a bar on a terminal; a callable gets ``(done, total)`` in neuron updates (width times
        steps, or logged times of a flow).
    client : distributed.Client, optional
        Workers of a Dask cluster train the runs, the widest first, each run of the path engine beyond 131072 neurons
        on all of them: the same numbers to the bit, whatever the number of workers.  This process alone writes to
        `out`, so that a sweep may go on here or on another cluster.

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
        From the first run that diverges or misses its tolerance; the runs that ended before are kept in `out`.
    ClusterError
        If the cluster is gone, has no worker, another version of fastntk, or loses worker after worker.

    Notes
    -----
    Cost: the sum over the runs, which share what depends on X alone; memory: that of the widest.  The experiment is
    that of Du, Zhai, Poczos and Singh, arXiv 1810.02054, section 5.

    Examples
    --------
    >>> import fastntk
    >>> X, y = fastntk.datasets.sphere(6, 3, seed=0)
    >>> result = fastntk.sweep(X, y, widths=[8, 16], seeds=[0, 1], steps=2)
    >>> len(result.runs), result.widths, len(result.table())
    (4, [8, 16], 12)
    """
    settings = Settings.of(sweep, {"steps": steps, "lr": lr, **options})
    settings = replace(settings, engine=engine_for(settings.engine, X=X, y=y))
    workers = None if client is None else Workers.of(client)
    if workers is not None and settings.engine == "cuda":
        raise ValueError("client: workers train on their cores, got engine='cuda' or data on a GPU")
    X = checks.matrix(on_host(X), "X")
    samples = Samples.of(X, checks.vector(on_host(y), "y", len(X), "X"))
    require_suitable(settings, samples)
    pairs = _pairs(widths, seeds, settings)
    shared = {"data": samples.description["sha256"], **settings.record()}
    done: dict[tuple[int, int], Run] = {}
    folder = None
    if out is not None:
        folder = ensure_folder(out)
        remove_leftovers(folder)
        done = finished_runs(folder, pairs, shared)
    todo = [pair for pair in pairs if pair not in done]
    with SweepBar(todo, settings.goal, progress) as bar, products_of_one(samples.X):
        made = _trained_here(samples, settings, todo, threads, bar, bool(progress), folder)
        if workers is not None:
            made = _trained_by_workers(workers, samples, settings, todo, threads, bar, bool(progress))
        with contextlib.closing(made):
            for (width, seed), run in made:
                run.provenance["sweep"] = shared | {"width": width, "seed": seed}
                if folder is not None:
                    run.save(folder / run_file(width, seed))
                    for unfinished in folder.glob(parts_folder(width, seed, samples, settings, "*")):
                        shutil.rmtree(unfinished)
                done[width, seed] = run
                bar.finish(width)
    runs = [done[pair] for pair in pairs]
    return Sweep(runs, _limit(samples.X, runs), shared)


def _trained_here(
    samples: Samples, settings: Settings, todo: list[Pair], threads: int | None, bar: SweepBar, progress: bool,
    folder: Path | None,
) -> Runs:  # fmt: skip
    """In this process, one run after the other; the folder holds the state of one that is not saved yet."""
    for width, seed in todo:
        bar.start(width, seed)
        own = replace(settings, width=width, seed=seed)
        parts = None if folder is None else folder / parts_folder(width, seed, samples, own)
        yield (width, seed), _train_one(samples, own, threads, bar.step if progress else False, folder=parts)


def _trained_by_workers(
    workers: Workers,
    samples: Samples,
    settings: Settings,
    todo: list[Pair],
    threads: int | None,
    bar: SweepBar,
    progress: bool,
) -> Runs:
    """Runs of several parts one after the other, each on all workers; then the others, one a worker, as they end."""
    tasks, n = [], len(samples.X)
    for width, seed in sorted(todo, reverse=True):
        own, choice = replace(settings, width=width, seed=seed), None
        if not settings.deep:  # one process chooses: others may have other memory
            choice = choice_for(samples, own, width, settings.dtype)
        if choice and choice.name == PathEngine.name and len(cuts(width)) > 1:
            bar.start(width, seed)
            every = Workers.of(workers.client)
            run = _train_one(samples, own, threads, bar.step if progress else False, choice, every)
            run.provenance["cluster"] = every.record()
            yield (width, seed), run
        else:
            tasks.append((width, seed, own, choice))
    if not tasks:
        return
    data = workers.shared(samples)
    given = (
        Task((width, seed), _train_one, (data, own, threads, False, choice), whole=width * n >= _WIDE)
        for width, seed, own, choice in tasks
    )
    with contextlib.closing(workers.each(given)) as finished:
        for (width, seed), run, worker in finished:
            run.provenance["cluster"] = workers.facts(worker)
            yield (width, seed), run


def _pairs(widths: Iterable[int], seeds: Iterable[int], settings: Settings) -> list[tuple[int, int]]:
    """Width and seed of each run."""
    wide = checks.distinct_integers(widths, "widths", 1)
    odd = [width for width in wide if settings.paired and width % 2]
    if odd:
        raise ValueError(f"widths must be even with paired=True, got {odd[0]}")
    return [(width, seed) for width in wide for seed in checks.distinct_integers(seeds, "seeds", 0)]


def _train_one(
    samples: Samples,
    settings: Settings,
    threads: int | None,
    progress: Progress,
    choice: Choice | None = None,
    workers: Workers | None = None,
    folder: Path | None = None,
) -> Run:
    """One run, without what would not fit in memory for all of them."""
    problem = on_samples(samples, None, settings, choice)
    outcome = train.run(problem, threads, progress, workers, folder)
    try:
        run = train.record(problem, outcome)
    except Exception:  # a run that diverged is over, too
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    run.net = run.X = run.y = None
    return run


def _limit(X: np.ndarray, runs: list[Run]) -> dict[str, Any]:
    """What the runs found out about the limit kernel, and whether the theory's unit rows are given."""
    known = runs[0].provenance.get("limit")
    if not known:
        return {}
    norms = np.linalg.norm(X, axis=1)
    return {**known, "unit_rows": bool(np.all(np.abs(norms - 1) < 1e-6))}
