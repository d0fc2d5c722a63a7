"""The figure: right panels, right numbers, readable without colour, no side effects."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from fastntk import Sweep
from fastntk.plots.runs import PANELS, draw_runs, plot_runs
from fastntk.results import Run


def made_run(width, seed=0, names=tuple(PANELS), steps=11, lr=0.1):
    k = np.arange(steps)
    values = {
        "loss": 100.0 * (1 + 0.1 * seed) * 0.8**k,
        "flips": 0.1 / width * k * (1 + seed),
        "drift": (1 + seed) * k / width,
        "lambda_min": 0.25 - (1 + seed) / width - 0.001 * k / width,
    }
    kept = {name: values[name] for name in names}
    return Run(steps=k, provenance={"width": width, "seed": seed, "lr": lr, "layers": "first"}, **kept)


LIMIT = {"lambda_0": 0.25, "lambda_max": 1.2, "unit_rows": True}
WIDTHS = (8, 16, 32, 64, 128)


def curves(axes):
    return [line for line in axes.get_lines() if line.get_label().isdigit()]


def test_four_panels_with_labels_and_one_curve_per_width():
    figure = draw_runs([made_run(width) for width in WIDTHS], LIMIT)
    assert [axes.get_title(loc="left")[:3] for axes in figure.axes] == ["(a)", "(b)", "(c)", "(d)"]
    for axes, (name, (title, label, factor)) in zip(figure.axes, PANELS.items(), strict=True):
        assert title in axes.get_title(loc="left")
        assert axes.get_ylabel() == label
        assert "step" in axes.get_xlabel()
        assert [line.get_label() for line in curves(axes)] == [str(width) for width in WIDTHS]
        for line, width in zip(curves(axes), WIDTHS, strict=True):
            np.testing.assert_allclose(line.get_ydata(), made_run(width).series[name] * factor)
    assert figure.axes[0].get_yscale() == "log"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [str(width) for width in WIDTHS]


@pytest.mark.parametrize("names", [("loss",), ("flips", "drift"), ("loss", "drift", "lambda_min")])
def test_a_metric_that_was_not_logged_has_no_panel(names, tmp_path):
    runs = [made_run(8, names=names), made_run(16, names=names)]
    figure = draw_runs(runs, LIMIT)
    assert [axes.get_ylabel() for axes in figure.axes] == [PANELS[name][1] for name in names]
    assert plot_runs(runs, tmp_path / "f.png", LIMIT, dpi=40).stat().st_size > 1000


def test_widths_differ_in_grey_level_line_style_and_marker():
    lines = curves(draw_runs([made_run(width) for width in WIDTHS]).axes[0])
    grey = [np.dot(to_rgb(line.get_color()), (0.299, 0.587, 0.114)) for line in lines]
    assert (np.diff(grey) < -0.04).all()
    assert max(grey) < 0.75  # still visible on white
    assert len({line.get_marker() for line in lines}) == len(WIDTHS)
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == len(WIDTHS)


def test_several_seeds_become_their_median_and_range():
    runs = [made_run(width, seed) for width in (8, 16) for seed in (0, 1, 5)]
    figure = draw_runs(runs)
    axes = figure.axes[2]
    np.testing.assert_allclose(curves(axes)[0].get_ydata(), made_run(8, 1).drift)
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == made_run(8, 5).drift[-1]
    np.testing.assert_allclose(band[band[:, 0] == 10][:, 1].min(), made_run(8, 0).drift[-1])
    assert "3 seeds" in figure.legends[0].get_title().get_text()
    assert not draw_runs(runs[:1]).axes[2].collections


def test_the_limit_and_the_rate_of_the_theorem_are_drawn():
    figure = draw_runs([made_run(width) for width in WIDTHS], LIMIT)
    bound = [line for line in figure.axes[0].get_lines() if line not in curves(figure.axes[0])]
    np.testing.assert_allclose(bound[0].get_ydata(), 100.0 * (1 - 0.1 * 0.125) ** np.arange(11))
    heights = {
        line.get_ydata()[0] for line in figure.axes[3].get_lines() if line not in curves(figure.axes[3])
    }
    assert heights == {0.25, 0.125}  # lambda_0/2 too, because width 8 comes near it
    wide = draw_runs([made_run(128)], LIMIT).axes[3]
    assert [line.get_ydata()[0] for line in wide.get_lines() if line not in curves(wide)] == [0.25]
    low, high = wide.get_ylim()
    assert low < made_run(128).lambda_min.min() < 0.25 < high


def test_no_rate_is_drawn_where_the_theorem_does_not_apply():
    for runs, limit in (
        ([made_run(8)], LIMIT | {"unit_rows": False}),
        ([made_run(8, lr=0.1), made_run(16, lr=0.2)], LIMIT),
        ([made_run(8, lr=10.0)], LIMIT),
    ):
        axes = draw_runs(runs, limit).axes[0]
        assert axes.get_lines() == curves(axes)


def test_nothing_to_draw_and_unknown_file_types_are_refused(tmp_path):
    with pytest.raises(ValueError, match="none of them carries"):
        draw_runs([made_run(8, names=())])
    for name in ("figure.jpg", "figure"):
        with pytest.raises(ValueError, match=r"\.png, \.pdf, \.svg"):
            Sweep([made_run(8)]).plot(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("steps", "suffix", "magic"),
    [(1, "png", b"\x89PNG"), (2, "pdf", b"%PDF"), (3, "svg", b"<?xml"), (200, "png", b"\x89PNG")],
)
def test_any_number_of_logged_steps_can_be_drawn(tmp_path, steps, suffix, magic):
    runs = [made_run(width, steps=steps) for width in WIDTHS]
    path = plot_runs(runs, tmp_path / f"figure.{suffix}", LIMIT, dpi=40)
    assert path.read_bytes().startswith(magic)


def test_constant_and_non_finite_series_can_be_drawn(tmp_path):
    run = made_run(8, steps=3)
    run.loss[:] = [1.0, np.inf, np.nan]
    run.lambda_min[:] = 0.25
    plot_runs([run], tmp_path / "figure.png", LIMIT, dpi=40)


def test_drawing_leaves_matplotlib_as_it_was(tmp_path):
    script = (
        "import sys, matplotlib\n"
        "def state():\n"  # reading the key "backend" would itself load pyplot
        "    return {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'}\n"
        "before = state()\n"
        "from fastntk.plots.runs import plot_runs\n"
        "from fastntk.results import Run\n"
        "run = Run(steps=[0, 1], loss=[2.0, 1.0], provenance={'width': 8, 'seed': 0, 'lr': 0.1})\n"
        f"plot_runs([run], {str(tmp_path / 'figure.png')!r}, dpi=40)\n"
        "assert state() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
