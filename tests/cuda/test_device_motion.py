"""Momentum, both layers and flow on a GPU: the runs of the CPU and of the reference, whatever moves and however."""

import numpy as np
import pytest

import fastntk
from fastntk import reference
from fastntk.compilation import jit_cuda
from fastntk.cuda.engines import flow as cuda_flow
from fastntk.cuda.engines.dual import CudaDualEngine
from fastntk.cuda.engines.primal import CudaPrimalEngine
from fastntk.engines import choice, step_sizes
from fastntk.engines.motion import Motion
from fastntk.kernels.cuda.vendor import address
from fastntk.losses import Squared
from fastntk.model.network import TwoLayerReLU
from fastntk.optimizers import HeavyBall, Nesterov

ENGINES = {"dual": CudaDualEngine, "primal": CudaPrimalEngine}
LAYERS = ("first", "second", "both")
DESCENTS = [(layers, optimizer) for layers in LAYERS for optimizer in ("gd", "heavy_ball", "nesterov")][1:]
MOTIONS = [
    *(Motion(layers, optimizer) for layers in LAYERS for optimizer in (HeavyBall(0.0), Nesterov(0.9))),
    *(Motion(layers, flow=True) for layers in LAYERS),
]

pytestmark = pytest.mark.usefixtures("quick_products")

# Of simulated kernels: others, like all work on the host, leave it to the results to show it.
OVERFLOWS = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")


@pytest.fixture(params=["dual", "primal"])
def kind(request, monkeypatch):
    """The engine that is taken, in the way that its name is asked for on the CPU."""
    monkeypatch.setattr(choice, "TABLES_PER_BLAS", 9.0 if request.param == "dual" else 0.0)
    return request.param


@pytest.fixture
def data():
    """Samples, labels and a network with second weights of several sizes."""

    def make(m=60, dtype="float64", d=3):
        X, y = fastntk.datasets.sphere(7, d, seed=3)
        rng = np.random.default_rng(5)
        a = rng.uniform(0.5, 1.5, m) * rng.choice([-1.0, 1.0], m)
        return X, y, TwoLayerReLU(rng.standard_normal((m, d)).astype(dtype), a.astype(dtype))

    return make


def check_equal(found, expected, bound):
    """Everything that is logged, and the network."""
    assert found.series.keys() == expected.series.keys()
    assert np.array_equal(found.steps, expected.steps)
    for name in found.series.keys() - {"lambda_min_lower", "lambda_min_residual"}:
        assert np.allclose(found.series[name], expected.series[name], rtol=bound, atol=bound), name
    assert found.net.W.dtype == expected.net.W.dtype
    assert np.abs(found.net.W - expected.net.W).max() < bound
    assert np.abs(found.net.a - expected.net.a).max() < bound


def both(kind, X, y, **settings):
    """A run on the GPU and one on the CPU."""
    runs = [fastntk.train(X, y, engine=engine, **settings) for engine in ("cuda", kind)]
    assert runs[0].provenance["engine"]["name"] == f"cuda-{kind}"
    return runs


@pytest.mark.parametrize(("layers", "optimizer"), DESCENTS)
def test_descent_is_that_of_the_cpu_and_of_the_reference(data, kind, layers, optimizer):
    """Large steps, so that patterns change; those that are not logged are as exact."""
    X, y, net = data()
    lr = 0.3 if layers == "both" else 1.0
    found, expected = both(kind, X, y, net=net, steps=2, lr=lr, every=2, layers=layers, optimizer=optimizer)
    check_equal(found, expected, 1e-12)
    assert (found.flips[-1] > 0) == (layers != "second")
    log = reference.train(X, y, net.W, net.a, steps=2, lr=lr, layers=layers, optimizer=optimizer)
    for name, series in found.series.items():
        assert np.allclose(series, log[name][found.steps], rtol=1e-11, atol=1e-11), name


def test_metrics_of_the_second_layer(data, kind):
    """H of features that stay, and its eigenvalues."""
    X, y, net = data()
    found, expected = both(kind, X, y, net=net, steps=2, lr=0.3, layers="second", metrics="all")
    check_equal(found, expected, 1e-11)
    assert not found.series["gram_change"].any()


def test_float32(data, kind):
    X, y, net = data(dtype="float32")
    check_equal(*both(kind, X, y, net=net, steps=3, lr=0.3, layers="both", optimizer="nesterov"), 2e-5)


