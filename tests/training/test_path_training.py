"""train with the path engine: the reference, the dual engine, drawn weights, files, what is refused, what is chosen."""

import numpy as np
import pytest

import fastntk
from fastntk import TwoLayerReLU, reference
from fastntk.base import memory
from fastntk.engines import choice
from fastntk.engines.choice import Course, choose
from fastntk.engines.path import PathEngine, rounds
from fastntk.model.draws import Draws
from fastntk.model.streamed import Drawn, StreamedNetwork
from fastntk.training import run as running

LOSSES = ("squared", "logistic", "huber")
OPTIMIZERS = ("gd", "heavy_ball", "nesterov")


def samples(n, d, loss="squared"):
    X, y = fastntk.datasets.sphere(n, d, seed=n)
    return X, np.where(y < 0.0, -1.0, 1.0) if loss == "logistic" else y


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 5), (17, 4, 65), (65, 40, 300)])
def test_trajectory_is_that_of_the_reference(shape, optimizer, loss):
    n, d, m = shape
    X, y = samples(n, d, loss)
    net = TwoLayerReLU.init(d, m, seed=m, dtype="float64")
    settings = {"steps": 25, "lr": 0.1, "loss": loss, "optimizer": optimizer}
    run = fastntk.train(X, y, net=net, engine="path", metrics="all", **settings)
    expected = reference.train(X, y, net.W, net.a, metrics="all", **settings)
    assert run.provenance["engine"]["name"] == "path"
    np.testing.assert_array_equal(run.flips, expected["flips"])
    np.testing.assert_allclose(run.loss, expected["loss"], rtol=1e-10)
    np.testing.assert_allclose(run.drift, expected["drift"], rtol=1e-10)
    for series in ("gram_change", "gram_limit_distance", "lambda_min"):
        np.testing.assert_allclose(getattr(run, series), expected[series], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run.net.W, expected["W"], rtol=0, atol=1e-11)


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("most", [2, 12])
def test_all_that_is_logged_is_that_of_the_dual_engine(every, most, monkeypatch):
    """Also where the path has many windows."""
    monkeypatch.setattr(rounds, "MOST_ROUNDS", most)
    monkeypatch.setattr(running, "PATH_PASSES", 0.0)
    X, y = samples(40, 30)
    settings = {
        "width": 700, "steps": 22, "lr": 0.3, "metrics": "all", "diagnostics": True, "snapshots": [0, 7, 22],
        "dtype": "float64", "every": every,
    }  # fmt: skip
    path, dual = (fastntk.train(X, y, engine=name, **settings) for name in ("path", "dual"))
    windows = len(path.provenance["engine"]["rounds"])
    assert windows == 1 if most == 12 else windows > 2
    assert path.series.keys() == dual.series.keys()
    np.testing.assert_array_equal(path.steps, dual.steps)
    np.testing.assert_array_equal(path.flips, dual.flips)
    assert path.flips[-1] > 0
    for name, series in path.series.items():
        np.testing.assert_allclose(series, dual.series[name], rtol=1e-9, atol=1e-12, err_msg=name)
    for name, array in path.diagnostics.arrays().items():
        np.testing.assert_allclose(
            array, dual.diagnostics.arrays()[name], rtol=1e-9, atol=1e-12, err_msg=name
        )
    assert path.snapshots.keys() == dual.snapshots.keys()
    for step, H in path.snapshots.items():
        np.testing.assert_array_equal(H, dual.snapshots[step])
    np.testing.assert_allclose(path.net.W, dual.net.W, atol=1e-12)
    np.testing.assert_allclose(path.gram(), dual.gram(), atol=1e-15)


