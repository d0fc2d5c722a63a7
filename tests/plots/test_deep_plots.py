"""The figure of several layers: a row for each, readable at any depth."""

import numpy as np
import pytest

from fastntk.plots.runs import draw_runs
from fastntk.results import Run


def made_run(width, depth, moving, seed=0, drop=()):
    k = np.arange(9)
    hidden, all_of_them = np.arange(1, depth + 1), np.arange(1, depth + 2)
    lowest = np.outer(1 - 0.01 * k, all_of_them / width)
    lowest[:, [layer - 1 for layer in all_of_them if layer not in moving]] = np.nan
    series = {
        "loss": (2.0 + seed) * 0.5**k,
        "flips": np.outer(k, hidden) / (100 * width),
        "drift": np.outer(k, hidden) / width,
        "lambda_min": lowest,
        "lambda_min_total": np.nansum(lowest, axis=1),
    }
    kept = {name: values for name, values in series.items() if name not in drop}
    return Run(steps=k, provenance={"width": width, "seed": seed, "lr": 0.1, "depth": depth}, **kept)


def limit(moving):
    return {
        "lambda_0": 2.0,
        "lambda_max": 9.0,
        "layers": list(moving),
        "lambda_0_of_layers": [1.0] * len(moving),
    }


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_a_row_for_each_layer(depth):
    moving = range(1, depth + 1)
    figure = draw_runs([made_run(width, depth, moving) for width in (8, 16)], limit(moving))
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == 2 + 3 * depth
    assert [axes.get_ylabel() for axes in shown if axes.get_ylabel()] == [f"layer {h}" for h in moving]
    for layer in moving:
        flips, drift, lowest = shown[2 + 3 * (layer - 1) : 2 + 3 * layer]
        for axes, name, factor in ((flips, "flips", 100), (drift, "drift", 1), (lowest, "lambda_min", 1)):
            for line, width in zip(axes.get_lines(), (8, 16), strict=False):
                wanted = made_run(width, depth, moving).series[name][:, layer - 1] * factor
                np.testing.assert_allclose(line.get_ydata(), wanted)
        assert [line.get_ydata()[0] for line in lowest.get_lines()[2:]] == [1.0, 0.5]
    height = figure.get_size_inches()[1] / (depth + 1)
    assert height > 1.5  # inches for a panel and its labels


def test_the_output_has_a_row_where_it_moves():
    figure = draw_runs([made_run(8, 2, (2, 3))], limit((2, 3)))
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_ylabel() for axes in shown if axes.get_ylabel()] == ["layer 1", "layer 2", "output"]
    assert len(shown) == 2 + 2 + 3 + 1


def test_seeds_become_a_band_and_series_that_were_not_logged_have_no_panel():
    runs = [
        made_run(8, 2, (1, 2), seed, drop=("drift", "lambda_min", "lambda_min_total")) for seed in (0, 1, 2)
    ]
    figure = draw_runs(runs)
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == 1 + 2
    assert len(shown[0].collections) == 1
    assert "median and range of 3 seeds" in figure.legends[0].get_title().get_text()
