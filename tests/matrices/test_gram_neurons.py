"""Neurons from an array, a file or a seed give the same Gram matrix, however they are cut into pieces."""

import numpy as np
import pytest

import fastntk
from fastntk import reference
from fastntk.matrices import blocks as gram_blocks
from fastntk.matrices import passes as gram_passes
from fastntk.matrices.finite import gram_source
from fastntk.matrices.neurons import DrawnNeurons
from fastntk.model.draws import Draws

# Small integers repeat rows, and rows of zeros are among them.
pytestmark = pytest.mark.filterwarnings("ignore::fastntk.SingularGramWarning")

LAYERS = ("first", "second", "both")


@pytest.fixture
def mapped(tmp_path):
    def make(W, name="W.npy"):
        np.save(tmp_path / name, W)
        return np.load(tmp_path / name, mmap_mode="r")

    return make


@pytest.fixture
def streaming(monkeypatch):
    """Keep no patterns, and read as few neurons at a time as can be."""

    def switch(piece_bytes=1):
        monkeypatch.setattr(gram_blocks, "KEPT_BYTES", 0)
        monkeypatch.setattr(gram_passes, "_PIECE_BYTES", piece_bytes)

    return switch


@pytest.mark.parametrize("width", [1, 2, 63, 64, 65, 127, 5000])
def test_drawn_neurons_are_those_of_a_network(width, problem, streaming):
    p = problem(40, 7, 1, np.float32)
    W = fastntk.TwoLayerReLU.init(7, width, seed=5).W
    expected = {layers: fastntk.gram(p.X, W, layers=layers) for layers in LAYERS}
    for small in (False, True):
        if small:
            streaming()
        for layers in LAYERS:
            found = fastntk.gram(p.X, width=width, seed=5, layers=layers)
            assert np.array_equal(found, expected[layers]), layers


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_the_stream_does_not_depend_on_the_pieces(size):
    pieces = list(DrawnNeurons(3, 700, 2).pieces(size))
    assert {len(piece) for piece in pieces[:-1]} <= {size}
    assert np.array_equal(np.concatenate(pieces), fastntk.TwoLayerReLU.init(3, 700, seed=2).W)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pieces_do_not_matter(dtype, problem, streaming):
    """Exactly for counts of real data; for sums over parts of 512 neurons too, as pieces are whole parts."""
    p, q = problem(50, 9, 9000, dtype), problem(70, 9, 1, dtype)
    cases = [
        (a, Z, layers) for a in (None, np.linspace(0, 1, 9000)) for Z in (None, q.X) for layers in LAYERS
    ]
    whole = [fastntk.gram(p.X, p.W, a, Z, layers=layers) for a, Z, layers in cases]
    for piece_bytes in (1, 2**19, 2**21):
        streaming(piece_bytes)
        for (a, Z, layers), expected in zip(cases, whole, strict=True):
            assert np.array_equal(fastntk.gram(p.X, p.W, a, Z, layers=layers), expected)


def test_a_pass_reads_all_neurons_once(problem, streaming, monkeypatch):
    streaming()
    p = problem(20, 3, 1)
    seen = []
    weights = Draws.weights

    def recorded(self, first, out):
        assert first == sum(seen)
        seen.append(len(out))
        weights(self, first, out)

    monkeypatch.setattr(Draws, "weights", recorded)
    fastntk.gram(p.X, width=3000, layers="both")
    assert sum(seen) == 3000
    assert len(seen) > 1


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4", "int16"])
def test_mapped_files(dtype, problem, mapped, streaming):
    p = problem(33, 5, 3000, integers=True)
    expected = {layers: reference.cross_gram(p.X, p.X, p.W, None, layers) for layers in LAYERS}
    for cut in (slice(None), slice(500, 2900, 3)):
        file = mapped(p.W.astype(dtype))[cut]
        assert isinstance(file, np.memmap)
        for layers in LAYERS:
            expected = reference.cross_gram(p.X, p.X, p.W[cut], None, layers)
            assert np.array_equal(fastntk.gram(p.X, file, layers=layers), expected)
    streaming()
    for layers in LAYERS:
        found = fastntk.gram(p.X, mapped(p.W.astype(dtype)), layers=layers)
        assert np.array_equal(found, reference.cross_gram(p.X, p.X, p.W, None, layers))
    one = gram_source(p.X, mapped(p.W.astype(dtype), "one.npy")).fingerprint()
    p.W[2999, 4] += 1
    assert gram_source(p.X, mapped(p.W.astype(dtype), "two.npy")).fingerprint() != one


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_bad_neuron_in_a_file_is_named(value, problem, mapped, streaming):
    streaming()
    p = problem(10, 4, 2000)
    p.W[1234, 2] = value
    file = mapped(p.W)
    for layers in LAYERS:
        with pytest.raises(
            ValueError, match=rf"W must be finite, got {value} at index \(1234, 2\): neuron 1234"
        ):
            fastntk.gram(p.X, file, layers=layers)


MEMORY = """
import json, resource
import numpy as np, fastntk
from fastntk.matrices import blocks as gram_blocks, passes as gram_passes
gram_blocks.KEPT_BYTES, gram_passes._PIECE_BYTES = 0, 2**22
X = np.random.default_rng(0).standard_normal((64, 50))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
fastntk.gram(X, width=100_000)
before = peak()
H = fastntk.gram(X, width=1_000_000)
print(json.dumps({"grown": peak() - before, "error": np.abs(H - fastntk.limit_gram(X)).max()}))
"""


def test_memory_does_not_grow_with_the_width(python):
    """A million neurons of 50 columns are 200 MB."""
    found = python(MEMORY)
    assert found["grown"] < 20
    assert found["error"] < 5 * 80 * 0.5 / 1000
