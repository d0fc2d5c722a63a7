"""Training of several hidden layers: against the twin, saved and loaded, in sweeps, and what is refused."""

import numpy as np
import pytest

import fastntk
from fastntk import DeepReLU, TwoLayerReLU, reference
from fastntk.losses import Huber
from fastntk.optimizers import HeavyBall
from fastntk.training.batches import Batches

WITHIN = {
    "steps": 0.0, "loss": 1e-11, "flips": 0.0, "drift": 1e-11, "drift_norm": 1e-6, "lambda_min": 1e-10,
    "lambda_min_total": 1e-10, "gram_change": 1e-10, "gram_limit_distance": 1e-10,
}  # fmt: skip


def data(n=20, d=6):
    X, y = fastntk.datasets.sphere(n, d, seed=1)
    return X, np.sign(y)


def agree(run, wanted):
    for name, slack in WITHIN.items():
        found, expected = getattr(run, name), wanted[name]
        assert found.shape == expected.shape, name
        assert np.array_equal(np.isnan(found), np.isnan(expected)), name
        assert np.nanmax(np.abs(found - expected)) <= slack * max(1.0, np.nanmax(np.abs(expected))), name
    for left, right in zip([*run.net.W, run.net.a], [*wanted["W"], wanted["a"]], strict=True):
        assert np.abs(left - right).max() <= 1e-11


@pytest.mark.parametrize(
    "change",
    [
        {"depth": 2},
        {"depth": 3, "layers": "all", "optimizer": "nesterov"},
        {"depth": 5, "layers": (2, 5), "optimizer": "heavy_ball", "scale": 2**0.5, "every": 2},
        {"depth": 2, "layers": "output", "loss": "logistic"},
        {"depth": 2, "layers": 1, "loss": "huber"},
        {"depth": 1, "scale": 1.5},
    ],
)
def test_runs_are_those_of_the_twin(change):
    X, y = data()
    net = DeepReLU.init(6, 80, change["depth"], seed=7, dtype="float64")
    common = {"steps": 5, "lr": 0.05}
    run = fastntk.train(X, y, width=80, seed=7, metrics="all", dtype="float64", **common, **change)
    options = {name: value for name, value in change.items() if name != "depth"}
    if options.get("layers") == 1:
        options["layers"] = (1,)
    agree(run, reference.deep_train(X, y, net.W, net.a, **common, **options))
    assert run.depth == change["depth"]
    assert run.provenance["engine"]["name"] == "deep"


def test_gaussian_weights_of_the_output_are_those_of_init():
    X, y = data()
    net = DeepReLU.init(6, 40, 2, seed=3, dtype="float64", output="gaussian")
    common = {"steps": 4, "lr": 0.02, "layers": "all"}
    drawn = fastntk.train(
        X, y, width=40, depth=2, seed=3, output="gaussian", dtype="float64", metrics="all", **common
    )
    agree(drawn, reference.deep_train(X, y, net.W, net.a, **common))
    assert drawn.provenance["output"] == "gaussian"
    given = fastntk.train(X, y, net=net, metrics="all", **common)
    assert np.array_equal(given.loss, drawn.loss)
    assert given.provenance["output"] is None
    square = np.square(net.a).mean()  # the limit is that of the weights which are given
    limits = reference.deep_limits(X, 2)
    found = given.provenance["limit"]["lambda_0_of_layers"]
    wanted = [
        np.linalg.eigvalsh(factor * K)[0] for factor, K in zip((square, square, 1), limits, strict=True)
    ]
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_each_layer_is_watched(tmp_path):
    """The patterns of the twin's trajectory, layer by layer; in the file under the layer's number."""
    X, y = data()
    start = DeepReLU.init(6, (70, 65), 2, seed=7, dtype="float64")
    run = fastntk.train(
        X, y, net=start, steps=6, lr=0.1, every=2, metrics=("flips", "drift"), diagnostics=True
    )
    W, masks, drifts = [weights.copy() for weights in start.W], [], []
    for k in range(7):
        Z, x = reference.deep_forward(X, W)
        if k % 2 == 0:
            masks.append([z >= 0 for z in Z])
            drifts.append([np.linalg.norm(now - old, axis=1) for now, old in zip(W, start.W, strict=True)])
        gradients = reference.deep_gradients(X, x[-1] @ start.a - y, W, start.a)
        W = [weights - 0.1 * slope for weights, slope in zip(W, gradients, strict=False)]
    again = fastntk.load(run.save(tmp_path / "run.npz"))
    for h in range(2):
        wanted = reference.flip_history([at[h] for at in masks], [0, 2, 4, 6])
        for seen in (run.diagnostics[h], again.diagnostics[h]):
            assert np.array_equal(seen.net, wanted["net"])
            assert np.array_equal(seen.changed, wanted["changed"])
            assert np.array_equal(seen.neurons.first, wanted["neuron_first"])
            assert np.array_equal(seen.samples.total, wanted["sample_total"])
            assert np.array_equal(seen.drift_quantiles[:, -1], run.drift[:, h])
            medians = [np.median(at[h]) for at in drifts]
            np.testing.assert_allclose(seen.drift_quantiles[:, 3], medians, atol=1e-11)
    assert run.diagnostics[1].changed.sum() > 0


def test_batches_are_those_of_two_layers():
    X, y = data()
    net = DeepReLU.init(6, (50, 30), 2, seed=2, dtype="float64")
    run = fastntk.train(X, y, net=net, steps=7, batch_size=6, seed=3, metrics="all")
    batches = Batches(20, 6, 3)
    factors = np.array([batches(np.ones(20)) for _ in range(7)])
    agree(run, reference.deep_train(X, y, net.W, net.a, 7, 0.1, batches=factors))
    assert run.provenance["widths"] == [50, 30]


