"""train with the path engine: all that the dual engine logs, what is left to that one, and what is made of runs."""

import numpy as np
import pytest

import fastntk
from fastntk.engines.path import PathEngine, rounds
from fastntk.model.streamed import StreamedNetwork
from fastntk.training import run as running


def samples(n, d):
    return fastntk.datasets.sphere(n, d, seed=n)


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


def test_provenance_says_how_the_path_was_found():
    X, y = samples(30, 20)
    made = fastntk.train(X, y, width=500, steps=40, engine="path").provenance["engine"]
    assert made["reason"] == "asked for"
    assert made["steps"] == [40]
    for name in ("rounds", "rank", "candidates", "events"):
        assert made[name][0] > 0
    assert made["last_change"][0] <= 5e-6 * np.abs(fastntk.TwoLayerReLU.init(20, 500)(X) - y).max()
    assert "no other entry" in made["certificate"]


def test_promised_memory():
    assert PathEngine.bytes_needed(1000, 1000, 10**6, 4) < 4 * 2**30
    assert PathEngine.bytes_needed(1000, 1000, 10**7, 4) < 16 * 2**30


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
