"""One run over the processes of a local cluster, pinned to the cores: ``python -m benchmarks.clusters [--quick]``.

Prints the figures of docs/clusters.md: a run over two workers against the same one in this process, the overhead of a
round, and runs over 1, 2 and 4 processes beside what the cost model says.  Some minutes.
"""

import argparse
import contextlib
import os
import time

import numpy as np
from distributed import Client, LocalCluster

import fastntk
from benchmarks.processor import forced, warning
from fastntk.distributed import Workers
from fastntk.distributed.errands import processor
from fastntk.engines.path import teams

CORES = sorted(os.sched_getaffinity(0))
STEPS, LR = 100, 0.1
PIECE = 2**27  # bytes that tell the bandwidth


@contextlib.contextmanager
def workers(count):
    """A client of processes of one thread, each on one core."""

    def pin(dask_worker):
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), {CORES[dask_worker.name % len(CORES)]})

    with (
        LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        client.run(pin)
        yield client


def trained(X, y, width, parts, client=None):
    """Seconds of a run of so many parts, and the run."""
    teams.SIZE = width // parts  # this process alone cuts networks
    threads = None if client else len(CORES)
    began = time.perf_counter()
    run = fastntk.train(X, y, width=width, steps=STEPS, lr=LR, engine="path", threads=threads, client=client)
    return time.perf_counter() - began, run


def round_seconds(client, n, repeats=30):
    """Seconds of a round in which there is nothing to compute: residuals go to a worker, a share is made and comes."""
    workers = Workers.of(client)
    e = np.zeros((STEPS, n), np.float32)
    part, found = workers.keep(np.zeros, (2, STEPS, n), np.float32), []
    for _ in range(repeats):
        began = time.perf_counter()
        part = workers.keep(lambda part, e: part, part, workers.shared(e))
        workers.fetch(workers.keep(np.positive, part))
        found.append(time.perf_counter() - began)
    return float(np.median(found))


def bandwidth(client):
    """Bytes a second from a worker to this process."""
    far = Workers.of(client).keep(np.ones, PIECE // 8)
    client.gather(client.submit(np.sum, far))
    began = time.perf_counter()
    far.result()
    return PIECE / (time.perf_counter() - began)


def main(wide, table, parts=4):
    """All of it."""
    if forced():
        print(warning(forced()))
    X, y = fastntk.datasets.sphere(1000, 1000, seed=0)
    print(f"{processor()}, {len(CORES)} cores, n = d = 1000, {STEPS} steps\n")
    seconds, rows = {}, []
    with workers(2) as client:
        for width in (table, wide):  # compiles everywhere, then counts
            pairs = [
                [trained(X, y, width, 2)[0], trained(X, y, width, 2, client)[0]]
                for _ in range(1 if width == table else 2)
            ]
        here, there = np.min(pairs, axis=0)
        print(f"m = {wide}: this process {here:.1f} s, two workers {there:.1f} s, ratio {there / here:.2f}")
    for count in (1, 2, 4):
        with workers(count) as client:
            if count == 1:
                latency, rate = round_seconds(client, len(X)), bandwidth(client)
                print(f"a round in which nothing is computed: {1e3 * latency:.0f} ms, whatever m")
                print(f"a worker to this process: {rate / 1e9:.2f} GB/s\n")
            trained(X, y, table // 8, parts, client)
            seconds[count], run = trained(X, y, table, parts, client)
            rows.append(
                (count, sum(run.provenance["engine"]["rounds"]), run.provenance["cluster"]["bytes_moved"])
            )
    print("| processes | seconds | model | rounds | MB moved |\n|---:|---:|---:|---:|---:|")
    beside = [(rounds + 2) * latency + moved / rate for _, rounds, moved in rows]
    for (count, rounds, moved), apart in zip(rows, beside, strict=True):
        model = (seconds[1] - beside[0]) / min(count, len(CORES), parts) + apart
        print(f"| {count} | {seconds[count]:.1f} | {model:.1f} | {rounds} | {moved / 1e6:.1f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="narrow networks: does it run?")
    main(*((4096, 2048) if parser.parse_args().quick else (262144, 131072)))
