"""Diagnostics of a run: exact counts of flips, drift quantiles, snapshots of H, and their files and figure."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner

import fastntk
from fastntk import TwoLayerReLU, reference
from fastntk.base import memory
from fastntk.cli import main
from fastntk.compilation.threads import kernel_threads
from fastntk.engines.choice import ENGINES
from fastntk.plots.diagnostics import draw_diagnostics
from fastntk.results.diagnostics import LEVELS
from fastntk.training.pattern_history import PatternHistory

SIZES = (1, 2, 63, 64, 65, 129)


def check_history(seen, masks, steps):
    """Every count, against the reference."""
    expected = reference.flip_history(masks, steps)
    assert np.array_equal(seen.steps, steps)
    for name in ("net", "changed"):
        assert np.array_equal(getattr(seen, name), expected[name]), name
    for part in ("sample", "neuron"):
        for name in ("net", "total", "first"):
            found = getattr(getattr(seen, f"{part}s"), name)
            assert found.dtype == np.int64
            assert np.array_equal(found, expected[f"{part}_{name}"]), (part, name)
    assert seen.net[-1] == seen.samples.net.sum() == seen.neurons.net.sum()
    assert seen.cumulative[-1] == seen.samples.total.sum() == seen.neurons.total.sum()


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", SIZES)
def test_history_is_exact(n, dtype, name, rng):
    """Steps of few bits on integers, so that both engines' patterns are those of NumPy, flips back included."""
    flips = 0
    with kernel_threads():
        for m in SIZES:
            X = rng.integers(-1, 2, (n, 3)).astype(dtype)
            net = TwoLayerReLU(rng.integers(-2, 3, (m, 3)).astype(dtype), rng.choice([-1.0, 1.0], m))
            engine, history = ENGINES[name](X, net), PatternHistory(n, m)
            scale = -0.25 * net.a.astype(np.float64)[:, None]
            W = net.W.astype(np.float64)
            masks, lengths = [reference.activation_masks(X, W)], [np.zeros(m)]
            history.observe(0, engine.initial_masks, engine.masks, engine.drifts())
            for step in range(1, 6):
                e = rng.integers(-1, 2, n).astype(np.float64)
                engine.step(e, 0.25 * np.sqrt(m))  # divided by sqrt(m) exactly 0.25
                W += scale * reference.masked_sums(reference.activation_masks(X, W), e[:, None] * X)
                if step != 3:  # an engine moves on between observations
                    masks.append(reference.activation_masks(X, W))
                    lengths.append(np.linalg.norm(W - net.W, axis=1))
                    history.observe(step, engine.initial_masks, engine.masks, engine.drifts())
            seen = history.result()
            check_history(seen, masks, [0, 1, 2, 4, 5])
            assert np.array_equal(seen.drift_quantiles, np.quantile(lengths, LEVELS, axis=1).T)
            flips += seen.changed.sum()
    assert flips > 0


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(("every", "layers"), [(1, "first"), (4, "both")])
def test_a_run_is_watched_at_its_logged_steps(name, every, layers, problem):
    p = problem(33, 7, 70)
    run = fastntk.train(
        p.X, p.y, net=TwoLayerReLU(p.W, p.a), steps=30, lr=0.05, every=every, layers=layers, engine=name,
        metrics="all", diagnostics=True, snapshots=[30, 0, 7],
    )  # fmt: skip
    W, a, weights = p.W, p.a, []
    for _ in range(31):
        weights.append((W, a))
        W, a = reference.step(p.X, p.y, W, a, 0.05, layers)
    masks = [reference.activation_masks(p.X, weights[k][0]) for k in run.steps]
    seen = run.diagnostics
    check_history(seen, masks, run.steps)
    assert seen.changed.sum() > seen.net[-1] > 0  # the problem has flips that come back
    assert np.array_equal(seen.net / (33 * 70), run.flips)
    assert np.array_equal(seen.drift_quantiles[:, -1], run.drift)
    drifts = [np.linalg.norm(weights[k][0] - p.W, axis=1) for k in run.steps]
    np.testing.assert_allclose(seen.drift_quantiles, np.quantile(drifts, LEVELS, axis=1).T, atol=1e-9)
    assert list(run.snapshots) == [0, 7, 30]  # 7 is no logged step where every is 4
    for k, H in run.snapshots.items():
        expected = reference.tangent_gram(p.X, *weights[k], layers=layers)
        np.testing.assert_allclose(H, expected, rtol=0, atol=1e-11)


