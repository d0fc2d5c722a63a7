"""One run over workers: parts of the network are followed where they are, and the whole has the bits of one process."""

import os
import signal

import numpy as np
import pytest

import fastntk
from fastntk.distributed import Workers
from fastntk.engines.path import teams
from fastntk.engines.path.meter import Meter
from fastntk.engines.path.shares import Share

X, Y = fastntk.datasets.sphere(40, 30, seed=0)
RUN = {"width": 1000, "steps": 12, "lr": 0.3, "engine": "path"}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Only this process cuts networks."""
    monkeypatch.setattr(teams, "SIZE", 192)


def same(one, other):
    assert one.series.keys() == other.series.keys()
    for name, values in one.series.items():
        assert np.array_equal(values, other.series[name]), name
    assert np.array_equal(one.net.weights(100, 400), other.net.weights(100, 400))


@pytest.mark.parametrize(
    "options",
    [{}, {"optimizer": "nesterov", "loss": "huber", "dtype": "float64"}, {"metrics": "all", "lr": 1.0, "steps": 20}],
    ids=["plain", "momentum", "metrics"],
)  # fmt: skip
def test_bits_of_one_process(client, options):
    expected = fastntk.train(X, Y, **RUN | options)  # first: else three processes compile the same kernels
    found = fastntk.train(X, Y, **RUN | options, client=client)
    same(found, expected)
    cluster = found.provenance["cluster"]
    assert len(cluster["workers"]) == 2
    assert cluster["bytes_moved"] > 0


def test_several_windows(client):
    few = X[:, :15] / np.linalg.norm(X[:, :15], axis=1, keepdims=True)
    lr = 1.05 * 2.0 / float(np.linalg.eigvalsh(fastntk.limit_gram(few))[-1])
    options = RUN | {"lr": lr, "steps": 40, "width": 400, "optimizer": "gd"}
    found = fastntk.train(few, Y, **options, client=client)
    assert len(found.provenance["engine"]["rounds"]) > 1
    same(found, fastntk.train(few, Y, **options))


def test_flow(client):
    options = {"width": 1000, "dynamics": "flow", "t_final": 1.0, "tolerance": 1e-3, "engine": "path"}
    found = fastntk.train(X, Y, **options, client=client)
    assert found.provenance["engine"]["name"] == "path"
    assert found.provenance["cluster"]["bytes_moved"] > 0
    same(found, fastntk.train(X, Y, **options))


def test_weights_that_are_given_travel(client, rng):
    net = fastntk.TwoLayerReLU(rng.standard_normal((500, 30)), rng.standard_normal(500))
    options = {"net": net, "steps": 5, "lr": 0.1, "engine": "path"}
    found = fastntk.train(X, Y, **options, client=client)
    same(found, fastntk.train(X, Y, **options))


def test_parts_are_close_to_the_whole(client, monkeypatch):
    """The parts' own way of making outputs from events ends where that of the whole network does."""
    found = fastntk.train(X, Y, **RUN, client=client, dtype="float64")
    monkeypatch.setattr(teams, "SIZE", 10**6)
    whole = fastntk.train(X, Y, **RUN, dtype="float64")
    np.testing.assert_allclose(found.loss, whole.loss, rtol=1e-11)
    assert np.array_equal(found.flips, whole.flips)


@pytest.mark.parametrize("step", ["begin", "sweep", "close"])
def test_killed_worker(client, monkeypatch, step):
    expected = fastntk.train(X, Y, **RUN)
    killed, keep = [], Workers.keep

    def killing(self, function, *arguments, at=None):
        future = keep(self, function, *arguments, at=at)
        if not killed and step in arguments:
            pids = client.run(os.getpid)
            victim = next(iter(pids))
            killed.append(victim)
            os.kill(pids[victim], signal.SIGKILL)
        return future

    monkeypatch.setattr(Workers, "keep", killing)
    found = fastntk.train(X, Y, **RUN, client=client)
    assert killed
    same(found, expected)


def test_progress_of_rounds(client, monkeypatch):
    """Parts are told as they are done: six of them, one by one or two at a time."""
    shares, reached = [], []
    monkeypatch.setattr(Meter, "__call__", lambda self, share: shares.append(share))
    fastntk.train(X, Y, **RUN, client=client)
    assert set(shares) <= {part / 6 for part in range(1, 7)}
    assert shares[-1] == 1.0
    monkeypatch.undo()
    monkeypatch.setattr(teams, "SIZE", 192)
    fastntk.train(X, Y, **RUN, client=client, progress=lambda step, steps: reached.append((step, steps)))
    assert reached == sorted(set(reached))
    assert reached[-1] == (12, 12)


def test_a_network_of_one_part_is_left_to_this_process(client, monkeypatch):
    monkeypatch.setattr(teams, "SIZE", 10**6)
    found = fastntk.train(X, Y, **RUN, client=client)
    assert found.provenance["cluster"]["bytes_moved"] == 0
    same(found, fastntk.train(X, Y, **RUN))


def socket_bytes(client):
    """What workers get from others and send to anybody; a function that tells it and ends the counting."""

    def begin(ports):
        from tornado.iostream import IOStream

        IOStream.counted, IOStream.before = [], (IOStream.read_from_fd, IOStream.write_to_fd)
        read, write = IOStream.before

        def reading(self, buffer):
            got = read(self, buffer)
            if got and self.socket is not None and self.socket.getpeername()[1] not in ports:
                IOStream.counted.append(got)
            return got

        def writing(self, data):
            gone = write(self, data)
            IOStream.counted.append(gone)
            return gone

        IOStream.read_from_fd, IOStream.write_to_fd = reading, writing

    def end():
        from tornado.iostream import IOStream

        IOStream.read_from_fd, IOStream.write_to_fd = IOStream.before
        return sum(IOStream.counted)

    client.run(begin, [int(address.rpartition(":")[2]) for address in client.nthreads()])
    return lambda: sum(client.run(end).values())


def test_bytes_of_a_run(client, monkeypatch):
    """A hundred steps for a thousand samples in a thousand dimensions, with the bytes that the sockets saw."""
    monkeypatch.setattr(teams, "SIZE", 1024)
    many, labels = fastntk.datasets.sphere(1000, 1000, seed=0)
    count = socket_bytes(client)
    run = fastntk.train(many, labels, width=2048, steps=100, lr=0.01, engine="path", client=client)
    seen, told = count(), run.provenance["cluster"]["bytes_moved"]
    assert 0.98 * seen < told < seen < 20e6


def test_counts_of_very_wide_networks_fit():
    half = Share({"sums": np.full((2, 2), 1.5e9)}, {})
    for width, kind in ((2**32 - 1, np.uint32), (2**32, np.uint64)):
        assert half.packed(0.5, width).added["sums"].dtype == kind


def test_bytes_do_not_grow_with_the_width(client):
    moved = [
        fastntk.train(X, Y, **RUN | {"width": width}, client=client).provenance["cluster"]["bytes_moved"]
        for width in (8 * 192, 32 * 192)
    ]
    assert moved[1] < 1.01 * moved[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "dual"}, "engine='path', one hidden layer, got engine='dual'"),
        ({"engine": "auto", "depth": 2}, "got several hidden layers"),
        ({"engine": "auto", "batch_size": 5}, "path"),
    ],
)
def test_what_one_run_cannot_be(client, options, message):
    with pytest.raises(ValueError, match=message):
        fastntk.train(X, Y, **RUN | options, client=client)
