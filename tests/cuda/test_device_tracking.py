"""Eigenvalues of batches of matrices on a GPU: those of LAPACK within the bounds that come with them."""

import numpy as np
import pytest

import fastntk
from fastntk import spectra
from fastntk.cuda import gram_metrics
from fastntk.cuda.engines import descent as training
from fastntk.cuda.spectra import subspace, tracking
from fastntk.cuda.spectra.dense import sizes
from fastntk.model.network import TwoLayerReLU
from fastntk.training.samples import LimitKernel


@pytest.fixture(autouse=True)
def iterated(monkeypatch):
    """Small matrices too, in small subspaces: the simulator is slow."""
    monkeypatch.setattr(tracking, "SMALL", 0)
    monkeypatch.setattr(gram_metrics, "SMALL", 0)
    monkeypatch.setattr(subspace, "GROWTH", 6)
    for module in (subspace, tracking):
        monkeypatch.setattr(module, "BLOCK", 4)


@pytest.fixture
def path():
    """Symmetric matrices that change a little from one to the next."""

    def make(n, members, change=1e-3):
        rng = np.random.default_rng(2)
        A = rng.standard_normal((n, 2 * n))
        H = [A @ A.T / (2 * n)]
        for _ in range(members - 1):
            E = change * rng.standard_normal((n, n))
            H.append(H[-1] + E + E.T)
        return np.array(H)

    return make


def checked(found, exact):
    """Every value is the exact one within its bound."""
    for value, wanted in zip(found, exact, strict=True):
        assert value.residual_bound < 2e-3 * abs(wanted)
        assert abs(float(value) - wanted) <= value.residual_bound
    return [value.outer_bound for value in found]


def test_smallest_of_batches(path, there):
    H = path(17, 4)
    exact = np.linalg.eigvalsh(H)[:, 0]
    tracker, before, bounds = tracking.SmallestEigenvalues(), H[0], []
    for part in (slice(0, 1), slice(1, 4)):
        norms, changes = sizes(there(H[part]), there(before))
        found = tracker.update(there(H[part]), norms, changes)
        assert (found.residual_bounds / np.abs(found.values)).max() < 2e-6
        bounds += checked(found, exact[part])
        last = found[len(found) - 1]
        vector = last.vector.copy_to_host()
        assert np.linalg.norm(H[part][-1] @ vector - last * vector) <= last.residual_bound
        before = H[part][-1]
    assert bounds[0] > -np.inf
    assert (np.array(bounds) <= exact).all()


def test_a_jump_is_proven_and_a_hidden_eigenvalue_found(path, there):
    """A matrix whose smallest eigenvector the block does not know: only the proof can tell."""
    H = path(12, 3)
    basis = np.linalg.eigh(H[0])[1]
    H[2] -= 50.0 * np.outer(basis[:, -1], basis[:, -1])
    tracker = tracking.SmallestEigenvalues()
    tracker.update(there(H[:1]), *sizes(there(H[:1]), there(H[0])))
    found = tracker.update(there(H[1:]), *sizes(there(H[1:]), there(H[0])))
    bounds = checked(found, np.linalg.eigvalsh(H[1:])[:, 0])
    assert bounds[1] > -np.inf
    assert checked(
        tracker.update(there(H[2:]), *sizes(there(H[2:]), there(H[2]))), [np.linalg.eigvalsh(H[2])[0]]
    )


def test_what_does_not_converge_is_solved(path, there, monkeypatch):
    monkeypatch.setattr(tracking, "_LOOKS", 0)
    H = path(12, 2, change=0.1)
    found = tracking.SmallestEigenvalues().update(there(H), np.linalg.norm(H, axis=(1, 2)), np.zeros(2))
    assert min(checked(found, np.linalg.eigvalsh(H)[:, 0])) > -np.inf


def test_norms_of_batches(path, there):
    H, R = path(14, 3, change=0.1), np.eye(14)
    tracker = tracking.SpectralNorms()
    for part in (slice(0, 2), slice(2, 3)):
        norms = np.linalg.norm(H[part], axis=(1, 2))
        found = tracker.update(there(H[part]), norms, there(R), float(np.linalg.norm(R)))
        checked(found, np.linalg.norm(H[part] - R, 2, axis=(1, 2)))
    unchanged = tracker.update(there(R[np.newaxis]), np.ones(1), there(R), 1.0)[0]
    assert unchanged.value <= unchanged.residual_bound < 1e-12


def test_followed_matrices(path, there):
    """`SmallestEigenvalue` and `SpectralNorm` of matrices on a GPU are batches of one."""
    H = path(9, 2)
    smallest, norm = spectra.SmallestEigenvalue(), spectra.SpectralNorm(rtol=1e-6)
    for matrix in H:
        checked([smallest.update(there(matrix))], [np.linalg.eigvalsh(matrix)[0]])
        checked([norm.update(there(matrix), there(np.eye(9)))], [np.linalg.norm(matrix - np.eye(9), 2)])
    for call in (
        lambda: smallest.update(there(np.eye(3))),
        lambda: norm.update(there(np.eye(3)), there(np.eye(3))),
    ):
        with pytest.raises(
            ValueError, match=r"must keep its shape from call to call: expected \(9, 9\), got \(3, 3\)$"
        ):
            call()
    with pytest.raises(ValueError, match=r"^B must keep its shape .* expected \(9, 9\), got \(3, 3\)$"):
        spectra.SpectralNorm().update(there(H[0]), there(np.eye(3)))
    with pytest.raises(ValueError, match=r"^H must be symmetric"):
        spectra.SmallestEigenvalue().update(there(np.triu(H[0])))