def test_nothing_flips_where_the_first_layer_stays():
    X, y = fastntk.datasets.sphere(9, 5)
    run = fastntk.train(X, y, width=20, steps=3, lr=0.01, layers="second", diagnostics=True, snapshots=[1, 2])
    assert not run.diagnostics.cumulative.any()
    assert (run.diagnostics.neurons.first == -1).all()
    assert not run.diagnostics.drift_quantiles.any()
    assert run.snapshots[1] is not run.snapshots[2]
    assert np.array_equal(run.snapshots[1], run.snapshots[2])


def test_a_run_without_them_has_none():
    run = fastntk.train([[1.0]], [1.0], width=3, steps=1)
    assert run.diagnostics is None
    assert run.snapshots == {}


def test_a_run_that_diverges_keeps_what_was_seen():
    X, y = fastntk.datasets.sphere(20, 5, seed=0)
    with pytest.raises(fastntk.DivergenceError) as caught:
        fastntk.train(X, y, width=50, steps=500, lr=50.0, diagnostics=True, snapshots=[0, 500])
    run = caught.value.run
    assert np.array_equal(run.diagnostics.steps, run.steps[:-1])
    assert list(run.snapshots) == [0]


# Files.


def same(one, two):
    mine, theirs = one.arrays(), two.arrays()
    return mine.keys() == theirs.keys() and all(
        mine[name].dtype == theirs[name].dtype and np.array_equal(mine[name], theirs[name]) for name in mine
    )


def test_they_are_saved_with_the_run_and_with_a_sweep(tmp_path):
    X, y = fastntk.datasets.sphere(10, 5)
    settings = {"steps": 8, "lr": 0.5, "diagnostics": True, "snapshots": (8, 2)}
    run = fastntk.train(X, y, width=30, **settings)
    assert same(fastntk.load(run.save(tmp_path / "run.npz")), run)
    sweep = fastntk.sweep(X, y, widths=[30, 40], out=tmp_path / "out", **settings)
    assert same(sweep.runs[0].diagnostics, run.diagnostics)
    again = fastntk.sweep(X, y, widths=[30, 40], out=tmp_path / "out", **settings)
    back = fastntk.load(again.save(tmp_path / "sweep.npz"))
    for one, two in zip(sweep.runs, back.runs, strict=True):
        assert same(one, two)
        assert list(two.snapshots) == [2, 8]
    assert back.settings["diagnostics"] is True
    assert back.settings["snapshots"] == [2, 8]


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_writes_tables_figures_and_snapshots(tmp_path):
    X, y = fastntk.datasets.sphere(10, 5)
    fastntk.datasets.save_csv(tmp_path / "d.csv", X, y)
    result = CliRunner().invoke(
        main,
        [
            *("train", "--data", str(tmp_path / "d.csv"), "--width", "30", "--steps", "8", "--lr", "0.5"),
            *(
                "--diagnostics",
                str(tmp_path / "seen"),
                "--snapshots",
                "0,8",
                "--out",
                str(tmp_path / "r.npz"),
            ),
        ],
    )
    assert result.exit_code == 0, result.output
    run = fastntk.load(tmp_path / "r.npz")
    assert list(run.snapshots) == [0, 8]
    names = {path.name for path in (tmp_path / "seen").iterdir()}
    assert names == {"diagnostics.png", "diagnostics.pdf", "steps.csv", "samples.csv", "neurons.csv"}
    neurons = read(tmp_path / "seen" / "neurons.csv")
    assert [int(row["neuron"]) for row in neurons] == list(range(30))
    assert [int(row["total"]) for row in neurons] == run.diagnostics.neurons.total.tolist()
    assert [
        int(row["first"]) for row in read(tmp_path / "seen" / "samples.csv")
    ] == run.diagnostics.samples.first.tolist()
    steps = read(tmp_path / "seen" / "steps.csv")
    assert [int(row["cumulative"]) for row in steps] == run.diagnostics.cumulative.tolist()
    assert [float(row["drift_q50"]) for row in steps] == run.diagnostics.drift_quantiles[:, 3].tolist()