def test_a_given_network_is_not_changed():
    X, y = data()
    net = DeepReLU.init(6, 40, 2, seed=5, output="gaussian", dtype="float64")
    before = [part.copy() for part in (*net.W, net.a)]
    run = fastntk.train(X, y, net=net, steps=3, layers="all", metrics="all")
    agree(run, _with_limit_of(net, reference.deep_train(X, y, net.W, net.a, 3, 0.1, layers="all"), X, run))
    assert all(map(np.array_equal, before, (*net.W, net.a)))
    assert not any(np.shares_memory(left, right) for left, right in zip(net.W, run.net.W, strict=True))


def _with_limit_of(net, wanted, X, run):
    """The distance to the limit is one to that for these weights a, whose mean square is not 1."""
    wanted["gram_limit_distance"] = wanted["gram_limit_distance"].copy()
    limits = reference.deep_limits(X, 2)
    for row, (W, a) in ((0, (net.W, net.a)), (-1, (run.net.W, run.net.a))):
        for h, (G, K) in enumerate(zip(reference.deep_grams(X, W, a), limits, strict=True)):
            K = K * (np.mean(net.a**2) if h < 2 else 1.0)
            wanted["gram_limit_distance"][row, h] = np.linalg.norm(G - K, 2)
    run.gram_limit_distance[1:-1] = wanted["gram_limit_distance"][1:-1]  # of a(0) and of both ends only
    return wanted


def test_depth_one_is_the_run_of_two_layers():
    X, y = data()
    for deep, flat in (
        ("hidden", "first"),
        ("output", "second"),
        ("all", "both"),
        ((1,), "first"),
        (2, "second"),
    ):
        one = fastntk.train(X, y, width=64, steps=4, layers=deep, depth=1, metrics="all")
        two = fastntk.train(X, y, width=64, steps=4, layers=flat, metrics="all")
        assert isinstance(one.net, TwoLayerReLU)
        assert np.array_equal(one.net.W, two.net.W)
        assert one.provenance["layers"] == two.provenance["layers"] == flat
        assert one.series.keys() == two.series.keys()
        assert all(np.array_equal(one.series[name], two.series[name]) for name in one.series)


def test_snapshots_and_gram_are_the_sum_of_the_layers_that_move():
    X, y = data()
    run = fastntk.train(X, y, width=60, depth=3, steps=4, layers=(1, 3), snapshots=[0, 4], dtype="float64")
    start = DeepReLU.init(6, 60, 3, dtype="float64")
    for net, H in ((start, run.snapshots[0]), (run.net, run.snapshots[4])):
        wanted = reference.deep_grams(X, net.W, net.a)
        assert np.abs(H - wanted[0] - wanted[2]).max() < 1e-13
    assert np.array_equal(run.gram(), run.snapshots[4])
    assert run.lambda_min is None


def test_save_and_load(tmp_path):
    X, y = data()
    run = fastntk.train(X, y, width=(30, 40), depth=2, scale=1.3, steps=2, metrics="all", snapshots=[1])
    again = fastntk.load(run.save(tmp_path / "run.npz"))
    assert again.series.keys() == run.series.keys()
    for name, values in run.series.items():
        assert np.array_equal(getattr(again, name), values, equal_nan=True)
    assert np.array_equal(again.net(X), run.net(X))
    assert again.net.scale == 1.3
    assert np.array_equal(again.snapshots[1], run.snapshots[1])
    assert list(run.rows()[0])[:7] == ["width", "seed", "step", "loss", "flips_1", "flips_2", "drift_1"]


def test_sweep():
    X, y = data()
    options = {"widths": [20, 40], "seeds": [0, 1], "steps": 3, "depth": 2, "metrics": "all"}
    sweep = fastntk.sweep(X, y, **options)
    alone = fastntk.train(X, y, width=40, depth=2, seed=1, steps=3, metrics="all")
    for name, values in alone.series.items():
        assert np.array_equal(sweep.runs[-1].series[name], values, equal_nan=True)
    assert [row["lambda_min"] for row in sweep.summary()] == [
        run.lambda_min_total.min() for run in sweep.runs
    ]


@pytest.mark.parametrize("layers", ["hidden", "all", "output"])
@pytest.mark.parametrize("drawn", [True, False])
def test_divergence_names_the_largest_stable_step_of_the_start(layers, drawn):
    X, y = data()
    net = DeepReLU.init(6, 50, 2, seed=0)
    start = {"width": 50, "depth": 2} if drawn else {"net": net}
    with pytest.raises(fastntk.DivergenceError) as caught:
        fastntk.train(X, y, steps=100, lr=80.0, layers=layers, metrics="all", **start)
    H = fastntk.gram(X, net=net, layers=layers)
    assert abs(caught.value.largest_stable_step - 2 / np.linalg.eigvalsh(H)[-1]) < 1e-6
    assert np.isnan(caught.value.run.drift[-1]).all()
    assert caught.value.run.drift.shape == (len(caught.value.run.steps), 2)


def test_objects_as_options():
    X, y = data()
    run = fastntk.train(
        X, y, width=20, depth=2, steps=2, loss=Huber(0.5), optimizer=HeavyBall(0.5), progress=print
    )
    assert run.provenance["optimizer"] == {"name": "heavy_ball", "momentum": 0.5}
