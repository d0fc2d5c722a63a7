"""Runs as tasks: the same numbers as in one process, on the disk as they end, and resumed anywhere."""

import numpy as np
import pytest

import fastntk
from fastntk.engines.choice import Choice
from fastntk.engines.path import teams
from fastntk.training import sweeps

X, Y = fastntk.datasets.sphere(20, 10, seed=0)
RUNS = {"widths": [64, 96, 128], "seeds": [0, 1], "steps": 5, "metrics": "all"}


def same(one, other):
    assert len(one.runs) == len(other.runs)
    for left, right in zip(one.runs, other.runs, strict=True):
        assert (left.width, left.seed) == (right.width, right.seed)
        assert left.series.keys() == right.series.keys()
        for name, values in left.series.items():
            assert np.array_equal(values, right.series[name]), name


@pytest.fixture(scope="module")
def expected():
    return fastntk.sweep(X, Y, **RUNS)


def test_bits_of_one_process(client, expected):
    reached = []
    found = fastntk.sweep(
        X, Y, **RUNS, client=client, progress=lambda done, total: reached.append(done / total)
    )
    same(found, expected)
    assert found.limit == expected.limit
    assert len(reached) == 6
    assert reached[-1] == 1.0
    for run in found.runs:
        assert run.provenance["cluster"]["worker"].startswith("tcp://")


def test_killed_worker(client, expected, kill, tmp_path):
    found = fastntk.sweep(X, Y, **RUNS, client=client, out=tmp_path, progress=kill)
    assert kill.killed
    same(found, expected)
    assert len(list(tmp_path.glob("run-*.npz"))) == 6


class Stop(Exception):
    pass


def test_begun_there_and_finished_here_and_the_other_way(client, expected, tmp_path):
    def stop(done, total):
        if done > total / 2:
            raise Stop

    for first, second in ((client, None), (None, client)):
        folder = tmp_path / str(first is None)
        with pytest.raises(Stop):
            fastntk.sweep(X, Y, **RUNS, client=first, out=folder, progress=stop)
        before = {path: path.stat().st_mtime_ns for path in folder.glob("run-*.npz")}
        assert 0 < len(before) < 6
        found = fastntk.sweep(X, Y, **RUNS, client=second, out=folder)
        assert {path: path.stat().st_mtime_ns for path in before} == before
        same(found, expected)


def test_a_run_that_diverges(client, tmp_path):
    with pytest.raises(fastntk.DivergenceError, match="the loss reached") as caught:
        fastntk.sweep(X, Y, widths=[64], lr=1e4, client=client)
    assert caught.value.run.loss.size


def test_cuda_is_not_for_workers(client):
    with pytest.raises(ValueError, match=r"^client: workers train on their cores, got engine='cuda'"):
        fastntk.sweep(X, Y, widths=[8], engine="cuda", client=client)


def test_wide_runs_are_spread(client, monkeypatch, tmp_path):
    """Those of several parts over all workers, the others as tasks; resumed here and there."""
    monkeypatch.setattr(teams, "SIZE", 192)
    options = {"widths": [64, 500], "seeds": [0, 1], "steps": 5, "engine": "path", "metrics": "all"}
    found = fastntk.sweep(X, Y, **options, client=client, out=tmp_path)
    spread = [len(run.provenance["cluster"].get("workers", [])) for run in found.runs]
    assert spread == [0, 0, 2, 2]
    expected = fastntk.sweep(X, Y, **options)
    same(found, expected)
    for name in ("run-w500-s0.npz", "run-w64-s1.npz"):
        (tmp_path / name).unlink()
    same(fastntk.sweep(X, Y, **options, out=tmp_path), expected)
    (tmp_path / "run-w500-s0.npz").unlink()
    same(fastntk.sweep(X, Y, **options, client=client, out=tmp_path), expected)


def test_one_process_chooses_the_engine(client, monkeypatch):
    """Whatever the memory of a worker."""
    monkeypatch.setattr(
        sweeps, "choice_for", lambda samples, settings, width, dtype: Choice("primal", "said so")
    )
    found = fastntk.sweep(X, Y, widths=[64], steps=2, client=client)
    assert found.runs[0].provenance["engine"]["reason"] == "said so"


def test_verify(client):
    options = {"widths": [64, 256], "seeds": [0], "draws": 2, "steps": 5, "depth": 2, "deep_widths": [16]}
    told = []
    found = fastntk.verify(X[:8], Y[:8], **options, client=client, progress=told.append)
    expected = fastntk.verify(X[:8], Y[:8], **options)
    there, here = found.record(), expected.record()
    for name in ("statements", "exponents", "data", "runs"):
        assert there[name] == here[name], name
    assert there["settings"]["cluster"]["bytes_moved"] > 0
    assert told[-1].startswith("done: ")
