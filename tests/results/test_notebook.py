"""What results show of themselves in a notebook: well-formed HTML with the numbers of the result."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import fastntk
from fastntk.base.notebook import curves, table
from fastntk.results import Run, Sweep


def parsed(text):
    return ET.fromstring(f"<div>{text}</div>")


def cells(tree):
    return [[cell.text or "" for cell in row] for row in tree.iter("tr")]


def points(tree):
    found = [line.get("points") for line in tree.iter("polyline")]
    return [np.array([pair.split(",") for pair in line.split()], float) for line in found]


def made(width, seed=0, loss=(8.0, 4.0, 2.0), **series):
    return Run(steps=[0, 1, 2], loss=loss, provenance={"width": width, "seed": seed, "lr": 0.1}, **series)


def test_a_run_shows_its_ends_and_a_curve():
    tree = parsed(made(4, drift=[0.0, 0.5, 0.75])._repr_html_())
    assert cells(tree) == [["series", "first", "last"], ["loss", "8", "2"], ["drift", "0", "0.75"]]
    assert tree.find("table/caption").text == repr(made(4))
    loss, drift = points(tree)
    assert np.allclose(
        np.diff(loss, axis=0)[0], np.diff(loss, axis=0)[1]
    )  # halved twice, on a logarithmic axis
    assert drift[0, 1] > drift[1, 1] > drift[2, 1]  # upward
    assert ["logarithmic" in text.text for text in tree.iter("text")] == [True, False]


def test_a_deep_run_has_a_curve_for_each_layer_that_moves():
    flips = np.array([[0.0, 0.0], [0.1, 0.2], [0.1, 0.3]])
    smallest = np.array([[np.nan, 1.0]] * 3)
    tree = parsed(made(4, flips=flips, lambda_min=smallest)._repr_html_())
    assert cells(tree)[2:] == [["flips", "0", "0.3"], ["lambda_min", "1", "1"]]
    assert [len(line) for line in points(tree)] == [3, 3, 3, 0, 3]


def test_a_run_that_diverged_shows_what_is_finite():
    tree = parsed(made(4, loss=[8.0, 1e300, np.inf], flips=[0.0, 1.0, np.nan])._repr_html_())
    assert cells(tree)[1:] == [["loss", "8", "nan"], ["flips", "0", "nan"]]
    assert [len(line) for line in points(tree)] == [2, 2]


def test_a_sweep_shows_its_summary_and_all_runs():
    tree = parsed(Sweep([made(4), made(8, loss=[8.0, 1.0, 0.0])])._repr_html_())
    assert cells(tree)[0][:3] == ["width", "seed", "final_loss"]
    assert [row[:3] for row in cells(tree)[1:]] == [["4", "0", "2"], ["8", "0", "0"]]
    assert len(points(tree)) == 2
    assert "logarithmic" not in next(tree.iter("text")).text  # a loss of 0 has no logarithm


def test_eigenvalues_show_their_bounds():
    H = np.diag([1.0, 2.0, 5.0])
    smallest = fastntk.lambda_min(H)
    shown = dict(cells(parsed(smallest._repr_html_()))[1:])
    assert float(shown["lower bound"]) == smallest.lower_bound
    assert float(shown["upper bound"]) == smallest.upper_bound
    assert dict(cells(parsed(fastntk.condition_number(H)._repr_html_()))[1:])["value"].startswith("5.")
    tree = parsed(fastntk.spectrum(H)._repr_html_())
    assert cells(tree)[:3] == [["3 eigenvalues", ""], ["smallest", "1"], ["largest", "5"]]
    assert len(points(tree)[0]) == 3


@pytest.mark.parametrize("values", [[], [np.nan], [0.0], [3.0, 3.0], [-1.0, 1.0]])
def test_curves_of_few_or_equal_numbers_stay_on_the_paper(values):
    tree = parsed(curves("<c>", [("a & b", range(len(values)), values)], log=True))
    assert len(points(tree)) == 1
    assert all(0 <= x <= 260 and 20 <= y <= 150 for x, y in np.reshape(points(tree)[0], (-1, 2)))


def test_what_is_text_stays_text():
    tree = parsed(table(["<b>"], [["<script>"], [1 / 3]], "a & b"))
    assert cells(tree) == [["<b>"], ["<script>"], ["0.33333"]]
    assert not re.search("<script>", table([], [["<script>"]]))
