"""The map of CONTRIBUTING.md holds: imports run downward, no two files or folders import each other in a circle."""

import ast
import graphlib
from pathlib import Path

import pytest

import fastntk

ROOT = Path(fastntk.__file__).parent
FLOORS = (
    {"base", "reference"},
    {"compilation", "losses", "optimizers"},
    {"kernels", "distributed"},
    {"device"},
    {"model", "spectra", "plots"},
    {"matrices"},
    {"datasets", "engines", "results", "sklearn"},
    {"training"},
    {"theory"},
    {"cuda"},
    {"cli"},
)
MODULES = {
    ".".join(("fastntk", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}


def imported(path):
    """Modules of the package that a file imports, at its top or inside a function, but for those of type checkers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in set(ast.walk(tree)) - for_types:
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{name}" for name in names]
        for name in names:
            if name.split(".")[0] == "fastntk":
                while name not in MODULES:
                    name = name.rpartition(".")[0]
                yield name


def floor(module):
    """Number of the floor, None for the package itself and what only starts it."""
    found = [
        number
        for number, names in enumerate(FLOORS)
        if module.split(".")[1:2] and module.split(".")[1] in names
    ]
    return found[0] if found else None


GRAPH = {module: set(imported(path)) - {module} for module, path in MODULES.items()}


def test_every_module_has_a_floor():
    assert {module for module in MODULES if floor(module) is None} == {"fastntk", "fastntk.__main__"}


@pytest.mark.parametrize("module", sorted(module for module in MODULES if floor(module) is not None))
def test_imports_run_downward(module):
    package = module.split(".")[1]
    for other in GRAPH[module]:
        if other != "fastntk" and other.split(".")[1] != package:
            assert floor(other) < floor(module), f"{module} imports {other}"


def test_no_file_imports_itself_through_others():
    tuple(graphlib.TopologicalSorter(GRAPH).static_order())  # CycleError names the circle


def test_no_two_classes_have_one_name():
    names = [
        node.name
        for path in MODULES.values()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]
    assert sorted(names) == sorted(set(names))
