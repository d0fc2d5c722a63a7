"""Training on a GPU: the runs of the CPU, logged without transfers, refused and failing by name."""

import numpy as np
import pytest

import fastntk
from fastntk.device import driver
from fastntk.device.driver import guard
from fastntk.engines.choice import choose, engine_of
from fastntk.losses import Squared
from fastntk.model.network import TwoLayerReLU

pytestmark = pytest.mark.usefixtures("quick_products")

KINDS = {"dual": (11, 4), "primal": (11, 2)}  # n and d on either side of n = 5 d


@pytest.fixture
def data():
    def make(kind, n=None):
        n, d = KINDS[kind] if n is None else (n, KINDS[kind][1])
        return fastntk.datasets.sphere(n, d, seed=3)

    return make


@pytest.mark.parametrize(
    ("kind", "dtype", "bound"),
    [("dual", "float64", 1e-12), ("primal", "float64", 1e-12), ("primal", "float32", 2e-5)],
)
def test_runs_are_those_of_the_cpu(data, kind, dtype, bound, monkeypatch):
    """All metrics; a large step, so that patterns change and come back into the weights."""
    from fastntk.cuda.engines import descent as training

    X, y = data(kind)
    settings = {"width": 70, "steps": 3, "lr": 2.0, "dtype": dtype, "every": 2 if kind == "dual" else 1}
    settings["metrics"] = "all" if (kind, dtype) == ("dual", "float64") else ("loss", "flips", "drift")
    # Several looks at the log; with all metrics one before each logged step, whatever has room.
    monkeypatch.setattr(training, "BATCH", 64 if settings["metrics"] == "all" else 2)
    run = fastntk.train(X, y, engine="cuda", **settings)
    expected = fastntk.train(X, y, engine=kind, **settings)
    assert run.provenance["engine"]["name"] == f"cuda-{kind}"
    assert run.steps.tolist() == ([0, 2, 3] if kind == "dual" else [0, 1, 2, 3])
    assert expected.flips[-1] > 0
    assert np.array_equal(run.flips, expected.flips)
    assert run.series.keys() == expected.series.keys()
    for name in run.series.keys() - {"lambda_min_lower", "lambda_min_residual"}:
        assert np.allclose(run.series[name], expected.series[name], rtol=bound, atol=bound), name
    assert isinstance(run.net.W, np.ndarray)
    assert run.net.W.dtype == dtype
    assert np.abs(run.net.W - expected.net.W).max() < bound
    if dtype == "float64":
        net = TwoLayerReLU.init(X.shape[1], 70, dtype=dtype)
        W = net.W
        for _ in range(3):
            W, _ = fastntk.reference.step(X, y, W, net.a, lr=2.0)
        assert np.abs(run.net.W - W).max() < bound


@pytest.mark.parametrize("loss", ["logistic", "huber"])
def test_losses(data, loss):
    X, y = data("dual", 5)
    y = np.sign(y)
    settings = {"width": 9, "steps": 1, "lr": 1.0, "dtype": "float64", "loss": loss, "metrics": "loss"}
    runs = [fastntk.train(X, y, engine=engine, **settings) for engine in ("cuda", "dual")]
    assert np.allclose(runs[0].loss, runs[1].loss, rtol=1e-13, atol=0)
    assert np.abs(runs[0].net.W - runs[1].net.W).max() < 1e-13


class Doubled(Squared):
    """A loss that the kernels do not know."""

    def evaluate(self, u, y):
        value, e = super().evaluate(u, y)
        return 2.0 * value, 2.0 * e


