"""The header of every file of kernels says what CONTRIBUTING asks for, each under its key."""

import ast
import re
from pathlib import Path

import pytest

import fastntk

FOLDER = Path(fastntk.__file__).parent / "kernels" / "cpu"
KEYS = ("Layout", "Owner", "Cost", "Bound", "Machine", "Accumulation", "Rejected")
LAUNCHED = [path for path in sorted(FOLDER.glob("*.py")) if "@kernel(parallel=True)" in path.read_text()]


@pytest.mark.parametrize("path", LAUNCHED, ids=lambda path: path.stem)
def test_the_header_has_each_key_once_in_order(path):
    header = ast.get_docstring(ast.parse(path.read_text()))
    found = re.findall(r"^(\w+): +\S", header, re.MULTILINE)
    assert [key for key in found if key in KEYS] == list(KEYS)


def test_most_kernels_are_there():
    assert len(LAUNCHED) > 20
