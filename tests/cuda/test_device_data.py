"""What is built on training, of data on a GPU: trained there, with the numbers of data in host memory."""

import numpy as np
import pytest
from click.testing import CliRunner

import fastntk
from fastntk import TwoLayerReLU
from fastntk.cli import main
from fastntk.compilation.jit_cuda import simulated
from fastntk.cuda import copies
from fastntk.device.masks import DevicePackedMasks
from fastntk.engines.linearised import Linearised
from fastntk.theory import rates
from fastntk.theory.verification import evidence

pytestmark = pytest.mark.usefixtures("quick_products")

WRONG = r"^engine must be 'auto' or 'cuda' for data on a GPU, got 'dual'$"
APART = r"^X and y must live in the same memory, got X on a GPU and y on the CPU"


@pytest.fixture
def data(there):
    """The same data in both memories."""

    def make(n, d):
        X, y = fastntk.datasets.sphere(n, d, seed=3)
        return (X, y), (there(X), there(y))

    return make


def test_sweep(data, tmp_path, monkeypatch):
    """The runs of train, found again by a sweep of the same data in host memory."""
    here, there = data(5, 4)
    settings = {"widths": [4, 8], "steps": 1, "out": tmp_path}
    sweep = fastntk.sweep(*there, **settings)
    assert sweep.settings["engine"] == "cuda"
    assert [row["engine"] for row in sweep.summary()] == ["cuda-dual"] * 2
    assert all(run.net is run.X is run.y is None for run in sweep.runs)
    for run in sweep.runs:
        assert np.array_equal(run.loss, fastntk.train(*here, width=run.width, steps=1, engine="cuda").loss)
    monkeypatch.setattr("fastntk.training.train.run", lambda *a: pytest.fail("something was trained"))
    again = fastntk.sweep(*here, engine="cuda", **settings)
    assert again.settings == sweep.settings
    with pytest.raises(ValueError, match=WRONG):
        fastntk.sweep(*there, widths=[4], engine="dual")
    with pytest.raises(TypeError, match=APART):
        fastntk.sweep(there[0], here[1], widths=[4])


@pytest.mark.parametrize(("m", "dtype", "bound"), [(130, "float64", 1e-12), (9, "float32", 1e-5)])
def test_moves_of_the_linearised_network(rng, m, dtype, bound, monkeypatch):
    """Several blocks of neurons, the last one short; any second layer; coefficients that change many patterns."""
    from fastntk.cuda import linearised

    monkeypatch.setattr(linearised, "_BLOCK_BYTES", 1)
    X = fastntk.datasets.sphere(9, 3, seed=3)[0]
    X[1] = 2.0 * X[0]  # no warning: that is not the business of a prediction
    net = TwoLayerReLU(rng.standard_normal((m, 3)).astype(dtype), np.linspace(-2.0, 1.0, m, dtype=dtype))
    here, there = Linearised(X, net), linearised.GpuLinearised(X, net)
    assert np.allclose(there.u, here.u, rtol=1e-6 if dtype == "float32" else 1e-13, atol=1e-7)
    assert np.allclose(there.gram(), here.gram(), rtol=1e-13, atol=1e-15)
    coefficients = np.vstack([np.zeros(9), 30.0 * rng.standard_normal(9)])
    (drift, flips), (expected, expected_flips) = there.moved(coefficients), here.moved(coefficients)
    assert np.allclose(drift, expected, rtol=bound, atol=0)
    assert expected[0] == drift[0] == expected_flips[0] == flips[0] == 0.0
    assert expected_flips[1] > 0.05
    assert np.array_equal(flips, expected_flips)


@pytest.mark.parametrize(
    "settings", [{"steps": 3, "lr": 1.0}, {"times": [0.0, 2.0], "kernel": "limit"}], ids=["descent", "flow"]
)
def test_predict(data, there, settings):
    here, on_gpu = data(9, 4)
    net = TwoLayerReLU.init(4, 40, dtype="float64")
    expected = fastntk.predict(*here, net=net, **settings)
    moved = TwoLayerReLU(there(net.W), there(net.a))
    for found in (fastntk.predict(*on_gpu, net=moved, **settings),
                  fastntk.predict(*here, net=net, engine="cuda", **settings)):  # fmt: skip
        assert found.settings == expected.settings
        for name in ("loss", "drift", "flips", "eigenvalues"):
            assert np.allclose(getattr(found, name), getattr(expected, name), rtol=1e-11, atol=1e-13), name
    assert expected.flips[-1] > 0.0
    with pytest.raises(TypeError, match=r"^X and net.W must live in the same memory"):
        fastntk.predict(*on_gpu, net=net)
    with pytest.raises(ValueError, match=r"^engine must be one of 'auto', 'cuda', got 'dual'$"):
        fastntk.predict(*here, net=net, engine="dual")


def test_prediction_that_does_not_fit(data, monkeypatch):
    here, _ = data(9, 4)
    monkeypatch.setattr("fastntk.device.driver.available_bytes", lambda: 10.0)
    with pytest.raises(
        fastntk.MemoryLimitError, match=r"^the prediction for n=9 samples and m=40 neurons needs"
    ):
        fastntk.predict(*here, width=40, engine="cuda")


