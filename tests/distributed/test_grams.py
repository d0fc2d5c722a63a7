"""Blocks of a matrix that workers write: the same bits as in one process, whatever happens to a worker."""

import resource

import h5py
import numpy as np
import pytest
import zarr

import fastntk
from fastntk.distributed import Workers
from fastntk.matrices.finite import gram_source
from fastntk.matrices.limit import limit_source
from fastntk.matrices.tiled.whole import fill_target, target_of

N, SIDE = 90, 16
BLOCKS = 21


@pytest.fixture
def source(rng):
    return limit_source(rng.standard_normal((N, 7)))


@pytest.fixture
def workers(client):
    return Workers.of(client)


def places(folder, shape, dtype):
    """One of each kind of place that workers can write to."""
    mapped = np.memmap(folder / "m.bin", dtype, "w+", 64, (shape[0] + 1, *shape[1:]))
    store = zarr.create_array(folder / "s.zarr", shape=shape, dtype=dtype, chunks=(8, 4))
    return [folder / "K.npy", folder / "K.h5", mapped[1:], store]


def read(result):
    if hasattr(result, "suffix"):
        with h5py.File(result) as file:
            return file["gram"][:]
    return result[:]


def test_all_places_hold_the_bits_of_one_process(source, workers, tmp_path):
    expected = fill_target(source, target_of(tmp_path / "here.npy", source), False, SIDE)
    for out in places(tmp_path, source.shape, source.dtype):
        result = fill_target(source, target_of(out, source), False, SIDE, workers)
        assert np.array_equal(read(result), expected)
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".journal", ".partial")]


def test_public_functions(client, rng, tmp_path):
    X, Z, W = (rng.standard_normal((size, 7)) for size in (40, 30, 70))
    np.save(tmp_path / "W.npy", W)
    mapped = np.load(tmp_path / "W.npy", mmap_mode="r")[1:]
    options = {"dtype": "float32", "client": client}
    found = fastntk.limit_gram(X, layers="both", depth=2, out=tmp_path / "L.npy", **options)
    assert np.array_equal(found, fastntk.limit_gram(X, layers="both", depth=2, dtype="float32"))
    folder = fastntk.limit_gram(X, Z, out=tmp_path / "L.zarr", client=client)
    assert np.array_equal(zarr.open_array(folder)[:], fastntk.limit_gram(X, Z))
    for name, neurons in (("drawn", {"width": 200}), ("held", {"W": W[1:]}), ("mapped", {"W": mapped})):
        H = fastntk.gram(X, **neurons, layers="both", out=tmp_path / f"{name}.npy", **options)
        assert np.array_equal(H, fastntk.gram(X, **neurons, layers="both", dtype="float32"))


def test_a_mapped_file_of_weights_travels_by_its_name(rng, tmp_path, workers):
    W = np.memmap(tmp_path / "W", np.float32, "w+", 0, (4000, 7))
    W[:] = rng.standard_normal(W.shape)
    source = gram_source(rng.standard_normal((10, 7)), W)
    fill_target(source, target_of(tmp_path / "K.npy", source), False, SIDE, workers)
    assert workers.record()["bytes_moved"] < W.nbytes / 10


def test_kept_patterns_are_made_on_the_worker(rng, workers, tmp_path):
    source = gram_source(rng.standard_normal((N, 7)), width=300)
    expected = fill_target(source, target_of(tmp_path / "here.npy", source), False, SIDE)
    found = fill_target(source, target_of(tmp_path / "there.npy", source), False, SIDE, workers)
    assert np.array_equal(found, expected)


def test_killed_worker(source, workers, kill, tmp_path):
    expected = fill_target(source, target_of(tmp_path / "here.npy", source), False, SIDE)
    reached = []

    def watch(done, total):
        reached.append(done / total)
        kill()

    found = fill_target(source, target_of(tmp_path / "there.npy", source), watch, SIDE, workers)
    assert kill.killed
    assert len(reached) == BLOCKS
    assert reached[-1] == 1.0
    assert np.array_equal(found, expected)


class Stop(Exception):
    pass


def test_begun_there_and_finished_here_and_the_other_way(source, workers, tmp_path):
    expected = fill_target(source, target_of(tmp_path / "whole.npy", source), False, SIDE)

    def stop(done, total):
        if done > total / 2:
            raise Stop

    reached = []
    for first, second in ((workers, None), (None, workers)):
        with pytest.raises(Stop):
            fill_target(source, target_of(tmp_path / "K.npy", source), stop, SIDE, first)
        reached.clear()
        target = target_of(tmp_path / "K.npy", source)
        found = fill_target(source, target, lambda done, total: reached.append(done), SIDE, second)
        assert 0 < len(reached) < 0.6 * BLOCKS
        assert np.array_equal(found, expected)
        (tmp_path / "K.npy").unlink()


def test_full_disk_at_a_worker(source, client, workers, tmp_path):
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    client.run(resource.setrlimit, resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with pytest.raises(
            OSError, match=r"^\[Errno 27\] out: .*K.npy' cannot be written .* blocks are kept"
        ):
            fill_target(source, target_of(tmp_path / "K.npy", source), False, SIDE, workers)
    finally:
        client.run(resource.setrlimit, resource.RLIMIT_FSIZE, (hard, hard))
    found = fill_target(source, target_of(tmp_path / "K.npy", source), False, SIDE, workers)
    expected = fill_target(source, target_of(tmp_path / "here.npy", source), False, SIDE)
    assert np.array_equal(found, expected)


def test_storage_that_a_worker_does_not_see(source, client, workers, tmp_path, monkeypatch):
    target = target_of(tmp_path / "K.npy", source)

    def elsewhere(self=target):
        place = type(target).shared(self)
        place._path = tmp_path / "not" / "there"
        return place

    monkeypatch.setattr(target, "shared", elsewhere)
    with pytest.raises(FileNotFoundError, match="storage that all workers share"):
        fill_target(source, target, False, SIDE, workers)


@pytest.mark.parametrize("out", [None, "array"])
def test_memory_of_this_process_is_no_place(client, out):
    place = None if out is None else np.empty((3, 3))
    with pytest.raises(ValueError, match=r"^client needs out="):
        fastntk.limit_gram(np.eye(3), out=place, client=client)


def test_places_that_others_cannot_write(client, tmp_path):
    with h5py.File(tmp_path / "open.h5", "w") as file:
        for out in (
            file.create_dataset("K", (3, 3), "f8"),
            zarr.create_array({}, shape=(3, 3), dtype="float64"),
        ):
            with pytest.raises(ValueError, match="storage that all workers share"):
                fastntk.limit_gram(np.eye(3), out=out, dtype=out.dtype, client=client)


def test_chunks_that_two_blocks_would_share(source, workers, tmp_path):
    out = zarr.create_array(tmp_path / "s.zarr", shape=(N, N), dtype="float64", chunks=(20, 20))
    with pytest.raises(ValueError, match="chunks must divide the blocks"):
        fill_target(source, target_of(out, source), False, 16, workers)


def test_deep_networks_have_no_blocks(client, tmp_path):
    net = fastntk.DeepReLU.init(3, 4, 2)
    with pytest.raises(ValueError, match=r"^client computes the matrices of networks with one hidden layer"):
        fastntk.gram(np.eye(3), net=net, out=tmp_path / "K.npy", client=client)
