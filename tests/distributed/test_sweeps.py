"""Runs as tasks: the same numbers as in one process, on the disk as they end, and resumed anywhere."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from distributed import Client

import fastntk
from fastntk.base.errors import ClusterError

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


def test_scheduler_gone(tmp_path):
    file = tmp_path / "scheduler.json"
    commands = [
        ["scheduler", "--port", "0", "--no-dashboard"],
        ["worker", "--nthreads", "1", "--no-nanny", "--no-dashboard"],
    ]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{command}", "--scheduler-file", str(file), *more],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for command, *more in commands
    ]  # fmt: skip
    try:
        while not file.exists():
            time.sleep(0.05)
        with Client(scheduler_file=str(file), timeout=2) as client:
            client.wait_for_workers(1, timeout=30)

            def end(done, total):
                running[0].send_signal(signal.SIGKILL)
                running[0].wait()
                ended.append(time.monotonic())

            ended = []
            with pytest.raises(ClusterError, match="the scheduler is gone"):
                fastntk.sweep(X, Y, **RUNS, client=client, out=tmp_path / "runs", progress=end)
            assert time.monotonic() - ended[0] < 5
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert len(list((tmp_path / "runs").glob("run-*.npz"))) == 1


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
