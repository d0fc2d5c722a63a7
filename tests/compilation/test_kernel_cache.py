"""Compiled code on disk is never old, never damaged, never confused between processes, and never in the way."""

import pickle
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest

import fastntk
from fastntk.compilation import kernel_cache

FLIPS = """
import json, warnings
import numpy as np
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    import fastntk
    from fastntk.kernels.cpu import flips
    a, b = np.random.default_rng(0).integers(0, 2, (2, 5, 70)).astype(bool)
    answer = fastntk.flip_count(a, b)
stats = flips.flip_count.dispatcher.stats
print(json.dumps({"answer": answer, "hits": sum(stats.cache_hits.values()), "place": stats.cache_path,
                  "warnings": [f"{one.category.__name__}: {one.message}" for one in said]}))
"""
A, B = np.random.default_rng(0).integers(0, 2, (2, 5, 70)).astype(bool)
ANSWER = int((A != B).sum())


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.fixture
def run(python, cache):
    def compiled(**more):
        found = python(FLIPS, env={"NUMBA_CACHE_DIR": str(cache)}, **more)
        assert found.pop("place").startswith(str(cache))
        return found

    return compiled


@pytest.fixture
def copied(tmp_path):
    """A copy of the package that a test may edit."""
    shutil.copytree(
        Path(fastntk.__file__).parent,
        tmp_path / "fastntk",
        ignore=shutil.ignore_patterns("__pycache__", "*.nb?"),
    )
    return tmp_path / "fastntk"


def files(cache):
    return sorted(path for path in cache.rglob("*") if path.is_file())


def test_a_change_in_an_inlined_helper_is_compiled(run, cache, copied):
    """`flip_count` calls `popcount` of another file."""
    assert run(path=copied.parent)["answer"] == ANSWER
    assert run(path=copied.parent) == {"answer": ANSWER, "hits": 1, "warnings": []}
    names = {path.name for path in files(cache)}
    lanes = copied / "kernels" / "cpu" / "lane_bits.py"
    text = lanes.read_text()
    begin, popcount, rest = text.partition("\ndef popcount(")
    doubled = "return builder.shl(builder.call(function, args), value(1))"
    edited = begin + popcount + rest.replace("return builder.call(function, args)", doubled, 1)
    assert edited != text
    lanes.write_text(edited)
    assert run(path=copied.parent) == {"answer": 2 * ANSWER, "hits": 0, "warnings": []}
    after = {path.name for path in files(cache)}
    assert len(after) == len(names), "what the old sources gave is removed"
    assert not after & names
    lanes.write_text(text)
    assert run(path=copied.parent) == {"answer": ANSWER, "hits": 0, "warnings": []}


def test_kernels_take_helpers_from_hashed_files_only():
    """What a kernel imports from the package is in the parts whose state names its code."""
    from fastntk.compilation import jit

    folder = Path(fastntk.__file__).parent
    hashed = {path for part in jit._SOURCES for path in folder.glob(part)}
    lines = [
        line
        for path in folder.glob("kernels/**/*.py")
        if "cuda" not in path.parts
        for line in path.read_text().splitlines()
        if line.startswith("from fastntk")
    ]
    assert len(lines) > 20
    for line in lines:
        module = folder.parent.joinpath(*line.split()[1].split("."))
        assert module.with_suffix(".py") in hashed or module / "__init__.py" in hashed, line


EIGHT = """
import json, os
import numpy as np, fastntk
from fastntk.kernels.cpu import flips
a, b = np.random.default_rng(0).integers(0, 2, (2, 5, 70)).astype(bool)
children = []
for _ in range(8):  # none has compiled anything yet
    reading, writing = os.pipe()
    children.append((os.fork(), reading))
    if children[-1][0] == 0:
        os.write(writing, str(fastntk.flip_count(a, b)).encode())
        os._exit(0)
    os.close(writing)
answers = [int(os.fdopen(reading).read()) for _, reading in children]
assert [os.waitpid(child, 0)[1] for child, _ in children] == [0] * 8
print(json.dumps(answers))
"""


