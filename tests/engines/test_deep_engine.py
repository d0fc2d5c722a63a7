"""Steps of the deep engine against the twin: optimizers, choices of layers, awkward sizes, both precisions."""

import numpy as np
import pytest

from fastntk import DeepReLU, reference
from fastntk.engines.deep import DeepEngine
from fastntk.matrices.layers import LayerGrams
from fastntk.model.draws import Draws
from fastntk.model.initial import DrawnLayer, HeldLayer
from fastntk.optimizers import GradientDescent, HeavyBall, Nesterov
from fastntk.reference.deep import moving_layers
from fastntk.reference.losses import loss_and_derivative

OPTIMIZERS = {"gd": GradientDescent(), "heavy_ball": HeavyBall(), "nesterov": Nesterov()}


def copies(net):
    return DeepReLU([W.copy() for W in net.W], net.a.copy(), net.scale)


def run(X, y, net, steps, lr, layers="hidden", loss="squared", optimizer="gd", batches=None, grams=True):
    """What `reference.deep_train` returns, from the engine; and the trained network."""
    moving = moving_layers(layers, net.depth)
    start = copies(net)
    engine = DeepEngine(X, net, [HeldLayer(W) for W in start.W], moving, OPTIMIZERS[optimizer])
    kernels = LayerGrams(X, net.dtype)
    log = {name: [] for name in ("loss", "flips", "drift", "drift_norm", "lambda_min")}
    for k in range(steps + 1):
        value, e = loss_and_derivative(engine.u, y, loss)
        log["loss"].append(value)
        log["flips"].append(engine.flips())
        log["drift"].append(engine.drift())
        log["drift_norm"].append(engine.drift_norm())
        lowest = np.full(net.depth + 1, np.nan)
        if grams:
            found = kernels(moving, engine.x, engine.deltas(), engine.masks[-1], net.a, net.scale)
            for layer, G in found:
                assert np.array_equal(G, G.T)
                lowest[layer - 1] = np.linalg.eigvalsh(G)[0]
        log["lambda_min"].append(lowest)
        if k < steps:
            engine.step(e if batches is None else e * batches[k], lr)
    return {name: np.array(values) for name, values in log.items()}


def sphere(rng, n, d):
    X = rng.standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


WITHIN = {"loss": 1e-11, "flips": 0.0, "drift": 1e-11, "drift_norm": 1e-6, "lambda_min": 1e-11}


def agree(found, wanted, within=WITHIN):
    for name, slack in within.items():
        bound = slack * max(1.0, np.nanmax(np.abs(wanted[name])))
        difference = np.abs(found[name] - wanted[name])
        assert np.array_equal(np.isnan(found[name]), np.isnan(wanted[name])), name
        assert np.nanmax(difference) <= bound, name


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("layers", ["hidden", "output", "all"])
def test_trajectories_are_those_of_the_twin(rng, depth, optimizer, layers):
    X, y = sphere(rng, 17, 6), rng.standard_normal(17)
    net = DeepReLU.init(6, 70, depth, seed=3, dtype="float64", scale=2**0.5)
    options = {"steps": 6, "lr": 0.05, "layers": layers, "optimizer": optimizer}
    wanted = reference.deep_train(X, y, net.W, net.a, scale=net.scale, **options)
    found = run(X, y, net, **options)
    agree(found, wanted)
    for left, right in zip([*net.W, net.a], [*wanted["W"], wanted["a"]], strict=True):
        assert np.abs(left - right).max() <= 1e-12


@pytest.mark.parametrize("layers", [(2,), (1, 3), (2, 4), (3,), (1, 2, 4)])
@pytest.mark.parametrize("grams", [False, True])
def test_any_layers_move(rng, layers, grams):
    """With and without derivatives that were asked for before the step."""
    X, y = sphere(rng, 9, 4), rng.standard_normal(9)
    net = DeepReLU.init(4, (30, 50, 20), 3, seed=4, dtype="float64", output="gaussian")
    wanted = reference.deep_train(X, y, net.W, net.a, steps=4, layers=layers)
    found = run(X, y, net, 4, 0.1, layers, grams=grams)
    agree(found, wanted, {name: slack for name, slack in WITHIN.items() if grams or name != "lambda_min"})
    for left, right in zip([*net.W, net.a], [*wanted["W"], wanted["a"]], strict=True):
        assert np.abs(left - right).max() <= 1e-12


