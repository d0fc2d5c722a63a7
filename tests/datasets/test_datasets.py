"""Data sets: reproducible to the digit, files that survive a round trip, errors that say where."""

import math
import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastntk import datasets, reference


class LegacyNormals:
    """NumPy's legacy normal stream, rebuilt from its published parts without NumPy.

    Knuth's seeding of the Mersenne Twister, 53-bit uniforms as in Python's own generator, Marsaglia's polar method.
    """

    def __init__(self, seed):
        state = [seed]
        for i in range(1, 624):
            state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + i) % 2**32)
        self.twister = random.Random()
        self.twister.setstate((3, (*state, 624), None))
        self.spare = None

    def normal(self):
        if self.spare is not None:
            value, self.spare = self.spare, None
            return value
        square = 0.0
        while not 0 < square < 1:
            x, y = 2 * self.twister.random() - 1, 2 * self.twister.random() - 1
            square = x * x + y * y
        factor = math.sqrt(-2 * math.log(square) / square)
        self.spare = factor * x
        return factor * y


def test_slides_is_the_legacy_stream():
    stream = LegacyNormals(1234)
    n, d = 5, 7
    rows = [[stream.normal() for _ in range(d)] for _ in range(n)]
    labels = [stream.normal() for _ in range(n)]
    X, y = datasets.slides(n, d)
    assert y.tolist() == labels
    expected = [[value / math.hypot(*row) for value in row] for row in rows]
    np.testing.assert_allclose(X, expected, rtol=4e-16)
    # The first draws of seed 1234, as the world knows them.
    drawn = [0.47143516373249306, -1.1909756947064645, 1.4327069684260973, -0.3126518960917129]
    assert rows[0][:4] == drawn


def test_slides_is_what_the_published_lines_give():
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(1234)  # noqa: NPY002
        X = np.random.normal(size=(1000, 1000))  # noqa: NPY002
        X /= np.linalg.norm(X, axis=1, keepdims=True)
        y = np.random.normal(size=1000)  # noqa: NPY002
    finally:
        np.random.set_state(state)  # noqa: NPY002
    got_X, got_y = datasets.slides()
    assert np.array_equal(got_X, X)
    assert np.array_equal(got_y, y)


@pytest.mark.parametrize("make", [datasets.sphere, datasets.slides])
def test_points_on_the_sphere(make):
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    X, y = make(20, 6, seed=5)
    assert X.dtype == y.dtype == np.float64
    assert X.shape == (20, 6)
    assert y.shape == (20,)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, rtol=4e-16)
    again = make(20, 6, seed=5)
    assert np.array_equal(again[0], X)
    assert np.array_equal(again[1], y)
    assert not np.array_equal(make(20, 6, seed=6)[0], X)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    assert np.abs(make(1, 1)[0]).tolist() == [[1.0]]


def test_sphere_is_the_default_generator():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 4))
    got_X, got_y = datasets.sphere(1000, 4)
    np.testing.assert_allclose(got_X, X / np.linalg.norm(X, axis=1)[:, None], rtol=4e-16)
    assert np.array_equal(got_y, rng.standard_normal(1000))


