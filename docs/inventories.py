"""Where other packages describe the names that this site links to: an index of each, as intersphinx reads it.

Sphinx would fetch these indexes from the network. They are short enough to be kept here, so that a build needs none.
"""

import zlib
from pathlib import Path

GENERATED = "reference/generated/{}.html"
SCIKIT = "modules/generated/{}.html"

PACKAGES = {
    "numpy": (
        "https://numpy.org/doc/stable/",
        {
            "py:class": {
                "numpy.ndarray": GENERATED,
                "numpy.memmap": GENERATED,
                "numpy.dtype": GENERATED,
            },
            "py:function": {
                "numpy.random.default_rng": "reference/random/generator.html",
                "numpy.linalg.eigvalsh": GENERATED,
            },
            "std:term": {"array_like": "glossary.html#term-array_like"},
        },
    ),
    "python": (
        "https://docs.python.org/3/",
        {
            "py:class": {
                "int": "library/functions.html#int",
                "float": "library/functions.html#float",
                "bool": "library/functions.html#bool",
                "str": "library/stdtypes.html#str",
                "dict": "library/stdtypes.html#dict",
                "tuple": "library/stdtypes.html#tuple",
                "list": "library/stdtypes.html#list",
                "pathlib.Path": "library/pathlib.html#pathlib.Path",
            },
            "py:exception": {
                "ValueError": "library/exceptions.html#ValueError",
                "TypeError": "library/exceptions.html#TypeError",
                "OSError": "library/exceptions.html#OSError",
                "ImportError": "library/exceptions.html#ImportError",
                "MemoryError": "library/exceptions.html#MemoryError",
                "RuntimeError": "library/exceptions.html#RuntimeError",
            },
            "std:term": {
                "iterable": "glossary.html#term-iterable",
                "callable": "glossary.html#term-callable",
                "path-like": "glossary.html#term-path-like-object",
                "sequence": "glossary.html#term-sequence",
            },
            "std:label": {"bltin-boolean-values": "library/stdtypes.html#boolean-type-bool"},
        },
    ),
    "scipy": (
        "https://docs.scipy.org/doc/scipy/",
        {
            "py:class": {"scipy.sparse.linalg.LinearOperator": GENERATED},
            "py:function": {"scipy.linalg.eigh": GENERATED, "scipy.sparse.linalg.eigsh": GENERATED},
        },
    ),
    "sklearn": (
        "https://scikit-learn.org/stable/",
        {
            "py:class": {
                "sklearn.gaussian_process.GaussianProcessRegressor": SCIKIT,
                "sklearn.gaussian_process.kernels.Kernel": SCIKIT,
                "sklearn.gaussian_process.kernels.RBF": SCIKIT,
                "sklearn.kernel_ridge.KernelRidge": SCIKIT,
                "sklearn.svm.SVC": SCIKIT,
            },
        },
    ),
}


def _line(name: str, role: str, place: str) -> str:
    """An entry: a page of its own has the name as its anchor; labels have the lowest priority."""
    anchored = place if "#" in place else f"{place}#$"
    return f"{name} {role} {-1 if role == 'std:label' else 1} {anchored} -\n"


def inventories(folder: Path) -> dict[str, tuple[str, str]]:
    """Write the indexes to a folder; what intersphinx takes as its mapping."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for package, (address, roles) in PACKAGES.items():
        lines = [
            _line(name, role, pattern.format(name))
            for role, names in roles.items()
            for name, pattern in names.items()
        ]
        head = f"# Sphinx inventory version 2\n# Project: {package}\n# Version: \n"
        head += "# The remainder of this file is compressed using zlib.\n"
        path = folder / f"{package}.inv"
        path.write_bytes(head.encode() + zlib.compress("".join(lines).encode()))
        found[package] = (address, str(path))
    return found
