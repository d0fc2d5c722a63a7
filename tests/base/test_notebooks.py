"""Progress bars in a notebook that is really executed: shown while the cell works, gone when it is done."""

import warnings

import pytest

CELL = """
import os
os.environ["TQDM_MININTERVAL"] = "0"
import fastntk
from fastntk.base import progress
progress._DELAY = 0
X, y = fastntk.datasets.sphere(20, 3)
{call}
"""


@pytest.fixture(scope="module")
def execute():
    """Run a cell in one kernel; what it sends to stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the kernel's own libraries
        from nbclient import NotebookClient
        from nbformat.v4 import new_code_cell, new_notebook

        notebook = new_notebook()
        client = NotebookClient(notebook, timeout=120, kernel_name="python3")
        with client.setup_kernel():

            def run(call):
                cell = new_code_cell(CELL.format(call=call))
                notebook.cells.append(cell)
                client.execute_cell(cell, len(notebook.cells) - 1)
                assert not [output for output in cell.outputs if output.output_type == "error"]
                return "".join(output.text for output in cell.outputs if output.get("name") == "stderr")

            yield run


@pytest.mark.parametrize(
    ("call", "label"),
    [
        ("fastntk.train(X, y, width=8, steps=3, progress=True)", "width 8: "),
        ("fastntk.sweep(X, y, widths=[8, 16], steps=3, progress=True)", "width 8, seed 0 (run 1 of 2)"),
        ("fastntk.limit_gram(X, progress=True)", "Gram matrix: "),
    ],
)
def test_a_bar_is_shown(execute, call, label):
    shown = execute(call)
    assert label in shown
    assert "100%" in shown
    assert shown.endswith("\r")  # the bar is wiped out


def test_no_bar_without_progress_and_for_what_is_done_at_once(execute):
    assert execute("fastntk.train(X, y, width=8, steps=3)") == ""
    assert execute("progress._DELAY = 60\nfastntk.train(X, y, width=8, steps=3, progress=True)") == ""