@pytest.mark.parametrize(
    ("n", "widths"),
    [(1, (1, 1)), (15, (63, 129)), (16, (130, 64, 65)), (65, (2, 127, 3)), (520, (3, 1030))],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_awkward_sizes(rng, n, widths, dtype):
    X, y = sphere(rng, n, 5), rng.standard_normal(n)
    net = DeepReLU.init(5, widths, len(widths), seed=1, dtype=dtype, scale=2**0.5)
    wide = [W.astype(np.float64) for W in net.W]
    lr = min(0.01, 0.5 / n)  # stable: the kernel of n points in 5 dimensions grows like n
    wanted = reference.deep_train(X, y, wide, net.a.astype(np.float64), 2, lr, net.scale, layers="all")
    found = run(X, y, net, 2, lr, "all")
    if dtype == "float64":
        agree(found, wanted)
    else:
        entries = n * min(widths)
        within = {"loss": 1e-5, "flips": 2 / entries, "drift": 1e-3, "drift_norm": 1e-3, "lambda_min": 1e-4}
        agree(found, wanted, within)


@pytest.mark.parametrize("loss", ["squared", "logistic", "huber"])
def test_losses_and_batches(rng, loss):
    X, y = sphere(rng, 12, 4), rng.choice([-1.0, 1.0], 12)
    net = DeepReLU.init(4, 40, 2, seed=2, dtype="float64")
    batches = 2.0 * (rng.random((5, 12)) < 0.5)
    wanted = reference.deep_train(X, y, net.W, net.a, steps=5, loss=loss, batches=batches)
    agree(run(X, y, net, 5, 0.1, loss=loss, batches=batches), wanted)


def test_zero_counts_as_active_in_every_layer(rng):
    """Integers are exact, and many pre-activations are exactly 0; scale / sqrt(16) is a power of two."""
    X = rng.integers(-1, 2, (20, 5)).astype(np.float64)
    W = [rng.integers(-1, 2, shape).astype(np.float64) for shape in ((16, 5), (16, 16), (16, 16))]
    a = rng.choice([-1.0, 1.0], 16)
    Z, _ = reference.deep_forward(X, W)
    assert all((z == 0).any() for z in Z)
    net = DeepReLU([w.copy() for w in W], a)
    engine = DeepEngine(X, net, [HeldLayer(w) for w in W], (1, 2, 3))
    for masks, z in zip(engine.masks, Z, strict=True):
        assert np.array_equal(masks.to_dense(), z >= 0)
    for found, wanted in zip(engine.deltas(), reference.deep_deltas(Z, W, a), strict=True):
        assert np.array_equal(found[:, :20], wanted.T)
        assert not found[:, 20:].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_drawn_starts_are_those_of_the_network(rng, dtype):
    """The change is measured from weights that were never kept."""
    net = DeepReLU.init(70, (300, 90), 2, seed=8, dtype=dtype)
    draws, kind = Draws(8), np.dtype(dtype)
    for layer, W in enumerate(net.W, 1):
        drawn, held = DrawnLayer(draws, layer, W.shape[1], kind), HeldLayer(W.copy())
        assert not drawn.distances(W).any()
        W += (0.01 * rng.standard_normal(W.shape)).astype(kind)
        assert np.array_equal(drawn.distances(W), held.distances(W))
        exact = np.linalg.norm(W.astype(np.float64) - drawn.rows(0, len(W)), axis=1)
        assert np.abs(drawn.distances(W) - exact).max() <= 1e-5 * exact.max()
        assert all(map(np.array_equal, drawn.changes(W), held.changes(W)))
