"""The client of a user: what is accepted, what is refused, and how a cluster that is gone is told."""

import pickle
import sys
import time

import numpy as np
import pytest
from distributed import Client, LocalCluster

import fastntk
from fastntk.base.errors import ClusterError
from fastntk.distributed import Task, Workers, workers
from fastntk.distributed.errands import versions
from fastntk.distributed.parcels import Parcel


def test_results_come_as_they_are_ready_and_are_all_there(client):
    here = Workers.of(client)
    found = {done.key: done.result for done in here.each(Task(i, divmod, (i, 7), i % 2) for i in range(20))}
    assert found == {i: divmod(i, 7) for i in range(20)}


def test_an_error_of_a_task_is_that_error_and_ends_the_others(client):
    here = Workers.of(client)
    with pytest.raises(ZeroDivisionError):
        list(here.each(Task(i, divmod, (1, i)) for i in (1, 0)))
    assert dict(done[:2] for done in here.each([Task("after", abs, (-1,))])) == {"after": 1}


def test_what_is_shared_travels_about_once_a_worker(client):
    here, value = Workers.of(client), np.zeros(10**5)
    given = here.shared(value)
    assert [done.result for done in here.each(Task(i, len, (given,)) for i in range(10))] == [10**5] * 10
    # Dask drops copies that nobody needs at that moment, so that it may travel once more.
    assert value.nbytes <= here.record()["bytes_moved"] <= 4 * value.nbytes
    assert Workers.of(client).record()["bytes_moved"] == 0


def test_what_a_worker_adds_to_a_value_does_not_travel():
    parcel = Parcel.of(fastntk.TwoLayerReLU.init(10, 100))
    size = len(pickle.dumps(parcel))
    parcel.value.more = np.zeros(10**5)
    assert len(pickle.dumps(parcel)) == size
    assert 4 * 1100 <= parcel.nbytes <= sys.getsizeof(parcel)
    assert np.array_equal(pickle.loads(pickle.dumps(parcel)).value.W, fastntk.TwoLayerReLU.init(10, 100).W)


def test_record_names_workers_hosts_and_versions(client):
    record = Workers.of(client).record()
    assert len(record["workers"]) == 2
    for facts in record["workers"]:
        assert facts["fastntk"] == fastntk.__version__
        assert facts["threads"] == 1
        assert facts["host"]
        assert facts["worker"].startswith("tcp://")


def test_kernels_run_on_the_threads_of_the_worker(client):
    def threads():
        from fastntk.compilation.launch import current_threads

        return current_threads()

    for whole in (True, False):
        assert [done.result for done in Workers.of(client).each([Task(0, threads, (), whole)])] == [1]


@pytest.mark.parametrize("client", ["tcp://127.0.0.1:8786", 2, object()])
def test_only_a_client_is_a_client(client):
    with pytest.raises(TypeError, match=r"^client must be a dask\.distributed\.Client, got"):
        Workers.of(client)


def test_without_dask_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"^client: .* pip install 'fastntk\[dask\]'$"):
        fastntk.limit_gram(np.eye(2), out="K.npy", client=object())


def test_closed_client(client):
    with Client(client.scheduler.address) as other:
        pass
    with pytest.raises(ClusterError, match="closed"):
        Workers.of(other)


def test_worker_of_another_version(client):
    def pretend(version):
        import fastntk

        fastntk.__version__ = version

    address = next(iter(client.nthreads()))
    client.run(pretend, "0.0.1", workers=[address])
    try:
        with pytest.raises(ClusterError, match=r"has fastntk 0\.0\.1 and this process"):
            Workers.of(client)
        late = Workers(client, {})  # one that joins after the check
        with pytest.raises(ClusterError, match=r"has fastntk 0\.0\.1 and this process"):
            list(late.each(Task(i, time.sleep, (0.05,)) for i in range(8)))
    finally:
        client.run(pretend, fastntk.__version__, workers=[address])
    assert len(Workers.of(client).found) == 2


def test_worker_with_another_library(client, monkeypatch):
    before = Workers.of(client)
    monkeypatch.setattr(workers, "versions", lambda: versions() | {"numba": "0.1"})
    for begin in (lambda: Workers.of(client), lambda: list(before.each([Task(0, abs, (1,))]))):
        with pytest.raises(ClusterError, match=r"has numba [\d.]+ and this process 0\.1"):
            begin()


def test_a_worker_that_is_dying_answers_nothing(client, monkeypatch):
    here, run = Workers.of(client), client.run

    def one_short(function, on_error="raise"):
        found = run(function)
        return {**found, next(iter(found)): OSError("reset by peer")}

    monkeypatch.setattr(client, "run", one_short)
    assert len(Workers.of(client).found) == 1
    assert here.record()["bytes_moved"] >= 0


def test_other_processors_are_named(client, monkeypatch):
    monkeypatch.setattr(workers, "processor", lambda: "a loom")
    with pytest.warns(
        UserWarning, match=r"^client: kernels are for a loom in this process, and on workers for .* BLAS"
    ):
        Workers.of(client)


def test_workers_that_begin_with_an_empty_cache_of_kernels(tmp_path):
    """Both compile the same kernel at the same time."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    masks = fastntk.activation_masks(np.eye(3), np.eye(3))
    with (
        LocalCluster(**options, env={"NUMBA_CACHE_DIR": str(tmp_path)}) as cluster,
        Client(cluster) as client,
    ):
        done = list(Workers.of(client).each(Task(i, fastntk.flip_count, (masks, masks)) for i in range(8)))
    assert [one.result for one in done] == 8 * [0]
    assert len({one.worker for one in done}) == 2
    assert [path.suffix for path in tmp_path.rglob("*.*")] == [".nbc"]
