"""Plans: sizes and operations are exact, times follow from measured rates, nothing large is touched."""

import shutil
import time
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

import fastntk
from fastntk.matrices import calibration, planning
from fastntk.matrices.calibration import BlockTimes, Matrix
from fastntk.matrices.limit import limit_source
from fastntk.matrices.tiled import compute
from fastntk.matrices.tiled.blocks import Blocks


@pytest.fixture
def rates(monkeypatch):
    """A machine on which a pair takes a nanosecond, and a disk of 100 MB a second."""
    monkeypatch.setattr(
        planning, "fill_rates", lambda matrix, symmetric: BlockTimes(1.0, 1e-9, 1e-3, 1e-8, 1e-10)
    )
    monkeypatch.setattr(planning, "write_rate", lambda folder: 1e8)


def test_a_limit_in_memory(rates):
    plan = fastntk.plan((3000, 50), layers="both", depth=4, dtype="float32")
    pairs = 3000 * 3001 // 2
    assert (plan.result_bytes, plan.disk_bytes, plan.disk_available) == (36_000_000, 0, 0)
    assert 0 < plan.resident_bytes - 36_000_000 - 8 * 50 * 3000 < 4e6  # of scratch
    assert (plan.multiply_adds, plan.bit_products, plan.kernel_values) == (50 * pairs, 0, 4 * pairs)
    assert (plan.blocks, plan.block, plan.fits) == (1, (3000, 3000), True)
    assert plan.seconds == pytest.approx(1.0 + 1e-9 * pairs)
    table = str(plan).splitlines()
    assert table[0].split(maxsplit=1) == [
        "matrix",
        "3000 x 3000, d = 50, limit, layers both, depth 4, float32",
    ]
    assert {line.split()[0] for line in table} >= {"result", "memory", "disk", "blocks", "time", "fits"}
    assert "34.33 MiB" in table[2]
    assert table[-1].split() == ["fits", "yes"]


def test_arrays_and_pairs_mean_the_same(rates):
    X, Z = np.ones((30, 4)), np.ones((20, 4))
    assert (
        fastntk.plan(X)
        == fastntk.plan((30, 4))
        == fastntk.plan((np.int64(30), 4))
        == fastntk.plan(X.tolist())
    )
    crossed = fastntk.plan(X, Z)
    assert crossed == fastntk.plan((30, 4), (20, 4)) == fastntk.plan((30, 4), 20)
    assert (crossed.shape, crossed.multiply_adds) == ((30, 20), 30 * 20 * 4)


def test_a_network(rates):
    n, d, m = 1000, 10, 4096
    pairs = n * (n + 1) // 2
    kept = fastntk.plan((n, d), width=m)
    assert kept.bit_products == pairs * m
    assert kept.multiply_adds == pairs * d + n * d * m
    assert 8 * n * n + 8 * n * d + n * m // 8 <= kept.resident_bytes < 8 * n * n + 8 * n * d + n * m
    assert kept.seconds == pytest.approx(1 + 1e-9 * pairs + m * (1e-3 + 1e-8 * n + 1e-10 * pairs))
    assert fastntk.plan((n, d), width=m, layers="second").bit_products == 0
    both = fastntk.plan((n, d), width=m, layers="both")
    assert both.multiply_adds == pairs * (d + m) + n * d * m
    assert (
        fastntk.plan((n, d), width=10**7).resident_bytes < 16 * n * n + 2**27
    )  # passes, nothing of size n m


def test_a_file(rates, tmp_path):
    out = tmp_path / "not" / "yet" / "K.npy"
    plan = fastntk.plan((50_000, 100), dtype="float32", out=out)
    assert plan.disk_bytes == plan.result_bytes == 10**10
    assert plan.resident_bytes < 400e6
    assert (plan.blocks, plan.block) == (55, (5120, 5120))
    assert plan.kernel_values == 50_000 * 50_001 // 2  # no pair is computed twice
    assert 100 < plan.seconds < 105  # the disk is slower than the kernel
    assert plan.out == str(out)
    assert not (tmp_path / "not").exists()
    huge = fastntk.plan((10**7, 3), out=str(out))
    assert not huge.fits
    assert str(huge).splitlines()[-1].split(maxsplit=1) == ["fits", "no: disk too small"]
    assert "days" in str(huge)
    assert "memory too small" in str(fastntk.plan((10**7, 3)))


def test_opened_targets(rates, tmp_path, monkeypatch):
    mapped = np.memmap(tmp_path / "K.dat", "f8", "w+", shape=(400, 400))
    with h5py.File(tmp_path / "K.h5", "w") as file:
        dataset = file.create_dataset("K", (400, 400), "f8")
        for out in (mapped, dataset):
            assert fastntk.plan((400, 3), out=out).disk_bytes == mapped.nbytes
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    assert not fastntk.plan((400, 3), out=mapped).fits
    mapped[:] = 1.0
    mapped.flush()
    assert fastntk.plan((400, 3), out=mapped).fits  # its space is taken already
    assert fastntk.plan((400, 3), out=np.empty((400, 400))).disk_bytes == 0


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (((0, 3),), {}, ValueError, "rows of X must be at least 1"),
        (((3, 0),), {}, ValueError, "columns of X"),
        (((3, 4, 5),), {}, ValueError, r"pair \(n, d\)"),
        ((7,), {}, ValueError, r"pair \(n, d\)"),
        (((3.5, 2),), {}, TypeError, "rows of X must be an integer"),
        (((3, 2), (3, 4)), {}, ValueError, "same number of columns"),
        (((3, 2), 0), {}, ValueError, "Z must be at least 1"),
        (((3, 2),), {"layers": "third"}, ValueError, "layers"),
        (((3, 2),), {"depth": 0}, ValueError, "depth"),
        (((3, 2),), {"depth": 2}, ValueError, "depth must be 1 for layers='first'"),
        (((3, 2),), {"width": 0}, ValueError, "width"),
        (((3, 2),), {"width": 8, "depth": 2, "layers": "both"}, ValueError, "layers at depth 2 must be"),
        (((3, 2),), {"dtype": "int8"}, ValueError, "dtype"),
        (((3, 2),), {"out": "K.txt"}, ValueError, r"out must be a file name ending in \.npy"),
    ],
)
def test_bad_arguments(rates, arguments, options, error, message):
    with pytest.raises(error, match=message):
        fastntk.plan(*arguments, **options)


