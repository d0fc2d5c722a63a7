"""The web site says what there is: its reference names every public name, its gallery has examples that can be run."""

import ast
import re
from pathlib import Path

import pytest

import fastntk
from fastntk import datasets, losses, optimizers, reference
from fastntk import sklearn as estimators

DOCS = Path(__file__).parents[1] / "docs"
MODULES = {
    "fastntk": set(fastntk.__all__) - {"datasets", "losses", "optimizers", "reference", "__version__"},
    "fastntk.datasets": set(datasets.__all__),
    "fastntk.losses": {name for name in losses.__all__ if name[0].isupper() and not name.isupper()},
    "fastntk.optimizers": {name for name in optimizers.__all__ if name[0].isupper() and not name.isupper()},
    "fastntk.reference": set(reference.__all__),
    "fastntk.sklearn": set(estimators.__all__),
}
EXAMPLES = sorted((DOCS / "gallery").glob("*.py"))


def test_the_reference_names_every_public_name():
    found = {module: set() for module in MODULES}
    module = ""
    for line in (DOCS / "reference" / "index.rst").read_text(encoding="utf-8").splitlines():
        if current := re.fullmatch(r"\.\. currentmodule:: (\S+)", line):
            module = current[1]
        elif name := re.fullmatch(r"   (\w+)", line):
            found[module].add(name[1])
    assert found == MODULES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_question_with_a_picture(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    title, line, *rest = ast.get_docstring(tree).splitlines()
    assert set(line) == {"="}
    assert len(line) == len(title)
    assert any("?" in part for part in rest)
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert "plt.subplots" in calls
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert {"fastntk"} & used or re.search(r"^from fastntk", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_there_are_more_than_ten_examples():
    assert len(EXAMPLES) > 10


PAGE_HEADINGS = {"plain NumPy": "reference", "fastest NumPy": "strong NumPy"}


def table(text):
    """Cells of the rows of the first table, by work and size, then by the heading that the page has."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    headings = [PAGE_HEADINGS.get(name, name) for name in rows[0][2:]]
    return {tuple(row[:2]): dict(zip(headings, row[2:], strict=True)) for row in rows[2:]}


def test_the_speed_of_the_readme_is_that_of_the_page():
    readme, page = (
        (DOCS.parent / name).read_text(encoding="utf-8") for name in ("README.md", "docs/speed.md")
    )
    shown = table(readme.partition("## Speed")[2].partition("On a GPU")[0])
    measured = table(page.partition("<!-- benchmarks:start -->")[2])
    assert len(shown) > 5
    for size, cells in shown.items():
        assert cells == {heading: measured[size][heading] for heading in cells}, size


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_to_files_lead_somewhere(name):
    text = (DOCS.parent / name).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert all((DOCS.parent / link).exists() for link in links), links
