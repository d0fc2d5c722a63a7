"""Pictures of a matrix: the right numbers on the right axes, any size and kind of matrix."""

import numpy as np
import psutil
import pytest

from fastntk.plots.matrices import block_averages, draw_heatmap, draw_spectrum, plot_heatmap, plot_spectrum


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_the_spectrum_is_in_descending_order_on_a_logarithmic_axis_with_its_smallest_value_marked():
    axes = draw_spectrum([0.25, 2.0, 1e-5, 30.0]).axes[0]
    curve, *_ = axes.get_lines()
    assert curve.get_ydata().tolist() == [30.0, 2.0, 0.25, 1e-5]
    assert curve.get_xdata().tolist() == [1, 2, 3, 4]
    assert axes.get_yscale() == "log"
    assert texts(axes) == [r"$\lambda_{\min}=1\times 10^{-5}$"]
    marks = [line for line in axes.get_lines() if line.get_marker() == "o" and line.get_color() == "black"]
    assert (marks[0].get_xdata(), marks[0].get_ydata()) == ([4], [1e-5])
    low, high = axes.get_ylim()
    assert low < 1e-5 < 30 < high


def test_eigenvalues_without_a_place_on_the_axis_are_counted():
    axes = draw_spectrum([1.0, 0.0, -1e-17, 0.5]).axes[0]
    assert axes.get_lines()[0].get_ydata().tolist() == [1.0, 0.5]
    assert "not drawn: 2 eigenvalues at or below 0" in texts(axes)[0]
    assert "-1" in texts(axes)[0]


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0], [0.0, 0.0], [-1.0], np.geomspace(1e-100, 1e100, 3000)])
def test_any_spectrum_can_be_drawn(tmp_path, values):
    assert plot_spectrum(values, tmp_path / "s.png", dpi=40).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("most", [1, 3, 7, 1000])
def test_block_averages(rng, most, monkeypatch):
    monkeypatch.setattr("fastntk.plots.matrices._STRIP", 40)
    H = rng.standard_normal((20, 13))
    cells, (tall, wide) = block_averages(H, most)
    assert max(cells.shape) <= most
    for i in range(cells.shape[0]):
        for j in range(cells.shape[1]):
            block = H[i * tall : (i + 1) * tall, j * wide : (j + 1) * wide]
            assert cells[i, j] == pytest.approx(block.mean(), abs=1e-14)


def test_the_heat_map_shows_every_entry_where_it_belongs():
    H = np.array([[1.0, -0.5, 0.0], [0.25, 2.0, 0.5]])
    axes, bar = draw_heatmap(H).axes
    image = axes.get_images()[0]
    np.testing.assert_array_equal(image.get_array(), H)
    assert list(image.get_extent()) == [0.5, 3.5, 2.5, 0.5]  # row 1 on top
    assert image.get_clim() == (-2.0, 2.0)  # zero in the middle
    assert image.get_cmap().name == "RdBu_r"
    assert bar.get_ylabel() == "$H_{ij}$"
    positive = draw_heatmap(np.abs(H)).axes[0].get_images()[0]
    assert (positive.get_clim(), positive.get_cmap().name) == ((0.0, 2.0), "viridis")


def test_a_diagonal_does_not_take_all_the_colours(rng):
    H = 0.01 * rng.standard_normal((500, 500))
    H[np.diag_indices(500)] = 1.0
    image = draw_heatmap(H).axes[0].get_images()[0]
    assert image.get_clim()[1] < 0.1
    assert image.colorbar.extend == "both"


def test_large_and_odd_matrices(tmp_path, rng):
    mapped = np.memmap(tmp_path / "K.dat", "f4", "w+", shape=(2500, 1200))
    mapped[:] = rng.standard_normal(mapped.shape)
    figure = draw_heatmap(mapped)
    assert figure.axes[0].get_images()[0].get_array().shape == (834, 600)
    assert "averages of 3 x 2 entries" in figure.axes[0].get_title(loc="left")
    for number, H in enumerate(([[1.0]], np.zeros((3, 3)), np.ones((2, 90)))):
        assert plot_heatmap(H, tmp_path / f"{number}.png", dpi=40).stat().st_size > 1000


def test_bad_input_is_refused_and_nothing_written(tmp_path):
    for values in ([], [np.nan], [[1.0]]):
        with pytest.raises(ValueError, match="values"):
            plot_spectrum(values, tmp_path / "s.png")
    for H in (np.empty((0, 3)), np.ones(3), [[np.nan]], [[np.inf, 1.0], [1.0, 1.0]]):
        with pytest.raises(ValueError, match="H must"):
            plot_heatmap(H, tmp_path / "h.png")
    with pytest.raises(ValueError, match=r"\.png, \.pdf, \.svg"):
        plot_heatmap([[1.0]], tmp_path / "h.jpg")
    assert list(tmp_path.iterdir()) == []


def test_looking_at_a_mapped_file_does_not_keep_it_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("fastntk.plots.matrices._STRIP", 10**6)
    np.save(tmp_path / "H.npy", np.ones((5000, 5000), "f4"))
    mapped = np.load(tmp_path / "H.npy", mmap_mode="r")
    before = psutil.Process().memory_info().rss
    cells, _ = block_averages(mapped)
    assert psutil.Process().memory_info().rss - before < mapped.nbytes / 2
    assert (cells == 1.0).all()
