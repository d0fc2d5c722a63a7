"""What "auto" takes against what is fastest, and the constants of its cost model that fit: python -m benchmarks.choice.

Twelve shapes, each trained by every engine, in turns.  The model errs by the time of the engine that "auto" takes over
that of the fastest; above `ALLOWED` it fails.  The constants printed at the end are those of fastntk/engines/choice.py:
the least squares of relative errors over all rows without metrics of H, which the cost model does not count.
"""

import sys
import time
from dataclasses import dataclass

import numpy as np
import scipy.optimize

import fastntk
from fastntk.engines import choice
from fastntk.training.problem import prepare
from fastntk.training.settings import Settings

ALLOWED, ROUNDS, LR = 1.3, 2, 0.1
ENGINES = ("dual", "primal", "path")
FLAT = ("flips", "drift")


@dataclass(frozen=True)
class Shape:
    """A run: samples, dimension, width, steps, and what is not plain of it."""

    n: int
    d: int
    m: int
    steps: int
    metrics: str | tuple[str, ...] = FLAT
    optimizer: str = "gd"

    def __str__(self) -> str:
        more = [] if self.metrics == FLAT else ["all metrics"]
        more += [] if self.optimizer == "gd" else [self.optimizer]
        return " ".join([f"n={self.n} d={self.d} m={self.m} steps={self.steps}", *more])


SHAPES = (
    Shape(1000, 1000, 500, 100),
    Shape(1000, 1000, 8000, 100),
    Shape(1000, 1000, 8000, 10),
    Shape(1000, 1000, 8000, 100, "all"),
    Shape(1000, 1000, 8000, 100, optimizer="heavy_ball"),
    Shape(1000, 200, 8000, 50),
    Shape(2000, 200, 4000, 40),
    Shape(500, 500, 4000, 400),
    Shape(400, 800, 2000, 10),
    Shape(300, 50, 65536, 60),
    Shape(200, 100, 2000, 200),
    Shape(500, 1000, 32768, 60),
)


def seconds_of(shape: Shape, rounds: int) -> tuple[dict[str, float], str]:
    """Best time of a run by each engine, and the one that "auto" takes."""
    X, y = fastntk.datasets.sphere(shape.n, shape.d, seed=0)
    options = {
        "width": shape.m, "steps": shape.steps, "lr": LR, "metrics": shape.metrics, "optimizer": shape.optimizer,
    }  # fmt: skip
    fastntk.train(
        X, y, engine="path", **{**options, "steps": 2}
    )  # compiles, and makes the limit's eigenvalues known
    best = dict.fromkeys(ENGINES, np.inf)
    for order in range(rounds):
        for engine in ENGINES if order % 2 == 0 else ENGINES[::-1]:
            began = time.perf_counter()
            fastntk.train(X, y, engine=engine, **options)
            best[engine] = min(best[engine], time.perf_counter() - began)
    return best, prepare(X, y, None, Settings.of(fastntk.train, options)).choice.name


def fitted(rows: list[tuple[Shape, dict[str, float]]]) -> dict[str, float]:
    """The constants of the cost model that fit these times."""
    plain = [(shape, best) for shape, best in rows if shape.metrics == FLAT]
    terms, costs, tables = [], [], []
    for shape, best in plain:
        near = ((1.0 + shape.n / shape.d) / 2.0) ** 0.75 / shape.m**0.5
        work = shape.n * shape.n * shape.m
        cost = best["path"] / best["dual"] * shape.steps
        terms.append(np.array([1.0, shape.steps * near, 1e10 / work, 1e8 * shape.steps / work]) / cost)
        costs.append(cost)
        tables.append(shape.n / shape.d / (best["dual"] / best["primal"]) - 1.0)
    found, _ = scipy.optimize.nnls(np.array(terms), np.ones(len(costs)))
    return {
        "TABLES_PER_BLAS": float(np.median(tables)),
        "PATH_PASSES": found[0],
        "PATH_STEP": found[1],
        "PATH_CALL": 1e10 * found[2],
        "PATH_CALLS": 1e8 * found[3],
    }


def main() -> int:
    """Print the table and the constants; the status is 1 if a choice errs by more than is allowed."""
    print(
        f"{'run':48} {'dual':>8} {'primal':>8} {'path':>8}  auto     wrong by  path in dual steps: measured, model"
    )
    rows, wrong = [], []
    for shape in SHAPES:
        best, taken = seconds_of(shape, ROUNDS)
        ratio = best[taken] / min(best.values())
        rows.append((shape, best))
        wrong.append(ratio)
        model = choice.path_cost(shape.n, shape.d, shape.m, shape.steps)
        steps = best["path"] / best["dual"] * shape.steps
        times = " ".join(f"{best[engine]:8.3f}" for engine in ENGINES)
        print(f"{shape!s:48} {times}  {taken:8} {ratio:7.2f}x  {steps:10.1f} {model:6.1f}", flush=True)
    print(f"worst {max(wrong):.2f}x, allowed {ALLOWED}x")
    for name, value in fitted(rows).items():
        print(f"{name} = {getattr(choice, name):.3g}, fits {value:.3g}")
    return int(max(wrong) > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
