"""`verify`: measure, judge every statement, and keep it all in one result."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from fastntk import datasets
from fastntk.base import checks
from fastntk.base.storage import atomic_write, ensure_folder
from fastntk.compilation.threads import one_blas_thread
from fastntk.device.arrays import engine_for, on_host
from fastntk.device.driver import require
from fastntk.distributed import Workers
from fastntk.engines.motion import CHOICES
from fastntk.results import provenance
from fastntk.theory.verification import initial, trajectories
from fastntk.theory.verification.deep import DeepEvidence, deep_exponents, deep_statements, gather_deep
from fastntk.theory.verification.evidence import Evidence, gather
from fastntk.theory.verification.exponents import SCALED, Exponent, exponents
from fastntk.theory.verification.facts import Facts
from fastntk.theory.verification.report import page, plain
from fastntk.theory.verification.statement import Statement
from fastntk.training.settings import Settings

__all__ = ["Verification", "verify"]

_STATEMENTS: tuple[Callable[[Evidence], Statement], ...] = (
    initial.theorem_3_1,
    initial.lemma_3_1,
    initial.lemma_3_2,
    trajectories.theorem_3_2,
    trajectories.lemma_3_3,
    trajectories.lemma_3_4,
    trajectories.theorem_3_3,
    trajectories.theorem_4_1,
    trajectories.corollary_4_1,
)


@dataclass(eq=False, repr=False)
class Verification:
    """The statements of the theory with what was measured about them.

    Attributes
    ----------
    statements : list of Statement
        In the order of the paper's sections; each has a verdict, a reason and its measurements.
    exponents : list of Exponent
        Fitted power laws in the width.
    evidence : Evidence
        All measurements.
    deep : DeepEvidence or None
        The runs with several hidden layers; their fits are the last of the exponents.
    settings, seconds
        What was asked for, and how long it took.
    """

    statements: list[Statement]
    exponents: list[Exponent]
    evidence: Evidence
    settings: dict[str, Any]
    seconds: float
    deep: DeepEvidence | None = None

    def __getitem__(self, name: str) -> Statement:
        """The statement of that name, as in ``result["Lemma 3.1"]``."""
        for statement in self.statements:
            if statement.name == name:
                return statement
        known = ", ".join(repr(statement.name) for statement in self.statements)
        raise KeyError(f"no statement {name!r}; known are {known}")

    def __repr__(self) -> str:
        return "\n".join(f"{s.name:<13}  {s.verdict:<14}  {s.reason}" for s in self.statements)

    def record(self) -> dict[str, Any]:
        """Every number, as JSON knows them: infinities are None."""
        runs = {f"{part:g} of the largest step": group for part, group in self.evidence.descent.items()}
        runs |= {"theory's step": self.evidence.theory, "gradient flow": self.evidence.flow}
        runs |= {"gradient flow of both layers": self.evidence.joint}
        if self.deep is not None:
            runs[f"depth {self.deep.depth}"] = self.deep.runs
        found = plain(
            {
                "settings": self.settings,
                "data": self.evidence.facts.record(),
                "statements": [statement.record() for statement in self.statements],
                "exponents": [fit.record() for fit in self.exponents],
                "runs": {name: [run.record() for run in group] for name, group in runs.items()},
                "seconds": self.seconds,
                "environment": provenance.environment(),
            }
        )
        return dict(found)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write ``report.html`` (its figures inside) and ``report.json`` to a folder.

        Returns
        -------
        list of pathlib.Path
        """
        from fastntk.plots.style import rendered
        from fastntk.theory.verification.figures import figures

        target, record = ensure_folder(folder), self.record()
        drawn = figures(self.evidence, [fit for fit in self.exponents if fit.quantity in SCALED])
        images = {name: (caption, rendered(draw, "png", 160)) for name, (caption, draw) in drawn.items()}
        texts = {
            "report.html": page(record, images),
            "report.json": json.dumps(record, indent=1, allow_nan=False),
        }
        for name, text in texts.items():
            with atomic_write(target / name) as file:
                file.write(text.encode())
        return [target / name for name in texts]


