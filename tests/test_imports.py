"""`import fastntk` is quick, lazy and compiles nothing."""

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import fastntk

IMPORT = """
import json, sys, time
began = time.perf_counter()
import fastntk
seconds = time.perf_counter() - began
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
"""


def test_import_is_quick_and_lazy(python):
    found = [python(IMPORT) for _ in range(3)]
    assert min(one["seconds"] for one in found) < 0.5
    heavy = {"numpy", "numba", "llvmlite", "scipy", "matplotlib", "click", "tqdm", "psutil", "threadpoolctl"}
    assert not heavy & set(found[0]["modules"])


def test_import_of_everything_compiles_nothing(python, tmp_path):
    """All modules, with a fresh cache: no kernel has a compiled signature and nothing is written."""
    script = """
import gc, importlib, json, pkgutil, sys
import fastntk
for module in pkgutil.walk_packages(fastntk.__path__, "fastntk."):
    if not module.name.endswith("__main__") and "cuda." not in module.name:  # those need a CUDA package
        importlib.import_module(module.name)
from numba.core.dispatcher import Dispatcher
found = [o for o in gc.get_objects() if isinstance(o, Dispatcher) and o.py_func.__module__.startswith("fastntk")]
assert "numba.cuda" not in sys.modules
print(json.dumps([[f.py_func.__name__, len(f.signatures)] for f in found]))
"""
    kernels = python(script, env={"NUMBA_CACHE_DIR": str(tmp_path)})
    assert len(kernels) > 20
    assert {count for _, count in kernels} == {0}
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", fastntk.__all__)
def test_public_names(name):
    value = getattr(fastntk, name)
    assert value.__doc__
    assert name in dir(fastntk)
    assert getattr(fastntk, name) is value


def test_modules_do_not_shadow_public_names():
    """Importing a module `fastntk.gram` would replace the function of that name."""
    modules = {module.name for module in pkgutil.iter_modules(fastntk.__path__)}
    for module in modules - {"__main__"}:
        importlib.import_module(f"fastntk.{module}")
    functions = set(fastntk.__all__) - set(fastntk._SUBMODULES)
    assert not functions & modules


def test_unknown_names():
    with pytest.raises(AttributeError, match="module 'fastntk' has no attribute 'grams'"):
        fastntk.grams  # noqa: B018


def test_one_place_calls_numba_njit():
    folder = Path(fastntk.__file__).parent
    for path in folder.rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.ImportFrom):
                names.update(alias.name for alias in node.names)
        settings = path.name in ("jit.py", "jit_cuda.py")
        assert settings or not names & {"njit", "jit", "vectorize", "guvectorize"}, path


def test_one_place_asks_for_the_gpu():
    """Nothing but the package itself loads `fastntk.cuda`; what runs at its load, or in a function, counts alike."""
    folder = Path(fastntk.__file__).parent
    asking = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Call):
                names = [str(part.value) for part in node.args if isinstance(part, ast.Constant)]
            if any(f"{name}.".startswith("fastntk.cuda.") for name in names):
                asking.add(path.relative_to(folder))
    assert {path for path in asking if path.parts[0] != "cuda"} == {Path("__init__.py")}


OTHERS = """
import json, sys
import fastntk
net = fastntk.TwoLayerReLU.init(2, 3)
try:
    fastntk.TwoLayerReLU.from_torch(net)  # what is no module of torch is seen without it
except TypeError:
    pass
fastntk.limit_gram([[1.0]])
loaded = sorted({name.partition(".")[0] for name in sys.modules})
sys.modules["sklearn"] = None
try:
    import fastntk.sklearn
except ImportError as error:
    print(json.dumps([loaded, str(error)]))
"""


def test_libraries_that_are_not_asked_for_are_not_loaded(python):
    """Also where they are installed."""
    loaded, without = python(OTHERS)
    assert "numba" in loaded
    assert not {"torch", "cupy", "sklearn", "dask", "distributed", "h5py", "zarr", "pandas", "polars"} & set(
        loaded
    )
    assert without == (
        "fastntk.sklearn needs scikit-learn, which is not installed: pip install fastntk[sklearn]"
    )


HELP = """
import json, sys
from click.testing import CliRunner
from fastntk.cli import main
said = [CliRunner().invoke(main, [*command.split(), "--help"]) for command in sys.argv[1:]]
assert not any(one.exit_code for one in said)
print(json.dumps([[one.output for one in said], sorted(sys.modules)]))
"""


def test_explaining_commands_waits_for_no_compiler(python):
    said, modules = python(HELP, "", "train", "sweep", "verify")
    assert all("--engine" in one for one in said[1:])
    assert not {"numba", "llvmlite", "scipy", "matplotlib"} & set(modules)