def test_eight_processes_fill_an_empty_cache(python, cache, run):
    """Together; and a damaged file is written again."""
    assert python(EIGHT, env={"NUMBA_CACHE_DIR": str(cache)}) == [ANSWER] * 8
    (path,) = files(cache)
    written = path.stat().st_mtime_ns
    assert run() == {"answer": ANSWER, "hits": 1, "warnings": []}
    assert path.stat().st_mtime_ns == written
    path.write_bytes(path.read_bytes()[:1000])
    found = run()
    (message,) = found["warnings"]
    assert (found["answer"], found["hits"]) == (ANSWER, 0)
    assert message == f"RuntimeWarning: a compiled kernel in {path.parent} was damaged; it is compiled again"
    assert run() == {"answer": ANSWER, "hits": 1, "warnings": []}


def test_no_place_for_compiled_code(python, copied):
    """Installed where nothing can be written, and no home: kernels are compiled in memory."""
    for folder in {path.parent for path in copied.rglob("*.py")}:
        (folder / "__pycache__").write_text("a file where the folder should be")
    nowhere = "/dev/null/nowhere"
    environment = {"NUMBA_CACHE_DIR": None, "HOME": nowhere, "XDG_CACHE_HOME": nowhere}
    found = python(FLIPS, env=environment | {"PYTHONDONTWRITEBYTECODE": "1"}, path=copied.parent)
    assert (found["answer"], found["place"]) == (ANSWER, None)
    assert not list(copied.rglob("*.nb?"))


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 60, -1])
def test_a_file_of_any_length_is_nothing_or_whole(length, tmp_path):
    """The check is 32 bytes, and what it covers follows."""
    kept = kernel_cache._Files(tmp_path, "kernel.py-1", "state", pickle.dumps)
    kept.save("key", list(range(100)))
    assert kept.load("key") == list(range(100))
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.warns(RuntimeWarning, match="was damaged; it is compiled again"):
        assert kept.load("key") is None


def test_a_flipped_bit_is_seen(tmp_path):
    kept = kernel_cache._Files(tmp_path, "kernel.py-1", "state", pickle.dumps)
    kept.save("key", list(range(100)))
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.warns(RuntimeWarning, match="was damaged"):
        assert kept.load("key") is None


LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))\n"


def test_a_full_disk_is_said_once(python, cache):
    """The limit on the size of a file ends a write as a full disk or a quota does."""
    script = LIMITED + FLIPS.replace(
        "answer = fastntk.flip_count(a, b)",
        "answer = fastntk.flip_count(a, b); assert fastntk.flip_marginals(a, b)[0].sum() == answer",
    )
    found = python(script, env={"NUMBA_CACHE_DIR": str(cache)})
    (message,) = found["warnings"]
    assert found["answer"] == ANSWER
    assert message.startswith(f"RuntimeWarning: compiled kernels cannot be kept in {cache}")
    assert message.endswith(": File too large; they work, but each process compiles them anew")
    assert not files(cache), "nothing half written is left"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_folder_that_becomes_read_only_is_said_once(python, cache):
    """A file in the place of the folder: permissions do not bind the superuser."""
    script = FLIPS.replace(
        "    a, b =",
        f"    import pathlib, shutil; shutil.rmtree({str(cache)!r}); pathlib.Path({str(cache)!r}).touch()\n    a, b =",
    )
    found = python(script, env={"NUMBA_CACHE_DIR": str(cache)})
    (message,) = found["warnings"]
    assert found["answer"] == ANSWER
    assert message.startswith(f"RuntimeWarning: compiled kernels cannot be kept in {cache}")


def test_code_is_not_kept_by_a_compiler_that_does_it_otherwise():
    assert not kernel_cache.secure(object())
