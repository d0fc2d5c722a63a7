"""Gradient descent and gradient flow, with the quantities of the theory logged along the way."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk import losses, optimizers
from fastntk.base import checks
from fastntk.base.arrays import host_array
from fastntk.base.errors import ToleranceError
from fastntk.base.progress import reporter
from fastntk.compilation.jit import CompileClock
from fastntk.compilation.threads import kernel_threads
from fastntk.device.arrays import engine_for, give_back, library_of, on_host, together, upload
from fastntk.engines import CHOICES, Motion, choose, engine_of
from fastntk.losses import Loss
from fastntk.model.network import TwoLayerReLU, initial_network
from fastntk.optimizers import Optimizer
from fastntk.results import Run, provenance
from fastntk.spectra import lambda_max
from fastntk.training.batches import checked_batch_size
from fastntk.training.descent import Descent, descend, divergence
from fastntk.training.flow import TOLERANCE, integrate, scheduled
from fastntk.training.metrics import Recorder, chosen, chosen_snapshots
from fastntk.training.pattern_history import PatternHistory
from fastntk.training.tangent import tangent_kernel

LAYERS = ("first", "second", "both")


def train(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    width: int | None = None,
    steps: int = 100,
    lr: float = 0.1,
    seed: int = 0,
    net: TwoLayerReLU | None = None,
    layers: str = "first",
    loss: str | Loss = "squared",
    optimizer: str | Optimizer = "gd",
    batch_size: int | None = None,
    dynamics: str = "descent",
    t_final: float | None = None,
    times: npt.ArrayLike | None = None,
    tolerance: float = TOLERANCE,
    metrics: str | Iterable[str] = ("loss", "flips", "drift"),
    every: int = 1,
    diagnostics: bool = False,
    snapshots: Iterable[int] = (),
    engine: str = "auto",
    dtype: npt.DTypeLike = "float32",
    kappa: float = 1.0,
    paired: bool = False,
    threads: int | None = None,
    progress: bool | Callable[[int, int], Any] = False,
) -> Run:
    """Train a two-layer ReLU network, its first layer by default, by gradient descent on ``L = sum_i l(u_i, y_i)``.

    ``w_r <- w_r - lr (a_r / sqrt(m)) sum_i e_i 1{w_r . x_i >= 0} x_i`` with ``e_i = dl/du_i``; by default
    ``l = (u - y)^2 / 2``, so ``e = u - y``.  A second layer that moves does so by
    ``a_r <- a_r - (lr / sqrt(m)) sum_i e_i relu(w_r . x_i)``, from the same state.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Samples.  The theory assumes unit rows, the code does not.
    y : array_like, shape (n,)
        Labels.
    width : int, optional
        Number of neurons m; not given with ``net``.
    steps : int
        Number of gradient steps, at least 0.
    lr : float
        Step size, stable below ``2 / lambda_max(H)``; for other losses and momentum see `fastntk.losses` and
        `fastntk.optimizers`.  A little above, the loss of a finite network grows at first and
        may fall again; only a loss that explodes is an error.
    seed : int
        Seed of the initial network (see `TwoLayerReLU.init`) and of the batches; with ``net`` of the batches only.
    net : TwoLayerReLU, optional
        Network to start from; it is not changed.
    layers : {"first", "second", "both"}
        Which layers move; "second" is a linear model of random features.  "drift" then also logs ``drift_a``.
    loss : {"squared", "logistic", "huber"} or Loss
        ``(u - y)^2 / 2``; ``log(1 + exp(-y u))`` for labels -1 and +1; quadratic up to ``|u - y| = 1`` and linear
        beyond, or from another threshold with ``fastntk.losses.Huber(delta=...)``.
    optimizer : {"gd", "heavy_ball", "nesterov"} or Optimizer
        Plain gradient descent, or with momentum 0.9; another one with ``fastntk.optimizers.HeavyBall(momentum=...)``
        and ``Nesterov(momentum=...)``.  Nesterov's run is that of the point it looks ahead to.
    batch_size : int, optional
        Samples of a step, at most n: drawn without replacement in every epoch, from the seed; their gradient is
        scaled by n / batch_size.  The loss logged is that of all samples.
    dynamics : {"descent", "flow"}
        Gradient descent, or gradient flow ``dw/dt = -dL/dw`` from time 0 to ``t_final``; descent follows it at
        ``t = lr k``.  The arguments of descent (steps, lr, optimizer, batch_size, every) are errors with flow.
    t_final : float
        Of the flow, above 0.
    times : array_like, optional
        Ascending, at most ``t_final``: when the flow is logged, beside 0 and ``t_final``.  By default 101 even times.
    tolerance : float
        Of the flow: the estimated error of the outputs in a step, ``|.|_2``, is at most this part of ``|e|_2``, or
        of a few roundings of the outputs where that is more.
    metrics : "all" or iterable of {"loss", "flips", "drift", "gram", "lambda_min"}
        What is logged.  "gram" is ``|H(k) - H(0)|_2`` and ``|H(k) - H_inf|_2``; "lambda_min" is that of ``H(k)``,
        the tangent kernel of the layers that move.  The loss is always logged.
    every : int
        Log every so many steps; the first and the last step are always logged.
    diagnostics : bool
        Also watch which samples and neurons flip, when first and how often, and quantiles of the drift, at the logged
        steps: ``run.diagnostics``.
    snapshots : iterable of int
        Steps at which H is kept, 8 n^2 bytes each: ``run.snapshots``.
    engine : {"auto", "dual", "primal", "cuda"}
        "dual" moves the pre-activations, "primal" the weights: the same gradient descent up to rounding.
        "auto" takes the one that is expected to be faster and fits in memory (`fastntk.engines.choose`), "cuda" one of
        both on a GPU, by the same rule. Nothing leaves it within a step, or within a step of the flow, unless batches
        or a loss of your own are made on the host.
    dtype : {"float32", "float64"}
        Precision of the initial network; that of ``net`` if one is given.
    kappa, paired
        Scale of the initial first layer, and whether neurons come in pairs that cancel (see `TwoLayerReLU.init`);
        unused with ``net``.
    threads : int, optional
        Number of threads; the results do not depend on it.
    progress : bool or callable
        True shows a progress bar on a terminal; a callable is called with (step, steps).

    Returns
    -------
    Run
        ``.steps`` and one array of the same length per metric, ``.net`` (trained), ``.provenance``.  If the data are
        arrays on a GPU, training runs there and the network is given back there; ``net`` must live there too.

    Raises
    ------
    DivergenceError
        At the first non-finite or exploding loss; carries the log so far and the largest stable step.
    ToleranceError
        If a flow takes too many or too small steps for its tolerance; carries the log and the network so far.
    ValueError, TypeError
        If an argument is out of range, not finite, or shapes disagree.
    MemoryLimitError
        If the state does not fit in memory, that of the GPU with "cuda"; the message says how much is needed.
    DeviceError
        If "cuda" is asked for and no GPU can be used; the message says what is missing.

    Notes
    -----
    Cost of a step: ``n^2 m / 8`` additions (dual), or ``2 n d m`` flops of BLAS and ``n d m / 8`` additions (primal);
    "gram" and "lambda_min" add ``n^2 m / 2`` bit products and a few products with H, diagnostics about 2 % of a dual
    step at n = d = 1000, m = 8000.  Memory: 12 n m bytes (dual) or 4 d m (primal) beside the weights, in float32;
    diagnostics n m / 8.  A step of the flow costs four of these and an average and needs one more copy of the state
    (`fastntk.training.flow`); where it pushes a neuron onto its kink from both sides, the neuron stays there and
    alternates between the two patterns.  Outputs are accumulated in float64 over neurons, relative error near 1e-6 in
    float32.  Source: Du et al. (arXiv 1810.02054), Sections 3 to 5.

    Examples
    --------
    >>> import fastntk
    >>> X, y = fastntk.datasets.sphere(20, 10, seed=0)
    >>> run = fastntk.train(X, y, width=500, steps=50, lr=0.5)
    >>> bool(run.loss[-1] < 0.1 * run.loss[0])
    True
    """
    checks.choice(layers, "layers", LAYERS)
    given, there = (X, y), together(**{"X": X, "y": y, "net.W": getattr(net, "W", None)})
    if there:
        engine = engine_for(engine, X=X)
        X, y = on_host(X), on_host(y)
        net = net and TwoLayerReLU(on_host(net.W), on_host(net.a))
    X, y = host_array(X, "X", 2), host_array(y, "y", 1)  # the record describes the data as they were given
    samples = checks.matrix(X, "X")
    labels = checks.vector(y, "y", len(samples), "X", np.float64)
    descent = Descent(
        checks.integer(steps, "steps", 0),
        checks.positive(lr, "lr"),
        checks.integer(every, "every", 1),
        optimizers.resolve(optimizer),
        checked_batch_size(batch_size, len(samples)),
        0 if batch_size is None else checks.integer(seed, "seed", 0),
    )
    objective = losses.resolve(loss)
    kept = chosen_snapshots(snapshots, descent.steps)
    schedule = scheduled(
        dynamics, t_final, times, tolerance,
        steps=steps, lr=lr, optimizer=descent.optimizer.name, batch_size=batch_size, every=every, snapshots=kept,
    )  # fmt: skip
    names = chosen(metrics)
    checks.choice(engine, "engine", CHOICES)
    start, own = initial_network(samples, width, net, seed, dtype, kappa, paired)
    _require_range(samples, labels, start.W.dtype)
    objective.check(labels)
    motion = Motion(layers, descent.optimizer, schedule is not None)
    choice = choose(len(samples), samples.shape[1], start.width, start.W.dtype, engine, motion)
    kind = engine_of(choice)
    began = time.perf_counter()
    trained = solution = exploded = None
    with CompileClock.running() as clock:
        kernel = tangent_kernel(samples, start, layers, kind.on_gpu)
        history = PatternHistory(len(samples), start.width) if diagnostics else None
        # Dense linear algebra, before BLAS is limited to one thread.
        recorder = Recorder(kernel, len(samples), names, history, kept)
        goal = descent.steps if schedule is None else len(schedule.times) - 1
        with kernel_threads(threads) as used, reporter(progress, goal, f"width {start.width}") as report:
            moving = kind(samples, start, motion)
            if schedule is None:
                exploded = descend(moving, labels, objective, descent, recorder, report)
                how = descent.record(descent.steps if exploded is None else exploded.step)
            else:
                solution = integrate(
                    moving, labels, objective, schedule,
                    lambda step, loss: recorder.record(step, loss, moving), report,
                )  # fmt: skip
                how = {
                    "lr": None, "t_final": schedule.end, "tolerance": tolerance, "solver": solution.record()
                }  # fmt: skip
            if exploded is None:
                weights = start.W if own else np.empty_like(start.W)
                moving.write_weights(weights)
                trained = _network(weights, moving.a, library_of(given[0]) if there else None)
    record = provenance.collect(
        X, y, width=start.width, seed=seed if net is None or batch_size is not None else None,
        dynamics=dynamics, **how, metrics=list(names), layers=layers, loss=objective.record(),
        dtype=start.W.dtype.name, threads=used,
        kappa=None if net is not None else kappa, paired=None if net is not None else paired,
        engine={"name": choice.name, "reason": choice.reason}, limit=recorder.limit,
        seconds=time.perf_counter() - began - clock.seconds, compile_seconds=clock.seconds,
    )  # fmt: skip
    series = recorder.arrays()
    reached = None if schedule is None else schedule.times[: len(series["steps"])]
    data: tuple[Any, Any] = given if there else (samples, labels)
    run = Run(net=trained, X=data[0], y=data[1], times=reached, provenance=record, **series)
    if exploded is not None:
        raise divergence(run, exploded, objective, descent, float(lambda_max(kernel.initial(moving))))
    if solution is not None and solution.failure is not None:
        raise ToleranceError(
            f"{solution.failure}: tolerance={tolerance:g} was not reached", run, solution.time
        )
    return run


def _require_range(X: np.ndarray, y: np.ndarray, dtype: np.dtype) -> None:
    """ValueError if labels, or the squares that the engines work with, overflow in the precision of the network."""
    checks.representable(y, "y", dtype)
    with np.errstate(over="ignore"):
        squares = np.einsum("ij,ij->i", X, X, dtype=np.float64)
    checks.representable(squares, "the squared norms of the rows of X", dtype)


def _network(W: np.ndarray, a: np.ndarray, library: str | None) -> TwoLayerReLU:
    """The trained network, of arrays on the GPU if a library is given."""
    if library is None:
        return TwoLayerReLU(W, a)
    return TwoLayerReLU(*(give_back(upload(part), library) for part in (W, a)))