def test_weights_of_the_second_layer_that_differ():
    X, y = samples(30, 10)
    net = TwoLayerReLU.init(10, 129, dtype="float64")
    net.a *= np.linspace(0.1, 2.0, 129)
    runs = [fastntk.train(X, y, net=net, steps=12, metrics="all", engine=name) for name in ("path", "dual")]
    for name, series in runs[0].series.items():
        np.testing.assert_allclose(series, runs[1].series[name], rtol=1e-7, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(runs[0].gram(), runs[1].gram(), atol=1e-14)


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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lr", [1e5, 1e35, 1e300])
def test_overflow_is_a_divergence(lr, dtype):
    X, y = samples(5, 3)
    with pytest.raises(fastntk.DivergenceError) as caught:
        fastntk.train(X, y, width=20, lr=lr, dtype=dtype, engine="path")
    assert caught.value.step == 1
    assert np.isfinite(caught.value.run.loss[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_is_found_at_the_step_of_the_dual_engine(dtype):
    X, y = samples(40, 30)
    settings = {"width": 3000, "dtype": dtype, "steps": 60, "lr": 10.0, "metrics": "all"}
    errors = []
    for name in ("path", "dual"):
        with pytest.raises(fastntk.DivergenceError) as caught:
            fastntk.train(X, y, engine=name, **settings)
        errors.append(caught.value)
    path, dual = errors
    assert path.step == dual.step
    assert path.largest_stable_step == pytest.approx(dual.largest_stable_step, rel=1e-6)
    assert path.run.net is None
    np.testing.assert_allclose(path.run.loss, dual.run.loss, rtol=1e-4 if dtype == "float32" else 1e-9)


def test_nothing_to_learn():
    run = fastntk.train(np.zeros((5, 3)), np.ones(5), width=10, steps=3, engine="path", metrics="all")
    assert run.loss.tolist() == [2.5] * 4
    assert not run.drift.any()
    assert not run.flips.any()


def test_a_path_of_too_short_windows_is_left_to_the_dual_engine(monkeypatch):
    monkeypatch.setattr(rounds, "MOST_ROUNDS", 2)
    X, y = samples(30, 12)
    settings = {"width": 200, "steps": 40, "lr": 0.2, "dtype": "float64"}
    run, dual = (fastntk.train(X, y, engine=name, **settings) for name in ("path", "dual"))
    made = run.provenance["engine"]
    assert made["name"] == "dual"
    assert made["reason"].startswith("the path engine gave up: it needed 3 windows for the first ")
    np.testing.assert_array_equal(run.loss, dual.loss)
    np.testing.assert_array_equal(run.net.W, dual.net.W)
    assert not isinstance(run.net, StreamedNetwork)


def test_progress_and_interruption():
    X, y = samples(10, 5)
    seen = []
    fastntk.train(
        X, y, width=30, steps=4, engine="path", progress=lambda step, steps: seen.append((step, steps))
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def interrupt(step, steps):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastntk.train(X, y, width=30, steps=4, engine="path", progress=interrupt)


def test_provenance_says_how_the_path_was_found():
    X, y = samples(30, 20)
    made = fastntk.train(X, y, width=500, steps=15, engine="path").provenance["engine"]
    assert made["reason"] == "asked for"
    assert made["steps"] == [15]
    for name in ("rounds", "rank", "candidates", "events"):
        assert made[name][0] > 0
    assert made["last_change"][0] < 1e-4
    assert "no other entry" in made["certificate"]


@pytest.mark.parametrize(
    ("settings", "got"),
    [
        ({"layers": "both"}, "layers='both'"),
        ({"layers": "second"}, "layers='second'"),
        ({"batch_size": 3}, "batch_size=3"),
    ],
)
def test_what_it_cannot_do_is_refused(settings, got):
    X, y = samples(6, 4)
    with pytest.raises(ValueError, match="first layer on all samples: use engine='dual' or 'auto'.*" + got):
        fastntk.train(X, y, width=10, engine="path", **settings)
    with pytest.raises(ValueError, match=got):
        fastntk.sweep(X, y, [10], engine="path", **settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width must be at least 1"),
        ({"width": None}, "exactly one of width and net"),
        ({"width": 5, "paired": True}, "width must be even with paired=True, got 5"),
        ({"X": np.full((6, 4), 1e25)}, "within the range of float32"),
        ({"y": np.full(6, 1e39)}, "y must be within the range of float32"),
        ({"width": None, "net": TwoLayerReLU.init(5, 2)}, "X and net.W must have the same number of columns"),
    ],
)
def test_bad_input(change, message):
    X, y = samples(6, 4)
    with pytest.raises(ValueError, match=message):
        fastntk.train(**{"X": X, "y": y, "width": 10, "steps": 1, "engine": "path", **change})


def test_memory_is_checked_before_the_work():
    X, y = samples(6, 4)
    with pytest.raises(
        fastntk.MemoryLimitError, match="the path engine for n=6 samples and m=10000000000000"
    ):
        fastntk.train(X, y, width=10**13, engine="path")


def test_promised_memory():
    assert PathEngine.bytes_needed(1000, 1000, 10**6, 4) < 4 * 2**30
    assert PathEngine.bytes_needed(1000, 1000, 10**7, 4) < 16 * 2**30


def test_automatic_choice():
    wide, course = (1000, 1000, 100_000), Course(100)
    assert choose(*wide).name == "dual"
    chosen = choose(*wide, course=course)
    assert chosen.name == "path"
    assert chosen.reason.startswith("100 steps at once cost as much as ")
    assert choose(*wide, course=Course(100, 0.9)).name == "dual"
    assert choose(*wide, course=Course(5)).name == "dual"
    assert choose(1000, 1000, 1000, course=course).name == "dual"
    assert choose(30, 20, 500, course=course).name == "dual"


def test_automatic_choice_of_what_fits(monkeypatch):
    monkeypatch.setattr(choice, "available_bytes", lambda: 4 * 2**30)
    chosen = choose(1000, 1000, 10**6, course=Course(3))
    assert chosen.name == "path"
    assert "dual and primal need" in chosen.reason
    monkeypatch.setattr(choice, "available_bytes", lambda: 2**28)
    assert choose(1000, 1000, 10**6, course=Course(100)).name != "path"


@pytest.mark.parametrize("dynamics", [{}, {"batch_size": 5}, {"layers": "both"}])
def test_automatic_choice_in_a_run(dynamics, monkeypatch):
    monkeypatch.setattr(choice, "path_cost", lambda *shape: 0.0)
    X, y = samples(20, 10)
    run = fastntk.train(X, y, width=100, steps=5, **dynamics)
    assert run.provenance["engine"]["name"] == ("dual" if dynamics else "path")
    fast = fastntk.train(X, y, width=100, steps=5, lr=3.0)
    assert fast.provenance["engine"]["name"] == "dual"


def test_sweep_resumes(tmp_path):
    X, y = samples(20, 10)
    first = fastntk.sweep(X, y, [50, 100], steps=5, engine="path", metrics="all", out=tmp_path)
    assert {row["engine"] for row in first.summary()} == {"path"}
    again = fastntk.sweep(X, y, [50, 100, 200], steps=5, engine="path", metrics="all", out=tmp_path)
    for one, two in zip(first.runs, again.runs, strict=False):
        assert one.provenance == two.provenance  # the time of its making too: it was read, not made again
        np.testing.assert_array_equal(one.loss, two.loss)


def test_convergence_rates():
    X, y = samples(20, 10)
    path, dual = (
        fastntk.convergence_rates(X, y, width=2000, steps=10, engine=name, dtype="float64").runs
        for name in ("path", "dual")
    )
    for name, run in path.items():
        np.testing.assert_allclose(run.loss, dual[name].loss, rtol=1e-9)


def test_verification():
    """Its flows and runs of both layers are left to other engines."""
    X, y = samples(10, 8)
    report = fastntk.verify(X, y, widths=[64, 256], seeds=[0], steps=20, engine="path")
    assert report.settings["engine"] == "path"
