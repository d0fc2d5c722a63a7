"""gram_interval: exact binomial intervals, with the promised coverage."""

import numpy as np
import pytest
from scipy import stats

import fastntk
from fastntk.matrices.intervals import clopper_pearson


@pytest.mark.parametrize("m", [1, 2, 65, 1000])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_the_ends_are_those_of_the_definition(m, level):
    """At the lower end p, P(C >= c) is (1 - level) / 2; at the upper one P(C <= c) is."""
    counts = np.arange(m + 1)
    lower, upper = clopper_pearson(counts, m, level)
    assert lower[0] == 0
    assert upper[-1] == 1
    tail = (1 - level) / 2
    np.testing.assert_allclose(stats.binom.sf(counts[1:] - 1, m, lower[1:]), tail, rtol=1e-9)
    np.testing.assert_allclose(stats.binom.cdf(counts[:-1], m, upper[:-1]), tail, rtol=1e-9)
    assert (lower < counts / m + 1e-15).all()
    assert (upper > counts / m - 1e-15).all()


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("width", [30, 3000])
def test_coverage(level, width, problem):
    """Entries of one matrix share neurons: many small ones with their own seeds, 10 * 20 * 19 / 2 pairs and more."""
    covered = []
    for seed in range(20):
        X = problem(20, 3, 1).X
        found = fastntk.gram_interval(X, width=width, seed=seed, level=level)
        limit = fastntk.limit_gram(X)
        covered.append(((found.lower <= limit) & (limit <= found.upper)).mean())
    assert np.mean(covered) >= level - 0.01
    assert np.mean(covered) < 1


def test_shapes_and_symmetry(problem):
    p, q = problem(45, 4, 500), problem(30, 4, 1)
    found = fastntk.gram_interval(p.X, p.W)
    assert found.level == 0.95
    np.testing.assert_allclose(found.gram, fastntk.gram(p.X, p.W), rtol=1e-14, atol=0)
    for part in (found.gram, found.lower, found.upper):
        assert part.dtype == np.float64
        assert np.array_equal(part, part.T)
    assert (found.lower <= found.gram).all()
    assert (found.gram <= found.upper).all()
    assert (found.gram < 0).any()  # where the ends change places
    cross = fastntk.gram_interval(p.X, p.W, q.X)
    stacked = fastntk.gram_interval(np.concatenate((p.X, q.X)), p.W)
    masks = tuple(fastntk.activation_masks(X, p.W) for X in (p.X, q.X))
    known = fastntk.gram_interval(p.X, Z=q.X, masks=masks)
    for name in ("gram", "lower", "upper"):
        np.testing.assert_allclose(getattr(cross, name), getattr(stacked, name)[:45, 45:], rtol=1e-12)
        assert np.array_equal(getattr(cross, name), getattr(known, name))


def test_many_neurons_and_few_entries(problem):
    """Counts further apart than there are entries: no table of all of them."""
    X = problem(3, 4, 1).X
    found = fastntk.gram_interval(X, width=20000)
    inner = X @ X.T
    counts = np.rint(found.gram / inner * 20000).astype(int)
    lower, upper = clopper_pearson(counts, 20000, 0.95)
    ends = np.sort(np.stack((inner * lower, inner * upper)), axis=0)
    np.testing.assert_allclose(np.stack((found.lower, found.upper)), ends, rtol=1e-12)


def test_zero_rows():
    found = fastntk.gram_interval([[0.0, 0.0], [1.0, 0.0]], width=50)
    for part in (found.gram, found.lower, found.upper):
        assert (part[0] == 0).all()
    assert found.lower[1, 1] < 0.5 < found.upper[1, 1]


@pytest.mark.parametrize("level", [0, 1, -0.5, 2, np.nan])
def test_bad_levels(level):
    with pytest.raises(ValueError, match="level must be"):
        fastntk.gram_interval(np.eye(2), width=3, level=level)


def test_bad_sources():
    with pytest.raises(ValueError, match="exactly one of W, masks and width must be given, got none"):
        fastntk.gram_interval(np.eye(2))
    with pytest.raises(TypeError, match="level must be a number, got 'high'"):
        fastntk.gram_interval(np.eye(2), width=3, level="high")
