"""The figure of scale: which values it draws, the exponents it fits, what it refuses."""

import numpy as np
import pytest

from fastntk import Run, Sweep
from fastntk.plots.scaling import draw_scaling, ends, power, spans_decade

WIDTHS = (100, 400, 6400)


def runs(seeds=(0, 1), widths=WIDTHS):
    """Values that fall like known powers, with a factor of the seed; the log goes on before and after."""
    return [
        Run(
            steps=[0, 1, 2], flips=[0, 7, s * w**-0.5], drift=[0, 5, s * w**-0.4], gram_change=[0, 9, s * w**-0.6],
            gram_limit_distance=[s * w**-0.55, 3, 4], provenance={"width": w, "seed": s - 1},
        )
        for w in widths
        for s in (seed + 1 for seed in seeds)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "slope", "factor"),
    [
        ("flips", -0.5, 100.0),
        ("drift", -0.4, 1.0),
        ("gram_change", -0.6, 1.0),
        ("gram_limit_distance", -0.55, 1.0),
    ],
)
def test_exponents(name, slope, factor):
    widths, table = ends(runs(), name)
    assert widths == list(WIDTHS)
    np.testing.assert_allclose(table, factor * np.outer(np.array(WIDTHS) ** slope, [1.0, 2.0]))
    found = power(widths, table)
    assert found[0] == pytest.approx(slope)
    assert found[1] == pytest.approx(factor * 2**0.5)
    assert power(widths, table * 0.0) is None


def test_panels():
    figure = draw_scaling(runs())
    assert len(figure.axes) == 4
    drift = figure.axes[1]
    assert (drift.get_xscale(), drift.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in drift.get_legend().get_texts()] == ["fit: $m^{-0.400}$", "$m^{-1/2}$"]
    theory = drift.lines[-1]
    assert theory.get_ydata()[0] == pytest.approx(1.5 * 100**-0.4)
    assert theory.get_ydata()[-1] / theory.get_ydata()[0] == pytest.approx(1 / 8)


def test_series_that_are_not_logged_are_left_out(tmp_path):
    some = [Run(steps=[0, 1], drift=[0.0, 1.0 / w], provenance={"width": w, "seed": 0}) for w in (2, 30)]
    assert len(draw_scaling(some).axes) == 1
    assert Sweep(some).plot_scaling(tmp_path / "s.svg").read_bytes().startswith(b"<?xml")


def test_values_of_zero_have_no_power():
    still = [Run(steps=[0, 1], flips=[0.0, 0.0], provenance={"width": w, "seed": 0}) for w in (2, 30)]
    assert [text.get_text() for text in draw_scaling(still).axes[0].get_legend().get_texts()] == [
        "$m^{-1/2}$"
    ]


def test_spans_decade():
    assert spans_decade(runs(widths=(10, 100)))
    assert not spans_decade(runs(widths=(10, 99)))
    assert not spans_decade([Run(steps=[0], loss=[1.0], provenance={"width": w, "seed": 0}) for w in (1, 10)])


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match="at least two widths"):
        draw_scaling(runs(widths=(10,)))
    with pytest.raises(ValueError, match="none of them carries a series to draw"):
        draw_scaling([Run(steps=[0], loss=[1.0], provenance={"width": w, "seed": 0}) for w in (1, 10)])
    with pytest.raises(ValueError, match="expected a file name ending in"):
        Sweep(runs()).plot_scaling(tmp_path / "s.gif")