def test_a_sweep_on_the_command_line_keeps_them(tmp_path):
    X, y = fastntk.datasets.sphere(10, 5)
    fastntk.datasets.save_csv(tmp_path / "d.csv", X, y)
    arguments = ["sweep", "--data", str(tmp_path / "d.csv"), "--widths", "8,16", "--steps", "3"]
    more = ["--diagnostics", "--snapshots", "3", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*arguments, *more])
    assert result.exit_code == 0, result.output
    for run in fastntk.load(tmp_path / "out" / "sweep.npz").runs:
        alone = fastntk.train(X, y, width=run.width, steps=3, diagnostics=True, snapshots=[3])
        assert same(run.diagnostics, alone.diagnostics)
        assert np.array_equal(run.snapshots[3], alone.snapshots[3])


def test_snapshots_need_a_file(tmp_path):
    result = CliRunner().invoke(main, ["train", "--snapshots", "0"])
    assert result.exit_code == 2
    assert "--snapshots are kept in the file of --out, which is not given" in result.stderr


# The figure.


def test_the_figure_shows_what_was_counted(tmp_path):
    X, y = fastntk.datasets.sphere(40, 20)
    seen = fastntk.train(X, y, width=200, steps=20, lr=0.5, diagnostics=True).diagnostics
    entries, drift, histogram, first = draw_diagnostics(seen).axes
    total, net = entries.get_lines()
    np.testing.assert_allclose(total.get_ydata(), 100 * seen.cumulative / 8000)
    np.testing.assert_allclose(net.get_ydata(), 100 * seen.net / 8000)
    assert np.array_equal(drift.get_lines()[0].get_ydata(), seen.drift_quantiles[:, 3])
    heights = [[bar.get_height() for bar in bars] for bars in histogram.containers]
    assert [sum(bars) for bars in heights] == [200, 200]
    assert [bars[0] for bars in heights] == [(seen.neurons.net == 0).sum(), (seen.neurons.total == 0).sum()]
    shares = first.get_lines()[0].get_ydata()
    assert shares[-1] == 100 * (seen.neurons.first >= 0).mean()
    for axes in (entries, drift, histogram, first):
        assert axes.get_title(loc="left")
        assert axes.get_ylabel()
    assert seen.plot(tmp_path / "seen.svg").stat().st_size > 1000


@pytest.mark.parametrize("steps", [0, 1])
def test_the_figure_of_a_run_without_flips(steps, tmp_path):
    run = fastntk.train(np.zeros((2, 2)), np.ones(2), width=3, steps=steps, diagnostics=True)
    assert run.diagnostics.plot(tmp_path / "f.png").exists()
    with pytest.raises(ValueError, match=r"expected a file name ending in .png"):
        run.diagnostics.plot(tmp_path / "f.gif")


# Bad input.


@pytest.mark.parametrize(
    ("snapshots", "error", "message"),
    [
        ([5], ValueError, r"snapshots must be at most the number of steps \(4\), got 5"),
        ([-1], ValueError, "snapshots must be at least 0, got -1"),
        ([0.5], TypeError, "snapshots must be an integer, got 0.5"),
        (3, TypeError, "snapshots must be a list of steps, got 3"),
        ("12", TypeError, "snapshots must be a list of steps, got '12'"),
    ],
)
def test_bad_snapshots(snapshots, error, message):
    X, y = fastntk.datasets.sphere(6, 4)
    with pytest.raises(error, match=message):
        fastntk.train(X, y, width=3, steps=4, snapshots=snapshots)
    with pytest.raises(error, match=message):
        fastntk.sweep(X, y, widths=[3], steps=4, snapshots=snapshots)


def test_too_little_memory(monkeypatch):
    X, y = fastntk.datasets.sphere(64, 4)
    monkeypatch.setattr(memory, "available_bytes", lambda: 2**20)
    with pytest.raises(fastntk.MemoryLimitError, match="40 snapshots of H for n=64 samples needs"):
        fastntk.train(X, y, width=3, steps=40, snapshots=range(40))
    with pytest.raises(
        fastntk.MemoryLimitError, match="diagnostics of n=64 samples and m=100000 neurons needs"
    ):
        PatternHistory(64, 100000)
