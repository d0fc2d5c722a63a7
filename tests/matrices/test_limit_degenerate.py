"""Rows that make the limiting kernel singular are named; rows that nearly do are not."""

import numpy as np
import pytest

import fastntk
from tests.matrices.limit_cases import CASES, LAYERS, points


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_duplicates_and_antipodes(dtype: str) -> None:
    X = points(5, 40)
    for layers, depth in CASES:
        H = fastntk.limit_gram(
            np.concatenate([X, X, -X]), np.concatenate([X, X, -X]), layers, depth, dtype=dtype
        )
        square = fastntk.limit_gram(X, layers=layers, depth=depth, dtype=dtype)
        assert np.array_equal(np.diag(H)[:5], np.diag(square))
        assert np.array_equal(np.diag(H[:5, 5:10]), np.diag(square))
        if layers == "first":
            opposite = np.diag(H[:5, 10:])
            assert np.array_equal(opposite, np.zeros(5))
            assert not np.signbit(opposite).any()


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1, 0], [0, 0], [0, 1]], "row 1 of X is zero: lambda_min"),
        ([[1, 0], [0, 1], [0, 0], [0, 0]], r"row 2 of X is zero \(and 1 more\)"),
        ([[1, 2], [0, 1], [3, 6]], "rows 0 and 2 of X are positive multiples"),
        ([[1, 2], [0, 1], [1, 2]], "rows 0 and 2 of X are positive multiples"),
        ([[1, 2], [0, 1], [-0.1, -0.2]], "rows 0 and 2 of X point in opposite directions"),
    ],
)
def test_rows_that_make_the_matrix_singular_are_named(X: list, message: str) -> None:
    with pytest.warns(fastntk.SingularGramWarning, match=message) as caught:
        fastntk.limit_gram(np.array(X, dtype=np.float64))
    assert len([w for w in caught if w.filename == __file__]) == len(caught) >= 1


def test_many_copies_are_counted_in_one_warning() -> None:
    X = points(2, 3)
    with pytest.warns(
        fastntk.SingularGramWarning, match=r"\(and 7 more pairs\) of X are positive multiples"
    ) as caught:
        fastntk.limit_gram(np.concatenate([X[:1]] * 11 + [X[1:]]))
    assert len(caught) == 1


def test_close_rows_are_no_copies() -> None:
    X = points(40, 6)
    fastntk.limit_gram(
        np.concatenate([X, X * (1 + 1e-9 * points(40, 6, seed=1))])
    )  # a warning would be an error


@pytest.mark.filterwarnings("ignore::fastntk.SingularGramWarning")
def test_zero_rows_give_zeros() -> None:
    X = np.array([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]])
    for layers in LAYERS:
        H = fastntk.limit_gram(X, layers=layers)
        assert np.array_equal(H[0], np.zeros(3))
        assert np.array_equal(fastntk.limit_gram(X, X, layers=layers)[:, 0], np.zeros(3))
        assert H[1, 1] > 0
