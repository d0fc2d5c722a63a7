"""docs/digits.md: its table is what docs/digits.py prints."""

import importlib.util
import re
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

DOCS = Path(__file__).resolve().parent.parent / "docs"
IMAGE = 100 / 1797  # what one image more or less changes


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("digits_example", DOCS / "digits.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table(text):
    """Rows of the first table, by kernel: mean and deviation for each of the two methods."""
    rows = re.findall(
        r"^\| ((?:NTK|Gaussian)[^|]*?) \| (.*?) ± (.*?) \| (.*?) ± (.*?) \|$", text, re.MULTILINE
    )
    return {name: [float(number) for number in numbers] for name, *numbers in rows}


def test_the_whole_script_on_a_part_of_the_data(example, capsys):
    example.main(samples=200, splits=2)
    printed = capsys.readouterr().out
    assert printed.startswith("| kernel | SVM | kernel regression |\n|---|---|---|\n")
    found = table(printed)
    assert list(found) == ["NTK, depth 1", "NTK, depth 2", "NTK, depth 4", "Gaussian"]
    for svm, _, regression, _ in found.values():
        assert 85 < svm <= 100
        assert 85 < regression <= 100


def test_a_row_of_the_page_in_full(example):
    """On all the data. Solvers of other versions may decide a few close images differently."""
    page = table((DOCS / "digits.md").read_text(encoding="utf-8"))
    assert list(page) == ["NTK, depth 1", "NTK, depth 2", "NTK, depth 4", "Gaussian"]
    with threadpool_limits(1):
        found = table(example.row(2, *example.digits()))["NTK, depth 2"]
    for (mean, deviation), (printed, spread) in zip(
        zip(found[::2], found[1::2], strict=True),
        zip(page["NTK, depth 2"][::2], page["NTK, depth 2"][1::2], strict=True),
        strict=True,
    ):
        assert abs(mean - printed) < 3.1 * IMAGE
        assert abs(deviation - spread) < 0.2


def test_the_text_about_the_table():
    text = (DOCS / "digits.md").read_text(encoding="utf-8")
    means = [mean for numbers in table(text).values() for mean in numbers[::2]]
    assert f"lie\nwithin {max(means) - min(means):.2f} of each other" in text
