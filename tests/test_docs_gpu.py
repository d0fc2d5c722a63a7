"""The tables of README.md and docs/gpu.md are those of the measurement that the repository holds."""

import json

import pytest

from benchmarks import document, gpu_document, tables

REPORT = json.loads(gpu_document.MEASURED.read_text())


@pytest.mark.parametrize(("name", "make"), [("README.md", gpu_document.short), ("docs/gpu.md", tables.gpu)])
def test_tables_are_what_was_measured(name, make):
    text = (gpu_document.ROOT / name).read_text()
    assert text.partition(gpu_document.START)[2].partition(gpu_document.END)[0] == f"\n{make(REPORT)}\n"


def test_the_device_is_named_beside_the_table_of_the_cpu():
    assert f"CUDA: {document.cuda({'gpu': REPORT})}." in (gpu_document.ROOT / "README.md").read_text()