def compared(run, expected):
    """The metrics of H of two runs, within the bounds of lambda_min and the accuracy asked of the norms."""
    assert run.series.keys() == expected.series.keys()
    bounds = run.lambda_min_bound + expected.lambda_min_bound
    assert (np.abs(run.lambda_min - expected.lambda_min) <= bounds).all()
    for name in ("gram_change", "gram_limit_distance"):
        assert np.allclose(run.series[name], expected.series[name], rtol=1e-3, atol=1e-12), name
    for name, value in expected.provenance["limit"].items():
        assert run.provenance["limit"][name] == pytest.approx(value, abs=1e-13)


def test_metrics_of_a_run(monkeypatch):
    """Two states to a batch, and a log that is read more often than the others are."""
    monkeypatch.setattr(gram_metrics, "MOST", 2)
    X, y = fastntk.datasets.sphere(9, 4, seed=3)
    settings = {"width": 40, "steps": 3, "lr": 2.0, "dtype": "float64", "metrics": "all"}
    compared(*(fastntk.train(X, y, engine=engine, **settings) for engine in ("cuda", "dual")))


def test_metrics_of_a_run_that_diverges(monkeypatch):
    """What was kept of the steps beyond is not looked at; here as small matrices are, on the host."""
    for module in (tracking, gram_metrics):
        monkeypatch.setattr(module, "SMALL", 192)
    monkeypatch.setattr(training, "BATCH", 2)
    X, y = fastntk.datasets.sphere(3, 2, seed=3)
    errors = []
    for engine in ("cuda", "dual"):
        with pytest.raises(fastntk.DivergenceError) as caught:
            fastntk.train(X, y, width=9, steps=9, lr=300.0, metrics="all", engine=engine)
        errors.append(caught.value)
    run, expected = (error.run for error in errors)
    assert run.steps.tolist() == expected.steps.tolist()
    assert np.isnan(run.lambda_min[-1])
    assert np.allclose(run.lambda_min[:-1], expected.lambda_min[:-1], atol=1e-6)


class Constant:
    """A tangent kernel that is always the identity."""

    def __call__(self, engine, out):
        out.copy_to_device(np.eye(5))


def test_as_many_states_as_fit_in_half_of_the_memory(monkeypatch):
    monkeypatch.setattr(gram_metrics, "SMALL", 192)
    each = 8 * 5 * 5 + subspace.Subspace.bytes_needed(5)
    for available, members in ((5.0 * each, 2), (1.5 * each, 1), (1e9, 64)):
        monkeypatch.setattr(fastntk.device.arrays, "available_bytes", lambda available=available: available)
        metrics = gram_metrics.GramMetrics(Constant(), LimitKernel(np.eye(5)), ("gram", "lambda_min"))
        assert metrics.limit == {"lambda_0": 1.0, "lambda_max": 1.0}
        for _ in range(members):
            assert not metrics.full
            metrics.take(None)
        assert metrics.full
    monkeypatch.setattr(fastntk.device.arrays, "available_bytes", lambda: each - 1.0)
    metrics = gram_metrics.GramMetrics(Constant(), LimitKernel(np.eye(5)), ("gram", "lambda_min"))
    with pytest.raises(
        fastntk.MemoryLimitError, match=r"^a Gram matrix of n=5 samples and its eigenvectors needs"
    ):
        metrics.take(None)


def test_a_batch_is_compared_with_the_state_before_it():
    """Back at the limit, whose lowest eigenvectors are out of sight by then: only the change tells of them."""
    states = [np.diag(np.arange(1.0, 13.0)), np.diag(np.arange(12.0, 0.0, -1.0))]

    class Kernel:
        def __call__(self, engine, out):
            out.copy_to_device(states[engine])

    metrics = gram_metrics.GramMetrics(Kernel(), LimitKernel(states[0]), ("lambda_min",))
    for k in (1, 0):
        assert metrics(k)["lambda_min"] == pytest.approx(1.0, abs=1e-6)


class Engine:
    """What a tangent kernel asks of an engine on the GPU."""

    def __init__(self, W, a, masks, there):
        self.masks = self.initial_masks = masks
        self._weights, self._a, self.m = there(W), there(a), len(a)

    def weights_there(self):
        return self._weights

    def a_there(self):
        return self._a


@pytest.mark.parametrize("layers", ["first", "second", "both"])
def test_tangent_kernel_of_any_layers(problem, there, layers, monkeypatch):
    from fastntk.cuda import tangent as gram

    monkeypatch.setattr(gram, "PART", 32)
    p = problem(6, 3, 40)
    a = p.a * np.linspace(0.5, 2.0, 40)
    kernel = gram.TangentKernel(p.X, TwoLayerReLU(p.W, a), layers)
    engine = Engine(p.W, a, fastntk.activation_masks(there(p.X), there(p.W)), there)
    expected = fastntk.gram(p.X, p.W, a, layers=layers)
    out = there(np.full((6, 6), np.nan))
    for H in (kernel(engine), kernel(engine, out=out), kernel.initial(engine)):
        assert np.allclose(fastntk.device.arrays.on_host(H), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.gpu
def test_metrics_of_large_runs():
    """Several batches, at a size where every kernel fills the device."""
    X, y = fastntk.datasets.sphere(600, 500, seed=3)
    settings = {"width": 3000, "steps": 140, "lr": 0.5, "metrics": "all"}
    compared(*(fastntk.train(X, y, engine=engine, **settings) for engine in ("cuda", "dual")))