@pytest.mark.parametrize("make", [datasets.sphere, datasets.slides])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": 0, "d": 2}, ValueError, "n must be at least 1, got 0"),
        ({"n": 2, "d": -1}, ValueError, "d must be at least 1, got -1"),
        ({"n": 2, "d": 2, "seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"n": 2.5, "d": 2}, TypeError, "n must be an integer, got 2.5"),
        ({"n": 2, "d": 2, "seed": None}, TypeError, "seed must be an integer, got None"),
    ],
)
def test_bad_sizes(make, arguments, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make(**arguments)


def test_seed_beyond_the_legacy_stream():
    with pytest.raises(ValueError, match=re.escape("seed must be below 2**32")):
        datasets.slides(2, 2, seed=2**32)


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=40, deadline=None)
@given(
    table=st.integers(2, 5).flatmap(lambda k: st.lists(st.lists(FINITE, min_size=k, max_size=k), min_size=1))
)
def test_round_trip_is_bit_for_bit(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("data") / "data.csv"
    table = np.array(table)
    datasets.save_csv(path, table[:, :-1], table[:, -1])
    X, y = datasets.load_csv(path)
    assert X.tobytes() == np.ascontiguousarray(table[:, :-1]).tobytes()
    assert y.tobytes() == np.ascontiguousarray(table[:, -1]).tobytes()
    assert X.flags.c_contiguous


def test_round_trip_of_float32_and_of_the_published_size(tmp_path):
    X, y = datasets.slides(200, 50)
    datasets.save_csv(tmp_path / "a.csv", X.astype(np.float32), y.astype(np.float32))
    got_X, got_y = datasets.load_csv(str(tmp_path / "a.csv"))
    assert np.array_equal(got_X.astype(np.float32), X.astype(np.float32))
    assert np.array_equal(got_y, y.astype(np.float32))
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    "text",
    [
        "a,b,y\n1,2,3\n4,5,6\n",
        "a,b,y\r\n1,2,3\r\n4,5,6",
        "\ufeffa,b,y\n1,2,3\n\n4,5,6\n\n",
        '"a, first","b",y\n 1 ,"2",3.0\n+4,5e0,.6e1\n',
    ],
    ids=["plain", "crlf", "bom-and-blank-lines", "quotes-and-spaces"],
)
def test_dialects(tmp_path, text):
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode())
    X, y = datasets.load_csv(path)
    assert X.tolist() == [[1, 2], [4, 5]]
    assert y.tolist() == [3, 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n  \n", "is empty"),
        ("a,y\n", "no rows of numbers"),
        ("y\n1\n", "line 1: at least two columns"),
        ("0,1,2\n3,4,5\n", "line 1: it may be a header or data, say header=True or header=False"),
        ("a,b,y\n1,2,3\n4,5\n", "line 3: 2 columns, the header has 3"),
        ("a,b,y\n\n1,2,3,4\n1,2,3\n", "line 3: 4 columns, the header has 3"),
        ("a,b,y\n1,2,3\n4,five,6\n", "line 3, column 2 ('b'): 'five' is not a number"),
        ("a,b,y\n1,2,\n", "line 2, column 3 ('y'): '' is not a number"),
        ("a,b,y\n1_0,2,3\n", "line 2, column 1 ('a'): '1_0' is not a number"),
        ("a,b,y\n1,nan,3\n", "line 2, column 2 ('b'): 'nan' is not finite"),
        ("a,b,y\n1,2,-inf\n", "line 2, column 3 ('y'): '-inf' is not finite"),
        ("a,b,y\n1,2,1e999\n", "line 2, column 3 ('y'): '1e999' is not finite"),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        datasets.load_csv(path)
    assert repr(str(path)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read .*none\.csv.*No such file"):
        datasets.load_csv(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"cannot read .*[Dd]irectory"):
        datasets.load_csv(tmp_path)
    (tmp_path / "binary.csv").write_bytes(b"a,y\n\xff\xfe,1\n")
    with pytest.raises(ValueError, match="not UTF-8 text"):
        datasets.load_csv(tmp_path / "binary.csv")
    (tmp_path / "long.csv").write_text("a,y\n" + "1" * 200_000 + ",2\n")
    with pytest.raises(ValueError, match="line 2: not a CSV file"):
        datasets.load_csv(tmp_path / "long.csv")


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones(3), np.ones(3), "X must have 2 dimension(s), got shape (3,)"),
        (np.ones((0, 3)), np.ones(0), "X must not be empty, got shape (0, 3)"),
        (np.ones((2, 3)), np.ones(3), "y must have one entry for each row of X (2), got 3"),
        (np.ones((2, 3)), np.ones((2, 1)), "y must have 1 dimension(s), got shape (2, 1)"),
        (np.full((2, 3), np.nan), np.ones(2), "X must be finite"),
        (np.ones((2, 3)), np.array([1, np.inf]), "y must be finite"),
    ],
)
def test_nothing_is_written_when_the_data_are_bad(tmp_path, X, y, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        datasets.save_csv(tmp_path / "data.csv", X, y)
    assert not list(tmp_path.iterdir())


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "data.csv"
    datasets.save_csv(path, [[1.0]], [2.0])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        datasets.save_csv(path, [[3.0]], [4.0])
    assert path.read_text() == "0,y\n1.0,2.0\n"
    assert [file.name for file in tmp_path.iterdir()] == ["data.csv"]


@pytest.mark.parametrize("kind", ["gaussian", "sign"])
def test_random_labels(kind):
    X = datasets.sphere(4000, 2)[0]
    y = datasets.labels(X, kind, seed=3)
    assert y.dtype == np.float64
    assert np.array_equal(y, datasets.labels(X, kind, seed=3))
    assert not np.array_equal(y, datasets.labels(X, kind, seed=4))
    assert abs(y.mean()) < 5 / np.sqrt(4000)
    assert abs(y.std() - 1) < 0.1
    assert kind == "gaussian" or set(y) == {-1.0, 1.0}


@pytest.mark.parametrize("index", [0, 2, 6, -1, -7])
def test_eigenvector_labels(index):
    X = datasets.sphere(7, 4, seed=2)[0]
    H = reference.limit_gram(X)
    y = datasets.labels(X, "eigenvector", index=index)
    np.testing.assert_allclose(H @ y, np.linalg.eigvalsh(H)[index] * y, atol=1e-12)
    np.testing.assert_allclose(y @ y, 7.0)
    assert y[0] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "uniform"}, "kind must be one of 'gaussian', 'sign', 'eigenvector', got 'uniform'"),
        ({"kind": "eigenvector", "index": 3}, r"index must be below the number of samples \(3\), got 3"),
        ({"kind": "eigenvector", "index": -4}, "index must be at least -3, got -4"),
    ],
)
def test_bad_labels(arguments, message):
    with pytest.raises(ValueError, match=message):
        datasets.labels(np.eye(3), **arguments)