@pytest.mark.parametrize(
    ("kind", "setting"),
    [("dual", {"batch_size": 2}), ("primal", {"loss": Doubled()})],
    ids=["batches", "own loss"],
)
def test_driven_from_the_host(data, setting, kind):
    """What the host alone knows costs a transfer of n numbers a step, and gives the same run."""
    X, y = data(kind)
    settings = {"width": 9, "steps": 1, "lr": 0.5, "dtype": "float64", **setting}
    runs = [fastntk.train(X, y, engine=engine, **settings) for engine in ("cuda", kind)]
    assert np.allclose(runs[0].loss, runs[1].loss, rtol=1e-13, atol=0)
    assert np.array_equal(runs[0].flips, runs[1].flips)
    assert np.allclose(runs[0].drift, runs[1].drift, rtol=1e-12, atol=0)
    assert np.abs(runs[0].net.W - runs[1].net.W).max() < 1e-13


def test_any_second_layer(data):
    X, y = data("dual", 5)
    net = TwoLayerReLU(np.random.default_rng(5).standard_normal((9, 4)), np.arange(-4.0, 5.0))
    settings = {"net": net, "steps": 0, "metrics": "all"}
    runs = [fastntk.train(X, y, engine=engine, **settings) for engine in ("cuda", "dual")]
    for name in runs[0].series.keys() - {"lambda_min_lower", "lambda_min_residual"}:
        assert np.allclose(runs[0].series[name], runs[1].series[name], rtol=1e-12, atol=1e-13), name


def test_divergence_is_found_at_its_step(data, monkeypatch):
    from fastntk.cuda.engines import descent as training

    monkeypatch.setattr(training, "BATCH", 2)
    X, y = data("primal", 3)
    settings = {"width": 9, "steps": 9, "lr": 300.0, "every": 2}
    errors = []
    for engine in ("cuda", "dual"):
        with pytest.raises(fastntk.DivergenceError) as caught:
            fastntk.train(X, y, engine=engine, **settings)
        errors.append(caught.value)
    assert errors[0].step == errors[1].step
    assert errors[0].run.steps.tolist() == errors[1].run.steps.tolist()
    assert np.allclose(errors[0].run.loss, errors[1].run.loss, rtol=1e-4)
    assert np.array_equal(errors[0].run.flips, errors[1].run.flips, equal_nan=True)
    assert errors[0].largest_stable_step == pytest.approx(errors[1].largest_stable_step)


def test_data_on_the_gpu(data, there, tmp_path):
    """Trained there, given back there, saved like any other."""
    X, y = data("dual", 5)
    run = fastntk.train(there(X), there(y), width=9, steps=1)
    expected = fastntk.train(X, y, width=9, steps=1, engine="cuda")
    assert run.provenance["engine"]["name"] == "cuda-dual"
    assert run.provenance["data"] == expected.provenance["data"]
    assert np.array_equal(run.loss, expected.loss)
    assert np.array_equal(run.net.W.copy_to_host(), expected.net.W)
    assert np.allclose(run.gram().copy_to_host(), expected.gram(), rtol=1e-14, atol=1e-16)
    again = fastntk.train(there(X), there(y), net=run.net, steps=0, engine="cuda")
    assert np.array_equal(again.net.W.copy_to_host(), expected.net.W)
    loaded = fastntk.load(run.save(tmp_path / "run.npz"))
    assert np.array_equal(loaded.net.W, expected.net.W)
    assert np.array_equal(loaded.X, X)
    with pytest.raises(ValueError, match=r"^engine must be 'auto' or 'cuda' for data on a GPU, got 'dual'$"):
        fastntk.train(there(X), there(y), width=9, engine="dual")