def test_the_rates_are_those_of_this_machine():
    """Within a factor of 2 on a quiet machine; here only that the order of magnitude is right."""
    calibration._limit_rates.cache_clear()
    X = np.random.default_rng(0).standard_normal((2500, 300))
    seconds = []
    for _ in range(3):
        source = limit_source(X)
        began = time.perf_counter()
        compute(source)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) / 5 < fastntk.plan(X).seconds < 5 * max(seconds)


def test_rates_are_measured_once_and_never_negative(monkeypatch, tmp_path):
    assert calibration.fill_rates(Matrix(3, None, "both", 2, "float32"), True).pair > 0
    monkeypatch.setattr(calibration, "_fill_time", lambda make: pytest.fail("measured again"))
    calibration.fill_rates(Matrix(3, None, "both", 2, "float32"), True)
    monkeypatch.undo()
    found = calibration.fill_rates(Matrix(5, 100, "first", 1, "float64"), True)
    assert min(found.call, found.pair, found.neuron, found.activation, found.match) >= 0
    # At sizes where a call's own time, which a busy machine makes longer, does not count.
    assert found.seconds(1, 10**8, 10**6, 10**6) > 10 * found.seconds(1, 10**6, 10**4, 10**5) > 0
    assert calibration.write_rate(tmp_path) > 1e5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("Z", [None, 25_000])
def test_every_block_applies_the_neurons_to_its_own_points(rates, tmp_path, Z):
    n, d, m = 12_000, 10, 10**6
    plan = fastntk.plan((n, d), Z, width=m, layers="second", out=tmp_path / "K.npy")
    blocks = Blocks(plan.shape, Z is None, *plan.block)
    assert plan.blocks == len(blocks)
    points = 0
    for i, j in blocks:
        rows, columns = blocks.slices((i, j))
        points += rows.stop - rows.start
        points += 0 if Z is None and i == j else columns.stop - columns.start
    pairs = sum(blocks.entries(place) for place in blocks)
    assert plan.multiply_adds == pairs * (d + m) + points * d * m


@pytest.mark.parametrize("layers", ["hidden", "all", (2,), 3, "output"])
def test_a_deep_network_is_planned_by_what_it_takes(layers, monkeypatch):
    monkeypatch.setattr(planning, "deep_rate", lambda: 1e9)
    n, d, widths = 50, 7, (20, 30, 40)
    plan = fastntk.plan((n, d), width=widths, layers=layers, depth=3, dtype="float32")
    numbers = {"hidden": (1, 2, 3), "all": (1, 2, 3, 4), (2,): (2,), 3: (3,), "output": (4,)}[layers]
    inputs, pairs = (7, 20, 30, 40), n * (n + 1) // 2
    products = n * (7 * 20 + 20 * 30 + 30 * 40)
    products += sum(n * widths[h] * widths[h - 1] for h in (1, 2) if h + 1 > numbers[0])
    products += sum(pairs * inputs[layer - 1] for layer in numbers)
    products += sum(pairs * widths[layer - 1] for layer in numbers if layer < 3)
    assert plan.multiply_adds == products
    assert plan.bit_products == (pairs * 40 if 3 in numbers else 0)
    assert plan.seconds == pytest.approx(products / 1e9)
    assert plan.result_bytes == 4 * n * n
    weights = 4 * (7 * 20 + 20 * 30 + 30 * 40 + 40)
    assert plan.training_bytes == weights + 4 * n * (7 + 90) + n * (90 // 8) + n * 90 // 8 + 4 * n * 40
    assert plan.resident_bytes > weights + 4 * n * (7 + 90) + 4 * 8 * n * n
    assert "20, 30, 40" in str(plan)
    assert "training" in str(plan)


def test_a_deep_network_takes_about_the_time_of_its_plan():
    X, net = np.random.default_rng(0).standard_normal((1000, 300)), fastntk.DeepReLU.init(300, 1500, 3)
    plan = fastntk.plan(X, width=1500, depth=3)
    fastntk.gram(X, net=net)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        fastntk.gram(X, net=net)
        times.append(time.perf_counter() - began)
    assert 1 / 8 < plan.seconds / min(times) < 8  # of a shared machine; 2 on a quiet one
    assert plan.fits


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Z": 5}, "Z and out must not be given with a width at a depth above 1"),
        ({"out": "K.npy"}, "Z and out must not be given"),
        ({"width": (5, 5, 5)}, "width must be an integer or one for each of the 2 hidden layers"),
        ({"layers": 4}, "layers must be numbers from 1 to 3 at depth 2"),
        ({"layers": "both"}, "layers at depth 2 must be one of 'hidden', 'output', 'all', got 'both'"),
    ],
)
def test_bad_plans_of_deep_networks(change, words):
    with pytest.raises(ValueError, match=words):
        fastntk.plan((10, 3), **{"width": 5, "depth": 2, **change})
