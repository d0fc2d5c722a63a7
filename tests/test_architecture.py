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
    {"fastntk"},
    {"cli"},
    {"__main__"},
)
MODULES = {
    ".".join(("fastntk", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}


def imported(path):
    """Modules of the package that a file imports: at its top, inside a function, for type checkers."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{name}" for name in names]
        for name in names:
            if name.split(".")[0] == "fastntk":
                while name not in MODULES:
                    name = name.rpartition(".")[0]
                yield name


def room(module):
    """The folder or file at the top of the package that a module belongs to; the package itself is one."""
    return (module.split(".") + module.split("."))[1]


def floor(module):
    """Number of its floor."""
    return next(number for number, rooms in enumerate(FLOORS) if room(module) in rooms)


GRAPH = {module: set(imported(path)) - {module} for module, path in MODULES.items()}


def test_floors_are_of_what_is_there():
    assert sorted(set().union(*FLOORS)) == sorted({room(module) for module in MODULES})


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_downward(module):
    for other in GRAPH[module]:
        if room(other) != room(module):
            assert floor(other) < floor(module), f"{module} imports {other}"


def test_no_file_imports_itself_through_others():
    tuple(graphlib.TopologicalSorter(GRAPH).static_order())  # CycleError names the circle


def test_no_two_classes_have_one_name():
    names = [
        node.name
        for path in [*MODULES.values(), *ROOT.parent.glob("benchmarks/*.py")]
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]
    assert sorted(names) == sorted(set(names))
