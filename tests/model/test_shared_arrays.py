"""A network shares its arrays with the caller, and nothing writes to what a caller gave."""

import numpy as np
import pytest

import fastntk
from fastntk.compilation.threads import kernel_threads
from fastntk.engines.choice import ENGINES
from fastntk.engines.motion import Motion
from fastntk.matrices.operators import gram_operator
from fastntk.optimizers import HeavyBall


def calls(X, y, W, a, masks):
    """Every public function that takes a network, its arrays or samples, by name."""
    net = fastntk.TwoLayerReLU(W, a)
    yield "outputs", lambda: net(X)
    yield "activation_masks", lambda: fastntk.activation_masks(X, W)
    yield "coactivation_counts", lambda: fastntk.coactivation_counts(masks)
    yield "flip_marginals", lambda: fastntk.flip_marginals(masks, masks)
    yield "loss_gradient", lambda: fastntk.loss_gradient(X, y, W, a)
    for layers in ("first", "second", "both"):
        yield f"gram {layers}", lambda layers=layers: fastntk.gram(X, W, a, layers=layers)
        yield f"limit {layers}", lambda layers=layers: fastntk.limit_gram(X, layers=layers)
        for engine in ENGINES:
            for optimizer in ("gd", "nesterov"):
                yield (
                    f"train {layers} {engine} {optimizer}",
                    lambda layers=layers, engine=engine, optimizer=optimizer: fastntk.train(
                        X,
                        y,
                        net=net,
                        layers=layers,
                        engine=engine,
                        optimizer=optimizer,
                        steps=2,
                        metrics="all",
                    ),
                )
            yield (
                f"flow {layers} {engine}",
                lambda layers=layers, engine=engine: fastntk.train(
                    X, y, net=net, layers=layers, engine=engine, dynamics="flow", t_final=0.5
                ),
            )
    yield "operator", lambda: gram_operator(X, W=W) @ y
    yield "interval", lambda: fastntk.gram_interval(X, W)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("writeable", [True, False])
def test_nothing_writes_to_the_callers_arrays(writeable, dtype, problem):
    p = problem(32, 16, 128, dtype)  # whole tiles: nothing is copied on the way in
    given = {"X": p.X, "y": p.y, "W": p.W, "a": p.a}
    masks = fastntk.activation_masks(p.X, p.W)
    before = {name: array.copy() for name, array in given.items()}
    bits = masks.bits.copy()
    for array in given.values():
        array.setflags(write=writeable)
    for name, call in calls(*given.values(), masks):
        call()
        for what, array in given.items():
            assert np.array_equal(array, before[what]), (name, what)
        assert np.array_equal(masks.bits, bits), name


def test_a_network_shares_what_needs_no_conversion(problem, tmp_path):
    p = problem(3, 4, 8, np.float32)
    net = fastntk.TwoLayerReLU(p.W, p.a)
    assert np.shares_memory(net.W, p.W)
    assert np.shares_memory(net.a, p.a)
    p.W.tofile(tmp_path / "W.dat")
    mapped = np.memmap(tmp_path / "W.dat", np.float32, "r", shape=p.W.shape)
    assert np.shares_memory(fastntk.TwoLayerReLU(mapped, p.a).W, mapped)
    for W in (p.W.tolist(), np.asfortranarray(p.W), p.W.astype(">f4")):
        assert not np.shares_memory(fastntk.TwoLayerReLU(W, p.a).W, p.W)


@pytest.mark.parametrize("name", ENGINES)
def test_shared_samples_are_not_written_to(name, problem):
    p = problem(32, 16, 64, np.float32)
    before = p.X.copy()
    with kernel_threads():
        engine = ENGINES[name](p.X, fastntk.TwoLayerReLU(p.W, p.a), Motion("both", HeavyBall()))
        engine.step(p.y, 0.1)
        engine.write_weights(np.empty_like(p.W))
    assert np.array_equal(p.X, before)
