"""Runs of the path engine never hold drawn weights: networks that are asked for them, files, memory maps."""

import numpy as np
import pytest

import fastntk
from fastntk import TwoLayerReLU
from fastntk.base import memory
from fastntk.model.draws import Draws
from fastntk.model.streamed import Drawn, StreamedNetwork
from fastntk.training import run as running


def samples(n, d):
    return fastntk.datasets.sphere(n, d, seed=n)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("paired", [False, True])
def test_drawn_weights_give_the_run_of_those_in_memory(paired, dtype):
    X, y = samples(40, 20)
    start = {"kappa": 0.7, "paired": paired, "seed": 5}
    drawn = fastntk.train(X, y, width=9000, steps=8, dtype=dtype, engine="path", metrics="all", **start)
    net = TwoLayerReLU.init(20, 9000, dtype=dtype, **start)
    held = fastntk.train(X, y, net=net, steps=8, engine="path", metrics="all")
    assert type(held.net) is TwoLayerReLU
    assert isinstance(drawn.net, StreamedNetwork)
    for name, series in drawn.series.items():
        np.testing.assert_array_equal(series, held.series[name])
    assert not drawn.net.held
    np.testing.assert_allclose(drawn.net(X), held.net(X), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(drawn.gram(), held.gram())
    assert not drawn.net.held
    np.testing.assert_allclose(drawn.net.W, held.net.W, atol=1e-6 if dtype == "float32" else 1e-14)


def test_weights_are_the_same_whatever_is_asked_for_with_them():
    X, y = samples(40, 20)
    net = fastntk.train(X, y, width=5000, steps=5, lr=0.5, engine="path").net
    some = [net.weights(first, last) for first, last in ((0, 1), (1020, 1030), (4999, 5000), (17, 2100))]
    W = net.W
    for rows, (first, last) in zip(some, ((0, 1), (1020, 1030), (4999, 5000), (17, 2100)), strict=True):
        np.testing.assert_array_equal(rows, W[first:last])
    assert (net.width, net.d, repr(net)) == (5000, 20, "TwoLayerReLU(d=20, width=5000, dtype=float32)")
    assert net.weights(3, 5).base is W


def test_a_network_that_is_not_held_answers_like_one_that_is():
    net, held = (
        Drawn(Draws(3), 6, np.dtype("float64")).network(10_000),
        TwoLayerReLU.init(6, 10_000, 3, "float64"),
    )
    X = samples(30, 6)[0]
    np.testing.assert_allclose(net(X), held(X), rtol=1e-12)
    assert not net.held
    with pytest.raises(ValueError, match=r"X and net\.W must have the same number of columns, got 5 and 6"):
        net(X[:, :5])
    np.testing.assert_array_equal(net.W, held.W)
    np.testing.assert_array_equal(net(X), net(X))


def test_weights_beyond_memory(monkeypatch):
    net = Drawn(Draws(3), 6, np.dtype("float32")).network(10_000)
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**5)
    with pytest.raises(fastntk.MemoryLimitError, match="weights of a network of width 10000 on 6 inputs"):
        net.W  # noqa: B018


@pytest.mark.parametrize("given", [False, True])
def test_a_file_gives_the_run_back_to_the_bit(given, tmp_path):
    X, y = samples(40, 20)
    start = {"net": TwoLayerReLU.init(20, 3000, 4)} if given else {"width": 3000, "seed": 4}
    run = fastntk.train(X, y, steps=10, lr=0.5, engine="path", **start)
    again = fastntk.load(run.save(tmp_path / "run.npz"))
    assert isinstance(again.net, StreamedNetwork) is not given
    np.testing.assert_array_equal(again.net.a, run.net.a)
    np.testing.assert_array_equal(again.net(X), run.net(X))
    np.testing.assert_array_equal(again.gram(), run.gram())
    np.testing.assert_array_equal(again.net.W, run.net.W)
    size = (tmp_path / "run.npz").stat().st_size
    assert size > run.net.W.nbytes if given else size < run.net.W.nbytes
    held = fastntk.load(
        run.save(tmp_path / "held.npz")
    )  # its weights were asked for, and may have been changed
    np.testing.assert_array_equal(held.net.W, run.net.W)


def test_a_memory_map_is_read_by_blocks(tmp_path):
    X, y = samples(30, 12)
    net = TwoLayerReLU.init(12, 600)
    W = np.memmap(tmp_path / "W", np.float32, "w+", shape=(600, 12))
    W[:] = net.W
    mapped = fastntk.train(X, y, net=TwoLayerReLU(W, net.a), steps=6, engine="path")
    held = fastntk.train(X, y, net=net, steps=6, engine="path")
    np.testing.assert_array_equal(mapped.loss, held.loss)
    np.testing.assert_array_equal(mapped.net.W, held.net.W)
    np.testing.assert_array_equal(W, net.W)


def test_given_weights_that_fit_only_once_are_read_again(monkeypatch):
    X, y = samples(30, 12)
    net = TwoLayerReLU.init(12, 600)
    held = fastntk.train(X, y, net=net, steps=6, engine="path").net
    monkeypatch.setattr(running, "available_bytes", lambda: net.W.nbytes)
    streamed = fastntk.train(X, y, net=net, steps=6, engine="path").net
    assert isinstance(streamed, StreamedNetwork)
    np.testing.assert_array_equal(streamed.W, held.W)