def test_several_blocks(data, kind):
    """Tiles of samples and blocks of neurons that do not come out even; all metrics of both layers, as they move."""
    X, y = fastntk.datasets.sphere(17, 3, seed=3)
    _, _, net = data(130)
    settings = {"layers": "both", "optimizer": "heavy_ball", "metrics": "all"}
    found, expected = both(kind, X, y, net=net, steps=2, lr=0.1, **settings)
    assert found.flips[-1] > 0
    assert found.series["gram_change"][-1] > 0
    check_equal(found, expected, 1e-12)


class Doubled(Squared):
    """A loss that the kernels do not know: it is evaluated on the host."""

    def evaluate(self, u, y):
        value, e = super().evaluate(u, y)
        return 2.0 * value, 2.0 * e


def test_batches_are_drawn_on_the_host(data, kind):
    X, y, net = data(9)
    settings = {"layers": "both", "optimizer": "heavy_ball", "batch_size": 3, "loss": "huber"}
    check_equal(*both(kind, X, y, net=net, steps=2, lr=0.3, **settings), 1e-12)


def test_diagnostics_and_snapshots(data, kind):
    X, y, net = data(20)
    settings = {"layers": "both", "optimizer": "nesterov", "diagnostics": True, "snapshots": [1]}
    found, expected = both(kind, X, y, net=net, steps=2, lr=0.3, **settings)
    arrays = [run.diagnostics.arrays() for run in (found, expected)]
    assert arrays[0]["net"][-1] > 0
    for name in arrays[0]:
        assert np.allclose(arrays[0][name], arrays[1][name], rtol=1e-12, atol=1e-14), name
    assert np.allclose(found.snapshots[1], expected.snapshots[1], rtol=1e-12, atol=1e-14)


@OVERFLOWS
def test_divergence(data, kind):
    X, y, net = data(9)
    errors, settings = [], {"steps": 5, "lr": 30.0, "layers": "both", "optimizer": "heavy_ball"}
    for engine in ("cuda", kind):
        with pytest.raises(fastntk.DivergenceError) as caught:
            fastntk.train(X, y, net=net, engine=engine, **settings)
        errors.append(caught.value)
    assert errors[0].step == errors[1].step
    assert np.allclose(errors[0].run.loss, errors[1].run.loss, rtol=1e-9)
    assert errors[0].largest_stable_step == pytest.approx(errors[1].largest_stable_step)


def check_equal_flows(found, expected):
    check_equal(found, expected, 1e-10)
    assert np.array_equal(found.times, expected.times)
    solvers = [run.provenance["solver"] for run in (found, expected)]
    estimates = [solver.pop("error_estimate") for solver in solvers]
    assert estimates[0] == pytest.approx(estimates[1], rel=1e-6)
    assert solvers[0] == solvers[1]


@pytest.mark.parametrize(("layers", "t_final"), [("first", 1.0), ("second", 1.0), ("both", 0.5)])
def test_flow_is_that_of_the_cpu(data, kind, layers, t_final):
    """The first step is too long and undone, two more are accepted."""
    X, y, net = data()
    settings = {"dynamics": "flow", "t_final": t_final, "times": [t_final], "tolerance": 0.05}
    found, expected = both(kind, X, y, net=net, layers=layers, **settings)
    solver = found.provenance["solver"]
    assert (solver["accepted"], solver["rejected"]) == (2, 1)
    assert (found.flips[-1] > 0) == (layers != "second")
    check_equal_flows(found, expected)


@pytest.mark.parametrize("loss", [Doubled(), "logistic"], ids=["own loss", "logistic"])
def test_flows_of_other_losses(data, kind, loss):
    X, y, net = data(9)
    settings = {"dynamics": "flow", "t_final": 0.1, "times": [0.1], "tolerance": 0.1, "loss": loss}
    check_equal_flows(*both(kind, X, np.sign(y), net=net, **settings))


def test_a_tolerance_that_is_not_reached(data, kind, monkeypatch):
    monkeypatch.setattr(step_sizes, "MOST_STEPS", 2)
    X, y, net = data(9)
    settings = {"dynamics": "flow", "t_final": 0.5, "times": [0.5], "tolerance": 0.05, "layers": "both"}
    errors = []
    for engine in ("cuda", kind):
        with pytest.raises(fastntk.ToleranceError, match="after 1 accepted and 1 rejected steps") as caught:
            fastntk.train(X, y, net=net, engine=engine, **settings)
        errors.append(caught.value)
    assert errors[0].time == errors[1].time > 0.0
    check_equal_flows(*(error.run for error in errors))


