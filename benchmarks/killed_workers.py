"""Kill workers at random moments of a run, a sweep and a matrix, and compare every bit: ``python -m ... [KILLS]``."""

import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster

import fastntk
from fastntk.engines.path import teams
from fastntk.matrices.limit import limit_source
from fastntk.matrices.tiled.whole import fill_target, target_of

X, Y = fastntk.datasets.sphere(60, 40, seed=0)


def run(client, folder):
    """A run of a few parts."""
    found = fastntk.train(X, Y, width=6000, steps=30, lr=0.3, engine="path", client=client)
    return [found.loss, found.flips, found.drift]


def sweep(client, folder):
    """Some runs."""
    found = fastntk.sweep(
        X, Y, widths=[64, 128, 256], seeds=[0, 1, 2], steps=20, client=client, out=folder / "s"
    )
    return [run.loss for run in found.runs] + [run.drift for run in found.runs]


def matrix(client, folder):
    """A matrix of many blocks."""
    from fastntk.distributed import Workers

    source = limit_source(np.random.default_rng(0).standard_normal((800, 50)))
    workers = None if client is None else Workers.of(client)
    return [np.array(fill_target(source, target_of(folder / "K.npy", source), False, 100, workers))]


def main(kills):
    """Each work once in peace, for its bits and its time, then with a kill at a random moment of that time."""
    teams.SIZE = 1024  # in this process, which alone cuts networks
    random.seed(0)
    done = different = 0
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster:
        client = Client(cluster)
        expected, seconds = {}, {}
        for work in (run, sweep, matrix):
            with tempfile.TemporaryDirectory() as folder:
                expected[work] = work(None, Path(folder))
            with tempfile.TemporaryDirectory() as folder:
                work(client, Path(folder))  # compiles on the workers
            began = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                work(client, Path(folder))
            seconds[work] = time.perf_counter() - began
        while done < kills:
            for work in (run, sweep, matrix):
                client.wait_for_workers(2, timeout=60)
                pid = random.choice(list(client.run(os.getpid).values()))
                timer = threading.Timer(random.uniform(0.0, seconds[work]), os.kill, (pid, signal.SIGKILL))
                timer.start()
                with tempfile.TemporaryDirectory() as folder:
                    found = work(client, Path(folder))
                timer.join()
                same = all(np.array_equal(*pair) for pair in zip(found, expected[work], strict=True))
                done, different = done + 1, different + (not same)
                print(f"{done} kills, {different} different: {work.__name__}", flush=True)
        client.close()
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