def test_choice(monkeypatch):
    """The rule of the CPU with the memory of the GPU."""
    assert choose(10, 2, 50, engine="cuda").name == "cuda-dual"
    assert choose(11, 2, 50, engine="cuda").name == "cuda-primal"
    reason = choose(10, 2, 50, engine="cuda").reason
    assert reason.endswith("n = 10 <= 5 d = 10: cuda-dual does less work a step")
    choice = choose(1000, 250, 10**6, engine="cuda")
    dual, primal = (engine_of(choose(n, 2, 50, engine="cuda")) for n in (10, 11))
    needed = [kind.bytes_needed(1000, 250, 10**6, 4) for kind in (dual, primal)]
    assert needed[0] > needed[1]
    monkeypatch.setattr(driver, "available_bytes", lambda: float(needed[0] - 1))
    choice = choose(1000, 250, 10**6, engine="cuda")
    assert choice.name == "cuda-primal"
    assert "cuda-dual would be faster" in choice.reason


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_refused_with_its_size(data, kind, monkeypatch):
    X, y = data(kind)
    monkeypatch.setattr(driver, "available_bytes", lambda: 1000.0)
    with pytest.raises(
        fastntk.MemoryLimitError, match=rf"^the {kind} engine for n=11 .* needs \d+ bytes .* only 1000 \("
    ):
        fastntk.train(X, y, width=9, engine="cuda")


def test_nothing_is_kept_after_a_failure(data, monkeypatch):
    """Neither by the engine nor by the frames of the traceback, however long the error lives."""
    from fastntk.cuda.engines import dual
    from fastntk.engines import choice

    alive = []

    def fail(*arguments, **options):
        raise RuntimeError("in the middle of a step")

    class Watched(dual.CudaDualEngine):
        def _start(self):
            super()._start()
            alive.append(self)

    monkeypatch.setattr(choice, "GPU_ENGINES", [Watched, choice.gpu_engines()[1]])
    monkeypatch.setattr(dual, "record_flips", fail)
    X, y = data("dual", 5)
    with pytest.raises(RuntimeError, match="in the middle of a step") as caught:
        fastntk.train(X, y, width=9, steps=1, engine="cuda")
    assert not vars(alive.pop())
    frames = [entry.frame for entry in caught.traceback]
    assert not any("_Z0" in repr(frame.f_locals) for frame in frames)
    held = [value for frame in frames for value in frame.f_locals.values()]
    assert not [value for value in held if getattr(value, "__cuda_ndarray__", False) is True]


def test_interrupted(data, monkeypatch):
    from fastntk.cuda.engines import dual

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(dual, "dual_step", interrupt)
    X, y = data("dual", 5)
    with pytest.raises(KeyboardInterrupt):
        fastntk.train(X, y, width=9, steps=1, engine="cuda")


def test_errors_of_the_device_are_typed():
    class CudaAPIError(Exception):
        __module__ = "numba.cuda.cudadrv.driver"

    for error, kind, message in (
        (
            CudaAPIError("CUDA_ERROR_OUT_OF_MEMORY"),
            fastntk.MemoryLimitError,
            "^the GPU is out of memory: CUDA_ERR",
        ),
        (CudaAPIError("ILLEGAL_ADDRESS"), fastntk.DeviceError, "^the GPU failed: ILLEGAL_ADDRESS$"),
        (KeyError("x"), KeyError, "x"),
    ):
        with pytest.raises(kind, match=message), guard():
            raise error


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_wide_runs(kind):
    """At a size where every kernel fills the device."""
    n, d = {"dual": (500, 300), "primal": (700, 100)}[kind]
    X, y = fastntk.datasets.sphere(n, d, seed=3)
    settings = {"width": 20_000, "steps": 10, "lr": 0.5, "metrics": "all"}
    runs = [fastntk.train(X, y, engine=engine, **settings) for engine in ("cuda", kind)]
    for name in runs[0].series.keys() - {"lambda_min_lower", "lambda_min_residual", "flips"}:
        assert np.allclose(runs[0].series[name], runs[1].series[name], rtol=1e-4, atol=1e-6), name
    # Rounding may decide a pattern where a pre-activation passes near zero.
    assert np.abs(runs[0].flips - runs[1].flips).max() < 1e-5


@pytest.mark.gpu
def test_more_than_the_device_holds(there):
    points = there(np.random.default_rng(0).standard_normal((400_000, 2)))
    with pytest.raises(fastntk.MemoryLimitError, match="of the GPU's memory, but only"):
        fastntk.limit_gram(points)
