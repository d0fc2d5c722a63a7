"""The engines step by step: both are gradient descent, exactly."""

import numpy as np
import pytest

import fastntk
from fastntk import PackedMasks, reference
from fastntk.base import memory
from fastntk.compilation.threads import kernel_threads
from fastntk.engines.choice import ENGINES
from fastntk.model.network import TwoLayerReLU

SIZES = (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129)
DTYPES = (np.float32, np.float64)
LR = 0.125


@pytest.fixture
def small(rng):
    """Problems on which several steps stay dyadic rationals of few bits: m a power of four, numbers of size one."""

    def make(n, d, m, dtype):
        X, W = rng.integers(-1, 2, (n, d)).astype(dtype), rng.integers(-2, 3, (m, d)).astype(dtype)
        return X, TwoLayerReLU(W, rng.choice([-1.0, 1.0], m))

    return make


class Expected:
    """Gradient descent in float64 NumPy at given residuals."""

    def __init__(self, X, net):
        self.X, self.a = X.astype(np.float64), net.a.astype(np.float64)
        self.W0 = net.W.astype(np.float64)
        self.W = self.W0.copy()

    def step(self, e, lr):
        scale = -lr / np.sqrt(len(self.a)) * self.a
        self.W += scale[:, None] * reference.masked_sums(self.masks, e[:, None] * self.X)

    @property
    def masks(self):
        return reference.activation_masks(self.X, self.W)

    def check(self, engine):
        assert np.array_equal(engine.masks.to_dense(), self.masks)
        PackedMasks(engine.masks.bits, engine.masks.shape)  # refuses bits in the padding
        assert np.array_equal(engine.u, reference.forward(self.X, self.W, self.a))
        first = reference.activation_masks(self.X, self.W0)
        assert np.array_equal(engine.initial_masks.to_dense(), first)
        assert engine.flip_fraction() == reference.flip_fraction(first, self.masks)
        assert engine.drift() == reference.drift(self.W, self.W0)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_exact_steps(n, dtype, name, small, rng):
    flipped = 0.0
    with kernel_threads():
        for m in (1, 4, 16, 64, 256):
            for d in (1, 16, 33):
                X, net = small(n, d, m, dtype)
                engine, expected = ENGINES[name](X, net), Expected(X, net)
                expected.check(engine)
                for _ in range(4):
                    e = rng.integers(-1, 2, n).astype(np.float64)
                    engine.step(e, LR)
                    expected.step(e, LR)
                    expected.check(engine)
                flipped += engine.flip_fraction()
                out = np.empty_like(net.W)
                engine.write_weights(out)
                assert np.array_equal(out, expected.W), (n, d, m)
                assert np.array_equal(net.W, expected.W0)
                engine.write_weights(net.W)
                assert np.array_equal(net.W, expected.W)
    assert flipped > 0  # the test would be weak otherwise


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(40, 17, 4096), (20, 40, 16384), (600, 3, 1024), (3, 600, 1024)])
def test_exact_steps_across_blocks(shape, dtype, name, small, rng):
    X, net = small(*shape, dtype)
    with kernel_threads():
        engine, expected = ENGINES[name](X, net), Expected(X, net)
        for _ in range(2):
            e = rng.integers(-1, 2, len(X)).astype(np.float64)
            engine.step(e, LR)
            expected.step(e, LR)
            expected.check(engine)
        out = np.empty_like(net.W)
        engine.write_weights(out)
    assert np.array_equal(out, expected.W)


@pytest.mark.parametrize("name", ENGINES)
def test_neurons_return_to_their_pattern(name):
    """A neuron that flips and flips back leaves the right weights behind (the bookkeeping of the dual engine)."""
    X, net = np.array([[1.0], [-2.0]]), TwoLayerReLU([[1.0], [-1.0], [1.0], [0.0]], [1.0, 1.0, -1.0, -1.0])
    with kernel_threads():
        engine, expected = ENGINES[name](X, net), Expected(X, net)
        seen = set()
        for e in ([8, 0], [0, -8], [-16, 0], [0, 16], [4, 4], [-8, 8]):
            engine.step(np.array(e, float), 1.0)
            expected.step(np.array(e, float), 1.0)
            expected.check(engine)
            seen.add(engine.flip_fraction())
        assert len(seen) > 1
        out = np.empty((4, 1))
        engine.write_weights(out)
    assert np.array_equal(out, expected.W)


@pytest.mark.parametrize("name", ENGINES)
def test_state_beyond_memory(name, monkeypatch):
    X, y = fastntk.datasets.sphere(50, 10)
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**5)
    with pytest.raises(fastntk.MemoryLimitError, match=rf"the {name} engine for n=50 .* needs 0.00\d+ GiB"):
        fastntk.train(X, y, width=1000, engine=name)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    "how", [{"steps": 3}, {"steps": 3, "layers": "both"}, {"dynamics": "flow", "t_final": 0.5}], ids=str
)
def test_a_range_of_several_tiles(name, how, monkeypatch):
    """Of samples or columns: there are as many ranges as tiles below 512 of them."""
    X, y = fastntk.datasets.sphere(40, 40, seed=0)
    runs = []
    for ranges in (32, 1):
        monkeypatch.setattr(f"fastntk.engines.{name}.MAX_RANGES", ranges)
        net = TwoLayerReLU.init(40, 70, dtype="float64")
        runs.append(fastntk.train(X, y, net=net, engine=name, **how))
    for series, values in runs[0].series.items():
        np.testing.assert_allclose(runs[1].series[series], values, rtol=1e-12, atol=1e-15, err_msg=series)
    assert runs[0].drift[-1] > 0.0
