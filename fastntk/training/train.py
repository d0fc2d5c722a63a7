"""Gradient descent and gradient flow, with the quantities of the theory logged along the way."""

from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from fastntk.base.errors import ToleranceError
from fastntk.base.progress import Progress
from fastntk.distributed import Workers
from fastntk.engines.step_sizes import Solution
from fastntk.model.deep import DeepReLU
from fastntk.model.network import TwoLayerReLU
from fastntk.results import Run, provenance
from fastntk.training.options import spelled_out
from fastntk.training.outcome import Explosion, Outcome, divergence
from fastntk.training.problem import Problem, on_workers, prepare
from fastntk.training.run import run
from fastntk.training.settings import Options, Settings

_IN_RESULT = ("times", "snapshots", "diagnostics")  # settings that show in what a run carries


@spelled_out(Settings, Options)
def train(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    net: TwoLayerReLU | DeepReLU | None = None,
    threads: int | None = None,
    progress: Progress = False,
    client: Any = None,
    **options: Unpack[Options],
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
    width : int or several, optional
        Number of neurons m of each hidden layer, or one for each; not given with ``net``.
    depth : int
        Number H of hidden layers.  The ``f = a . x^(H)`` of `DeepReLU` takes the place of two layers where it is above
        1 or the scale is not 1; such networks know descent, on the host, and neither kappa nor pairs.
    scale : float
        ``x^(h) = (scale / sqrt(m_h)) relu(W^(h) x^(h-1))``; sqrt(2) keeps the length of the activations.
    output : {"signs", "gaussian"}
        Of several hidden layers: ``a_r`` is -1 or +1, or N(0, 1) (see `DeepReLU.init`).
    steps : int
        Number of gradient steps, at least 0.
    lr : float
        Step size, stable below ``2 / lambda_max(H)``; for other losses and momentum see `fastntk.losses` and
        `fastntk.optimizers`.  A little above, the loss of a finite network grows at first and
        may fall again; only a loss that explodes is an error.
    seed : int
        Seed of the initial network (see `TwoLayerReLU.init`) and of the batches; with ``net`` of the batches only.
    net : TwoLayerReLU or DeepReLU, optional
        Network to start from; it is not changed, nor does that of the run share its memory.
    layers : {"hidden", "output", "all"} or numbers
        Which layers move: the hidden ones, the output's weights a, all, or some of the numbers from 1 to ``depth + 1``,
        which is a.  With one hidden layer also "first", "second" and "both"; "output" then is a linear model of random
        features.  "drift" also logs ``drift_a`` where a moves.
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
    metrics : "all" or iterable of {"loss", "flips", "drift", "drift_norm", "gram", "lambda_min"}
        What is logged.  "gram" is ``|H(k) - H(0)|_2`` and ``|H(k) - H_inf|_2``; "lambda_min" is that of ``H(k)``,
        the tangent kernel of the layers that move.  With several hidden layers all are those of every layer, and
        "drift_norm" is ``|W^(h)(k) - W^(h)(0)|_2 / sqrt(m_h)``, measured from below.  The loss is always logged.
    every : int
        Log every so many steps; the first and the last step are always logged.
    diagnostics : bool
        Also watch which samples and neurons flip, when first and how often, and quantiles of the drift, at the logged
        steps: ``run.diagnostics``, one of each hidden layer where there are several.
    snapshots : iterable of int
        Steps at which H is kept, 8 n^2 bytes each: ``run.snapshots``.
    engine : {"auto", "dual", "primal", "path", "cuda"}
        "dual" moves the pre-activations, "primal" the weights, "path" makes all steps of full-batch descent or
        flow of the first layer at once and never holds weights that are drawn: the same numbers up to rounding, of a
        flow up to the tolerance.
        "auto" takes the one that is expected to be faster and fits in memory (`fastntk.engines.choice`), "cuda" one of
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
    client : distributed.Client, optional
        Workers of a Dask cluster follow the neurons of one run, which the path engine then makes: the same numbers to
        the bit as in this process, whatever the number of workers.  Seeds and ranges of neurons travel, not weights; up
        to 131072 neurons, and what the path engine gives up, are left to this process.

    Returns
    -------
    Run
        ``.steps`` and one array of the same length per metric, ``.net`` (trained), ``.provenance``.  If the data are
        arrays on a GPU, training runs there and the network is given back there; ``net`` must live there too.

    Raises
    ------
    DivergenceError
        At the first non-finite or exploding loss; carries the log so far and the largest stable step.
    ClusterError
        If the cluster of `client` is gone, has no worker, another version of fastntk, or loses worker after worker.
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
    (`fastntk.engines.step_sizes`); where it pushes a neuron onto its kink from both sides, the neuron stays there and
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
    if isinstance(net, DeepReLU):
        own: Options = {"depth": net.depth, "scale": net.scale}
        options = own | options
    settings, workers = Settings.of(train, options), None
    if client is not None:
        workers, settings = Workers.of(client), on_workers(settings, net)
    problem = prepare(X, y, net, settings)
    found = record(problem, run(problem, threads, progress, workers))
    if workers is not None:
        found.provenance["cluster"] = workers.record()
    return found


def record(problem: Problem, outcome: Outcome) -> Run:
    """The run, or the error that carries it."""
    samples, settings, start, end = problem.samples, problem.settings, problem.start, outcome.end
    asked = {name: value for name, value in settings.record().items() if name not in _IN_RESULT}
    made = {"width": start.width, "seed": settings.seed, "dynamics": settings.dynamics, "lr": None, **asked}
    if isinstance(start, DeepReLU):
        made["widths"] = list(start.widths)
    if not problem.drawn:
        made |= {"kappa": None, "paired": None, "output": None}
        if settings.batch_size is None:
            made["seed"] = None
    made |= {
        "dtype": start.a.dtype.name,
        "engine": outcome.engine,
        "limit": outcome.limit, "threads": outcome.threads,
        "seconds": outcome.seconds, "compile_seconds": outcome.compile_seconds, "data": samples.description,
    }  # fmt: skip
    reached = None if settings.times is None else np.array(settings.times[: len(outcome.series["steps"])])
    X, y = samples.given
    found = Run(
        net=outcome.net, X=X, y=y, times=reached, provenance=provenance.collect(**made, **end.record()),
        **outcome.series,
    )  # fmt: skip
    if end.overflow:
        raise samples.overflow("the loss of the initial network", np.dtype(np.float64))
    if isinstance(end, Explosion):
        assert outcome.largest is not None
        error = divergence(found, end, settings, outcome.largest)
        if not np.isfinite(end.loss) and settings.lr < error.largest_stable_step:
            raise samples.overflow(f"the outputs of step {end.step}", start.a.dtype)
        raise error
    if isinstance(end, Solution) and end.failure is not None:
        raise ToleranceError(
            f"{end.failure}: tolerance={settings.tolerance:g} was not reached", found, end.time
        )
    name = outcome.overflowed()
    if name is not None:
        raise samples.overflow(f"{name} of all steps", start.a.dtype)
    return found