def test_verify(data, monkeypatch):
    """All runs are those of the engine, and the report says which; the simulator would take a minute for them."""
    here, there = data(8, 8)
    engines, train = [], evidence.train
    monkeypatch.setattr(evidence, "_TIMES", 3)  # of the flows: few steps

    def noted(*data, engine, **settings):
        engines.append(engine)
        return train(*data, engine="auto" if simulated() else engine, **settings)

    monkeypatch.setattr(evidence, "train", noted)
    settings = {"widths": [64], "seeds": [0], "draws": 1, "steps": 2}
    result, expected = fastntk.verify(*there, **settings), fastntk.verify(*here, **settings)
    assert set(engines[: len(engines) // 2]) == {"cuda"}
    assert set(engines[len(engines) // 2 :]) == {"auto"}
    assert result.settings == expected.settings | {"engine": "cuda"}
    assert repr(result) == repr(expected)
    with pytest.raises(ValueError, match=WRONG):
        fastntk.verify(*there, engine="dual", **settings)


def test_convergence_rates(data, monkeypatch):
    """The kernel at the start is that of the GPU, and all runs are those of the engine."""
    here, there = data(6, 8)
    engines, train = [], rates.train

    def noted(*data, engine, **settings):
        engines.append(engine)
        return train(*data, engine=engine, **settings)

    monkeypatch.setattr(rates, "train", noted)
    result, expected = (fastntk.convergence_rates(*given, width=40, steps=2) for given in (there, here))
    assert engines == ["cuda"] * 3 + ["auto"] * 3
    assert np.allclose([result.lambda_min, result.lambda_max], [expected.lambda_min, expected.lambda_max])
    for name, curve in expected.linearised.items():
        assert np.allclose(result.linearised[name], curve, rtol=1e-11)
        assert np.allclose(result.runs[name].loss, expected.runs[name].loss, rtol=1e-5)
    with pytest.raises(ValueError, match=WRONG):
        fastntk.convergence_rates(*there, width=40, engine="dual")


def test_patterns_are_watched_where_they_are(data, monkeypatch):
    """Neither a pattern nor its bits come to the host: counts alone do."""
    seen, host_copy = [], copies.host_copy
    monkeypatch.setattr(DevicePackedMasks, "to_host", lambda masks: pytest.fail("a pattern came to the host"))
    monkeypatch.setattr(copies, "host_copy", lambda v: seen.append(tuple(v.shape)) or host_copy(v))
    here, _ = data(5, 4)
    settings = {"width": 70, "steps": 2, "lr": 2.0, "dtype": "float64", "diagnostics": True}
    found, expected = (fastntk.train(*here, engine=e, **settings).diagnostics for e in ("cuda", "dual"))
    assert expected.changed[-1] > 0
    for name, values in expected.arrays().items():
        assert np.allclose(found.arrays()[name], values, rtol=1e-12, atol=1e-14), name
    assert seen == [(5,), (70,)] * 4  # of three steps, and in all
    masks = DevicePackedMasks.from_host(fastntk.activation_masks(here[0], np.ones((3, 4))))
    monkeypatch.setattr("fastntk.device.driver.available_bytes", lambda: 1.0)
    with pytest.raises(fastntk.MemoryLimitError, match=r"^another pattern of n=5 samples needs \d+ bytes"):
        masks.copy()


def test_plan(data):
    """For the host: points on the GPU are no more than their shape."""
    here, there = data(6, 4)
    found, expected = fastntk.plan(there[0], there[0]), fastntk.plan(here[0], here[0])
    assert (found.shape, found.d, found.resident_bytes) == (
        expected.shape,
        expected.d,
        expected.resident_bytes,
    )


def test_labels_and_files(data, tmp_path):
    here, there = data(6, 4)
    for kind in ("sign", "eigenvector"):
        found = fastntk.datasets.labels(there[0], kind)
        assert np.array_equal(found.copy_to_host(), fastntk.datasets.labels(here[0], kind))
    fastntk.datasets.save_csv(tmp_path / "data.csv", *there)
    assert all(map(np.array_equal, fastntk.datasets.load_csv(tmp_path / "data.csv"), here))


def test_estimators_are_of_the_host(data):
    from fastntk.sklearn import NTKClassifier, NTKKernel, NTKRegressor

    here, there = data(6, 4)
    fitted = NTKRegressor().fit(*here)
    for call, name in (
        (lambda: NTKRegressor().fit(*there), "X"),
        (lambda: NTKRegressor().fit(here[0], there[1]), "y"),
        (lambda: NTKClassifier().fit(*there), "X"),
        (lambda: fitted.predict(there[0]), "X"),
        (lambda: NTKKernel()(here[0], there[0]), "Y"),
    ):
        with pytest.raises(
            TypeError, match=f"^{name} must be in host memory, got .* on a GPU: copy it to the host$"
        ):
            call()


def test_command_line(data, tmp_path):
    """A prediction beside a run, both there."""
    here, _ = data(5, 4)
    fastntk.datasets.save_csv(tmp_path / "d.csv", *here)
    command = ["train", "--data", str(tmp_path / "d.csv"), "--width", "9", "--steps", "1", "--engine", "cuda"]
    done = CliRunner().invoke(
        main, [*command, "--prediction", str(tmp_path / "f.svg")], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert "cuda-dual" in done.output
    assert (tmp_path / "f.svg").exists()


@pytest.mark.gpu
def test_wide_prediction():
    """At a size where every kernel fills the device."""
    X, y = fastntk.datasets.sphere(500, 300, seed=3)
    found, expected = (
        fastntk.predict(X, y, width=20_000, steps=20, every=10, engine=engine) for engine in ("cuda", "auto")
    )
    assert np.allclose(found.loss, expected.loss, rtol=1e-6)
    assert np.allclose(found.drift, expected.drift, rtol=1e-4)
    assert np.abs(found.flips - expected.flips).max() < 1e-5