def test_nothing_is_transferred_within_a_step(data, kind, monkeypatch):
    """But for the three numbers that judge a step of the flow."""
    X, y, net = data(9)
    moving = ENGINES[kind](X, net, Motion("both", Nesterov()))
    flowing = ENGINES[kind](X, net, Motion("both", flow=True))
    stages = cuda_flow.GpuStages(flowing, y, Squared())
    stages.measure()
    transfers, kind_of_array = [], type(moving.a_on_gpu())
    copy_to_host, to_device = kind_of_array.copy_to_host, jit_cuda.cuda.to_device
    monkeypatch.setattr(
        kind_of_array,
        "copy_to_host",
        lambda self, *rest: transfers.append(self.size) or copy_to_host(self, *rest),
    )
    monkeypatch.setattr(jit_cuda.cuda, "to_device", lambda value: transfers.append(value) or to_device(value))
    moving.advance(0.1)
    assert transfers == []
    error = stages.attempt(0.1)
    assert transfers == [3]
    stages.accept(0.1)
    stages.attempt(0.2)
    stages.undo()
    assert transfers == [3, 3]
    assert error > 0.0


@OVERFLOWS
@pytest.mark.parametrize("layers", LAYERS)
def test_steps_that_overflow_leave_no_trace(data, kind, layers):
    """After a first step, whose pattern is not the initial one."""
    X, y, net = data(9)
    moving, fresh = (ENGINES[kind](X, net, Motion(layers, flow=True)) for _ in range(2))
    for each in (moving, fresh):
        each.step(y, 0.5)
    moving.keep()
    moving.stage(np.full(7, 1e308), 1e150)
    moving.blend(0.3)
    moving.stage(np.full(7, 1e308), 1e150)
    assert not np.isfinite(moving.u).all()
    moving.undo()
    for look in (
        lambda each: each.u,
        lambda each: each.drifts(),
        lambda each: each.a,
        lambda each: each.drift_a(),
        lambda each: each.masks.bits.copy_to_host(),
        lambda each: each.weights_on_gpu().copy_to_host(),
        lambda each: each.step(y, 0.3) or each.u,
    ):
        assert np.array_equal(look(moving), look(fresh))


def device_arrays_of(value):
    """Arrays on the device that an object holds, by address: views are no memory of their own."""
    if getattr(value, "__cuda_ndarray__", False) is True:
        return {value.ctypes.data if jit_cuda.simulated() else address(value): value}
    parts = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    if type(value).__module__.startswith("fastntk."):
        parts = vars(value).values()
    return {key: array for part in parts for key, array in device_arrays_of(part).items()}


@pytest.mark.parametrize("motion", MOTIONS, ids=str)
def test_where_the_state_is_found(data, kind, motion):
    dtype = "float64" if motion.momentum else "float32"
    X, y, net = data(9, dtype)
    moving = ENGINES[kind](X, net, motion)
    moving.step(y, 0.5)
    W = np.empty_like(net.W)
    moving.write_weights(W)
    there, a_on_gpu = moving.weights_on_gpu(), moving.a_on_gpu()
    assert there.dtype == a_on_gpu.dtype == dtype
    assert np.abs(there.copy_to_host() - W).max() <= np.finfo(dtype).eps
    assert np.array_equal(a_on_gpu.copy_to_host(), moving.a)
    assert (np.abs(W - net.W).max() > 0.0) == (motion.layers != "second")
    assert (np.abs(moving.a - net.a).max() > 0.0) == (motion.layers != "first")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_kept_after_a_failure(data, kind, error, monkeypatch):
    """In the middle of a Runge-Kutta step, which has two states."""
    alive = []

    def fail(self, share):
        alive.append(self)
        raise error("in the middle of a step")

    monkeypatch.setattr(ENGINES[kind], "_blend", fail)
    X, y, net = data(9)
    with pytest.raises(error, match="in the middle of a step") as caught:
        fastntk.train(X, y, net=net, dynamics="flow", t_final=0.1, layers="both", engine="cuda")
    assert not vars(alive.pop())
    held = [value for entry in caught.traceback for value in entry.frame.f_locals.values()]
    assert not any(device_arrays_of(value) for value in held)


@pytest.mark.gpu
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("how", ["nesterov", "flow"])
def test_wide_runs(kind, layers, how):
    """At a size where every kernel fills the device."""
    X, y = fastntk.datasets.sphere(700, 300, seed=3)
    settings = {"optimizer": how, "steps": 10, "lr": 0.1 if layers == "first" else 0.005}
    if how == "flow":
        settings = {"dynamics": "flow", "t_final": 1.0, "times": [0.5], "tolerance": 0.01}
    found, expected = both(kind, X, y, width=20_000, layers=layers, **settings)
    for name in found.series.keys() - {"flips"}:
        assert np.allclose(found.series[name], expected.series[name], rtol=1e-3, atol=1e-5), name
    # Rounding may decide a pattern where a pre-activation passes near zero.
    assert np.abs(found.flips - expected.flips).max() < 1e-5
