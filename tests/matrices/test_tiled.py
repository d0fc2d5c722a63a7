"""Matrices written block by block: the same numbers everywhere, in little memory, and how far it is."""

import os

import numpy as np
import psutil
import pytest

from fastntk.kernels.cpu.limit import EDGES
from fastntk.matrices.limit import limit_source
from fastntk.matrices.tiled import compute
from fastntk.matrices.tiled.blocks import UNIT, cut
from fastntk.matrices.tiled.whole import fill_target, target_of
from tests.matrices.tiled_targets import TARGETS, N, begin, blockwise, names, read


def test_a_narrow_matrix_needs_no_more_memory_than_it_has_entries(rng, tmp_path, monkeypatch):
    narrow = limit_source(rng.integers(-3, 4, (N, 7)), rng.integers(-3, 4, (2, 7)))
    monkeypatch.setattr("fastntk.base.memory.available_bytes", lambda: 3 * 8 * N * 2)
    assert np.array_equal(compute(narrow, tmp_path / "K.npy"), compute(narrow))


@pytest.mark.parametrize("kind", TARGETS)
def test_every_target_holds_the_same_numbers(tmp_path, source, cross, kind):
    for number, one in enumerate((source, cross)):
        folder = tmp_path / str(number)
        folder.mkdir()
        out = TARGETS[kind](folder, one)
        result = blockwise(one, out)
        np.testing.assert_array_equal(read(result), compute(one))
        assert not [name for name in names(folder) if "partial" in name or "journal" in name]
        if not isinstance(out, (str, os.PathLike)):
            assert result is out


def test_default_blocks_and_what_is_returned(tmp_path, source):
    expected = compute(source)
    mapped = compute(source, tmp_path / "K.npy")
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(np.load(tmp_path / "K.npy"), expected)
    assert compute(source, str(tmp_path / "K.hdf5")) == tmp_path / "K.hdf5"
    assert compute(source, tmp_path / "K.zarr") == tmp_path / "K.zarr"
    given = np.empty((N, N))
    assert compute(source, given) is given
    np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize(("dtype", "edge"), [(name, edge) for name in "fd" for edge in EDGES[name]])
@pytest.mark.parametrize("d", [30, 257])
def test_symmetric_to_the_bit_and_equal_to_the_whole_at_multiples_of_a_tile(
    tmp_path, rng, monkeypatch, dtype, edge, d
):
    """BLAS may sum in another order in a tile of another shape, so the tiles have to be those of the whole."""
    monkeypatch.setitem(EDGES, dtype, (edge,))
    X, Z = rng.standard_normal((3 * edge + 50, d)), rng.standard_normal((2 * edge + 9, d))
    for name, others in (("square", None), ("cross", Z)):
        source = limit_source(X, others, layers="both", dtype=dtype)
        for blocks in (edge, 2 * edge):
            target = target_of(tmp_path / f"{name}-{blocks}.npy", source)
            np.testing.assert_array_equal(fill_target(source, target, False, blocks), compute(source))


def test_blocks_start_at_multiples_of_every_tile():
    assert all(UNIT[np.dtype(name).itemsize] % edge == 0 for name in "fd" for edge in EDGES[name])


def test_any_blocks_make_a_symmetric_matrix(tmp_path, rng):
    source = limit_source(rng.standard_normal((300, 30)), layers="both")
    tiled = compute(source)
    uneven = fill_target(source, target_of(tmp_path / "L.npy", source), False, 77)
    np.testing.assert_array_equal(uneven, uneven.T)
    np.testing.assert_allclose(uneven, tiled, rtol=0, atol=1e-13 * tiled.max())


@pytest.mark.parametrize("shape", [(50000, 50000), (50000, 10), (10, 50000), (7000, 90000), (1, 1)])
@pytest.mark.parametrize("chunks", [(1, 1), (512, 512), (391, 782), (1, 50000), (7, 11)])
def test_blocks_cover_every_entry_once_and_keep_to_chunks(shape, chunks):
    for symmetric in {False, shape[0] == shape[1]}:
        blocks = cut(shape, symmetric, 4, chunks)
        assert blocks.height * min(blocks.width, shape[1]) * 4 <= 105e6
        assert len(blocks) == len(list(blocks))
        total = shape[0] * (shape[0] + 1) // 2 if symmetric else shape[0] * shape[1]
        assert sum(blocks.entries(place) for place in blocks) == total
        if chunks != (1, 50000):
            assert blocks.height % chunks[0] == blocks.width % chunks[1] == 0
        if chunks == (1, 1):
            assert blocks.height % 2560 == blocks.width % 2560 == 0


def test_resident_memory_does_not_grow_with_a_mapped_matrix(tmp_path, rng):
    source = limit_source(rng.standard_normal((6000, 3)), dtype="float32")
    resident = psutil.Process().memory_info
    out = np.memmap(tmp_path / "K.dat", "f4", "w+", shape=source.shape)
    small = limit_source(np.eye(3), dtype="float32")
    compute(small)
    before, after = resident().rss, []
    fill_target(source, target_of(out, source), lambda done, total: after.append(resident().rss), 1000)
    assert out.nbytes == 144_000_000
    assert max(after) - before < 60_000_000


def test_progress(source, tmp_path, capsys):
    calls = []
    for out in (None, tmp_path / "K.npy"):
        compute(source, out, progress=lambda *call: calls.append(call))
        compute(source, tmp_path / "L.npy", progress=True)
    assert calls == [(N * N, N * N), (N * (N + 1) // 2,) * 2]
    assert capsys.readouterr() == ("", "")  # no terminal


def test_the_bar_goes_on_where_the_computation_does(tmp_path, source, monkeypatch):
    made = []

    class Bar:
        def __init__(self, **look):
            made.append(look)
            self.n = look["initial"]

        def __enter__(self):
            return self

        def __exit__(self, *_):
            assert self.n == made[-1]["total"]

        def update(self, step):
            assert step > 0
            self.n += step

    begin(source, tmp_path / "K.npy", 6)
    monkeypatch.setattr("tqdm.tqdm", Bar)
    blockwise(source, tmp_path / "K.npy", progress=True)
    assert made[0]["disable"] is None  # silent unless stderr is a terminal
    assert (
        made[0]["initial"] == 48 * 49 // 2
    )  # six blocks: the first three rows of blocks; they count for no speed
