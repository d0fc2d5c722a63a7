"""Networks from and to PyTorch modules.

The rules are tested with stand-ins that have the interface of modules. The tests at the end run the real thing where
PyTorch is installed; it is no dependency of the tests, because its default wheel brings gigabytes of CUDA libraries.
"""

import importlib.util
import sys

import numpy as np
import pytest

import fastntk
from fastntk import TwoLayerReLU, reference
from tests.model.torch_doubles import Linear, ReLU, Sequential


class Quantised(Linear):
    pass


class GELU:
    pass


def outputs(module, X):
    first, _, second = module.layers
    return np.maximum(X @ first.weight.values.T, 0) @ second.weight.values[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("linear", [Linear, Quantised])
def test_outputs_of_a_module(dtype, linear, rng):
    d, m = 5, 37
    module = Sequential(
        linear(rng.standard_normal((m, d)).astype(dtype)),
        ReLU(),
        linear(rng.standard_normal((1, m)).astype(dtype)),
    )
    net = TwoLayerReLU.from_torch(module)
    assert net.W.dtype == net.a.dtype == dtype
    X = rng.standard_normal((20, d))
    want = outputs(module, X)
    np.testing.assert_allclose(net(X), want, rtol=0, atol=20 * np.finfo(dtype).eps * abs(want).max())
    np.testing.assert_allclose(reference.forward(X, net.W, net.a), want, atol=1e-4)


def test_weights_are_copies_with_the_factor(rng):
    first, second = rng.standard_normal((16, 3)), rng.standard_normal((1, 16))
    module = Sequential(Linear(first), ReLU(), Linear(second))
    net = TwoLayerReLU.from_torch(module)
    assert np.array_equal(net.W, first)
    assert np.array_equal(net.a, 4 * second[0])  # sqrt(16) is exact
    first[:] = 0
    second[:] = 0
    assert net.W.all()
    assert net.a.all()


W, V = np.ones((4, 3)), np.ones((1, 4))


@pytest.mark.parametrize(
    ("module", "error", "message"),
    [
        (Sequential(Linear(W, 0.0), ReLU(), Linear(V)), ValueError, "module must have no biases, got one in layer 0"),
        (
            Sequential(Linear(W), ReLU(), Linear(V, [0.0])),
            ValueError,
            "module must have no biases, got one in layer 2",
        ),
        (
            Sequential(Linear(W), GELU(), Linear(V)),
            ValueError,
            "module must have the layers Linear, ReLU, Linear, got Linear, GELU, Linear$",
        ),
        (Sequential(Linear(W), Linear(V)), ValueError, "Linear, ReLU, Linear, got Linear, Linear$"),
        (
            Sequential(Linear(W), ReLU(), Linear(V), ReLU()),
            ValueError,
            "Linear, ReLU, Linear, got Linear, ReLU, Linear, ReLU$",
        ),
        (Sequential(), ValueError, "Linear, ReLU, Linear, got none$"),
        (Sequential(Linear(W), ReLU(), Linear(np.ones((2, 4)))), ValueError, "module must have one output, got 2"),
        (
            Sequential(Linear(W), ReLU(), Linear(np.ones((1, 5)))),
            ValueError,
            "must have layers that fit, got 4 outputs of layer 0 and 5 inputs of layer 2",
        ),
        (
            Sequential(Linear(W), ReLU(), Linear(V.astype("f4"))),
            ValueError,
            "weights of one dtype, got float64 and float32",
        ),
        (
            Sequential(Linear(W.astype("f2")), ReLU(), Linear(V)),
            ValueError,
            r"the weight of layer 0 of module must be float32 or float64, got float16: .* module.float\(\)",
        ),
        (
            Sequential(Linear(W), ReLU(), Linear(V * np.nan)),
            ValueError,
            r"the weight of layer 2 of module must be finite, got nan at index \(0, 0\)",
        ),
        (W, TypeError, "module must be a torch.nn.Module, got ndarray"),
        (None, TypeError, "module must be a torch.nn.Module, got NoneType"),
    ],
)  # fmt: skip
def test_other_modules(module, error, message):
    with pytest.raises(error, match=message):
        TwoLayerReLU.from_torch(module)


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ImportError, match="to_torch needs PyTorch, which is not installed: pip install torch"
    ):
        TwoLayerReLU.init(2, 3).to_torch()