def verify(
    X: npt.ArrayLike | None = None,
    y: npt.ArrayLike | None = None,
    *,
    widths: Iterable[int] = (512, 2048, 8192, 32768),
    seeds: Iterable[int] = range(5),
    draws: int = 20,
    steps: int = Settings.steps,
    delta: float = 0.1,
    depth: int = 1,
    deep_widths: Iterable[int] = (256, 512, 1024, 2048),
    engine: str = Settings.engine,
    progress: bool | Callable[[str], object] = False,
    client: Any = None,
) -> Verification:
    """Check every statement of the theory on data: what it says, what was measured, whether it held, with what slack.

    Theorems 3.1, 3.2, 3.3, 4.1, Lemmas 3.1 to 3.4 and Corollary 4.1 of Du et al. (arXiv 1810.02054).

    Parameters
    ----------
    X, y : array_like, shapes (n, d) and (n,), optional
        Default: ``fastntk.datasets.sphere(200, 200)``.  Data that do not meet a statement's hypotheses are measured
        all the same; the statement then says that it does not apply, and why.  Data on a GPU are copied to the host.
    widths, seeds : iterable of int
        Every pair is trained.
    draws : int
        Seeds for Lemma 3.1, which needs no training and whose failures are counted against `delta`.
    steps : int
        Gradient steps of a run, at least 1; the times of gradient flow are in proportion.
    delta : float
        Failure probability of the statements, between 0 and 1.
    depth : int
        Above 1 the statements about that many hidden layers are added, see `fastntk.theory.verification.deep`.
    deep_widths : iterable of int
        Their widths, since a step costs ``n m^2``.
    engine : {"auto", "dual", "primal", "path", "cuda"}
        Of the runs with one hidden layer, as in `train`; for data on a GPU "auto" is "cuda".  All else is computed on
        the host.
    progress : bool or callable
        True prints what is being measured on a terminal; a callable is called with it.
    client : distributed.Client, optional
        Workers of a Dask cluster make the measurements: the same numbers to the bit.

    Returns
    -------
    Verification
        Prints as a table; ``.save(folder)`` writes the report.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range, not finite, or shapes disagree, or only one of X and y is given.
    DeviceError
        If "cuda" is asked for and no GPU can be used.

    Notes
    -----
    Cost: about ten runs of `train` for each width and seed, ten evaluations of each of three radii, and
    ``n^2 m / 2`` bit products for each draw and width.

    A verdict is about the networks that were tried.  The widths that the theory asks for are far beyond these, so that
    "fails" contradicts no theorem that asks for a width; it says that the width is too small for the conclusion.

    Examples
    --------
    >>> import fastntk
    >>> X, y = fastntk.datasets.sphere(8, 8, seed=0)
    >>> result = fastntk.verify(X, y, widths=[512, 4096], seeds=[0, 1], draws=2, steps=20)
    >>> result["Theorem 3.1"].verdict, result["Theorem 4.1"].verdict
    ('holds', 'holds')
    """
    if (X is None) != (y is None):
        raise ValueError("X and y must be given together, got " + ("X" if y is None else "y") + " alone")
    if X is None or y is None:
        X, y = datasets.sphere(200, 200)
    checks.choice(engine, "engine", CHOICES)
    engine, X, y = engine_for(engine, X=X, y=y), on_host(X), on_host(y)
    samples = checks.matrix(X, "X", "float64")
    labels = checks.vector(y, "y", len(samples), "X", "float64")
    all_widths = checks.distinct_integers(widths, "widths", 1)
    all_seeds = checks.distinct_integers(seeds, "seeds", 0)
    draws, steps = checks.integer(draws, "draws", 0), checks.integer(steps, "steps", 1)
    depth, wide = checks.integer(depth, "depth", 1), checks.distinct_integers(deep_widths, "deep_widths", 1)
    delta = checks.positive(delta, "delta")
    if delta >= 1.0:
        raise ValueError(f"delta must be below 1, got {delta:g}")
    workers = None if client is None else Workers.of(client)
    if workers is not None and engine == "cuda":
        raise ValueError("client: workers train on their cores, got engine='cuda' or data on a GPU")
    if engine == "cuda":
        require()  # before the work
    began = time.perf_counter()
    report = _reporter(progress)
    with one_blas_thread():
        facts = Facts.of(samples, labels, delta)
    with one_blas_thread():
        evidence = gather(facts, all_widths, all_seeds, draws, steps, engine, report, workers)
        statements = [statement(evidence) for statement in _STATEMENTS]
        fits, deep = exponents(evidence.main), None
        if depth > 1:
            deep = gather_deep(facts, depth, wide, all_seeds, steps, report, workers)
            statements, fits = statements + deep_statements(deep), fits + deep_exponents(deep)
    settings = {"widths": all_widths, "seeds": all_seeds, "draws": draws, "steps": steps, "delta": delta}
    settings |= {"engine": engine, "data": provenance.describe_data(samples, labels)}
    if workers is not None:
        settings["cluster"] = workers.record()
    if depth > 1:
        settings |= {"depth": depth, "deep_widths": wide}
    return Verification(statements, fits, evidence, settings, time.perf_counter() - began, deep)


def _reporter(progress: bool | Callable[[str], object]) -> Callable[[str], object]:
    """A function that is told which measurement begins."""
    if callable(progress):
        return progress
    if progress and sys.stderr.isatty():
        return lambda text: print(text, file=sys.stderr, flush=True)
    return lambda text: None