class TestTorch:
    """With PyTorch itself; collected only where it is installed."""

    __test__ = importlib.util.find_spec("torch") is not None

    @pytest.fixture
    def torch(self):
        return importlib.import_module("torch")

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_there_and_back(self, torch, dtype, rng):
        net = TwoLayerReLU.init(6, 50, seed=3, dtype=dtype)
        state = torch.random.get_rng_state()
        module = net.to_torch()
        assert torch.equal(torch.random.get_rng_state(), state)
        assert [type(layer) for layer in module] == [torch.nn.Linear, torch.nn.ReLU, torch.nn.Linear]
        assert all(parameter.requires_grad for parameter in module.parameters())
        assert {str(parameter.dtype) for parameter in module.parameters()} == {f"torch.{dtype}"}
        X = rng.standard_normal((15, 6)).astype(dtype)
        eps = np.finfo(dtype).eps
        found = module(torch.tensor(X)).detach().numpy()[:, 0]
        np.testing.assert_allclose(found, net(X), rtol=0, atol=50 * eps * abs(found).max())
        again = TwoLayerReLU.from_torch(module)
        assert np.array_equal(again.W, net.W)
        np.testing.assert_allclose(again.a, net.a, rtol=2 * eps)
        np.testing.assert_allclose(again(X), net(X), rtol=0, atol=50 * eps * abs(found).max())

    def test_training_the_module_leaves_the_network(self, torch):
        net = TwoLayerReLU.init(3, 8, dtype="float64")
        module = net.to_torch()
        again = TwoLayerReLU.from_torch(module)
        W = net.W.copy()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.zero_()
        assert np.array_equal(net.W, W)
        assert np.array_equal(again.W, W)

    def test_any_module_with_these_children(self, torch, rng):
        class Own(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.hidden = torch.nn.Linear(4, 9, bias=False)
                self.activation = torch.nn.ReLU()
                self.out = torch.nn.Linear(9, 1, bias=False)

            def forward(self, x):
                return self.out(self.activation(self.hidden(x)))

        module, X = Own(), rng.standard_normal((5, 4)).astype(np.float32)
        want = module(torch.tensor(X)).detach().numpy()[:, 0]
        np.testing.assert_allclose(TwoLayerReLU.from_torch(module)(X), want, rtol=1e-5, atol=1e-6)

    def test_refused(self, torch):
        def build(bias=False, activation=torch.nn.ReLU, outputs=1, dtype=torch.float32):
            return torch.nn.Sequential(
                torch.nn.Linear(3, 4, bias=bias), activation(), torch.nn.Linear(4, outputs, bias=False)
            ).to(dtype)

        for module, message in (
            (build(bias=True), "no biases, got one in layer 0"),
            (build(activation=torch.nn.Tanh), "got Linear, Tanh, Linear"),
            (build(outputs=3), "one output, got 3"),
            (build(dtype=torch.float16), "float32 or float64, got float16"),
        ):
            with pytest.raises(ValueError, match=message):
                TwoLayerReLU.from_torch(module)
        with pytest.raises(TypeError, match=r"weight of layer 0 of module must be readable .*BFloat16"):
            TwoLayerReLU.from_torch(build(dtype=torch.bfloat16))

    def test_tensors_are_arrays(self, torch, problem):
        p = problem(8, 3, 20)
        X, leaf = torch.tensor(p.X), torch.tensor(p.X, requires_grad=True)
        assert np.array_equal(fastntk.limit_gram(X), fastntk.limit_gram(p.X))
        assert np.array_equal(fastntk.gram(X, torch.tensor(p.W)), fastntk.gram(p.X, p.W))
        with pytest.raises(TypeError, match=r"X must be free of gradients, got a Tensor .* X.detach\(\)"):
            fastntk.limit_gram(leaf)
        with pytest.raises(TypeError, match=r"X must be readable as a NumPy array, got Tensor: .*[sS]parse"):
            fastntk.limit_gram(X.to_sparse())
